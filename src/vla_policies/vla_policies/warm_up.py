# SPDX-License-Identifier: Apache-2.0
"""A first question before any that counts, because the first answer may take far longer.

Memory is touched, kernels are compiled and graphs are recorded by it: seconds, with some libraries
minutes. Whoever waits for an answer has a limit for the others.
"""

from __future__ import annotations

import numpy as np

from vla_policies.protocol import FeatureKind, Observation, Policy, PolicySpec

TASK = "warm up"
SIDES = (480, 640)
GREY = 128


def trial(spec: PolicySpec) -> Observation:
    """Return an observation that fits a policy: grey images, and all joints at 0."""
    images, state = {}, {}
    for feature in spec.observation:
        if feature.kind is FeatureKind.IMAGE:
            height, width = (
                default if side is None else side
                for side, default in zip(feature.shape[:2], SIDES, strict=True)
            )
            images[feature.name] = np.full((height, width, 3), GREY, np.uint8)
        else:
            state[feature.name] = np.zeros([side or 1 for side in feature.shape])
    return Observation(0, images, state, TASK)


def warm_up(policy: Policy) -> str:
    """Ask a policy once, for nothing, and reset it.

    Returns:
        Why it did not answer, empty where it did. Not an error: it may want another instruction.
    """
    problem = ""
    policy.reset()
    try:
        policy.infer(trial(policy.spec))
    # What is wrong with a grey picture need not be wrong with a real one.
    except Exception as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    policy.reset()
    return problem
