# SPDX-License-Identifier: Apache-2.0
"""The first question, which nobody acts upon."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from vla_policies import STATE, FeatureKind, FeatureSpec, check_observation, load_policy
from vla_policies.warm_up import trial, warm_up


def test_a_trial_fits_any_policy(spec):
    check_observation(trial(spec), spec)
    image = FeatureSpec("observation.images.any", FeatureKind.IMAGE, (None, None, 3))
    anywhere = replace(
        spec, observation=(image, FeatureSpec(STATE, FeatureKind.STATE, (14,), "rad"))
    )
    check_observation(trial(anywhere), anywhere)


def test_a_policy_forgets_the_trial(policy, observe):
    assert warm_up(policy) == ""
    assert policy.resets == 2
    assert policy.infer(observe()).phase == "count 1"


@pytest.mark.parametrize("name", ["color_pick", "adversary", "replay"])
def test_every_policy_can_be_warmed_up(name, tmp_path):
    options = {}
    if name == "replay":
        path = tmp_path / "motion.npz"
        np.savez(path, joint_names=["a"], dt_s=0.1, positions=np.zeros((3, 1)))
        options = {"file": str(path), "rows": 2}
    if name == "color_pick":
        contract = Path(__file__).parents[3] / "config/policies/so101_color_pick.yaml"
        options = yaml.safe_load(contract.read_text())["policy"]["options"]
    policy = load_policy(name, options)
    warm_up(policy)
    policy.close()


def test_what_the_policy_raises_is_no_error(policy, monkeypatch):
    def broken(_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(policy, "infer", broken)
    assert warm_up(policy) == "ZeroDivisionError: oh"


def test_a_server_lets_nobody_in_before_its_policy_is_warm(start, policy, observe):
    policy.gate = threading.Semaphore(0)
    threading.Timer(0.3, policy.gate.release).start()
    running = start(warm_up=True)
    assert len(policy.seen) == 1, "the trial comes before the first client"
    policy.gate = None
    client = load_policy("remote", {"url": running.url})
    assert client.infer(observe()).phase == "count 1"
    client.close()


def test_a_policy_of_ones_own_is_warm_too(start, policy, observe):
    made = []

    def make():
        made.append(type(policy)())
        return made[-1]

    client = load_policy("remote", {"url": start(make, own_policy=True, warm_up=True).url})
    assert client.infer(observe()).phase == "count 1"
    assert [len(each.seen) for each in made] == [1, 2]
    client.close()
