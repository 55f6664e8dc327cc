# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from vla_policies import (
    STATE,
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    Options,
    PolicyError,
    PolicySpec,
    check_action,
    check_observation,
)

FRONT = "observation.images.front"
SPEC = PolicySpec(
    policy_id="test 1",
    observation=(
        FeatureSpec(FRONT, FeatureKind.IMAGE, (4, 6, 3)),
        FeatureSpec("observation.images.any", FeatureKind.IMAGE, (None, None, 3)),
        FeatureSpec(STATE, FeatureKind.STATE, (2,), "rad"),
    ),
    joint_names=("a", "b"),
    units="rad",
    dt_s=0.1,
    chunk_size=3,
)
GOOD = Observation(
    stamp_ns=0,
    images={
        FRONT: np.zeros((4, 6, 3), np.uint8),
        "observation.images.any": np.zeros((9, 9, 3), np.uint8),
    },
    state={STATE: np.zeros(2)},
    task="",
)


def changed(images=None, state=None):
    return dataclasses.replace(
        GOOD, images={**GOOD.images, **(images or {})}, state={**GOOD.state, **(state or {})}
    )


def test_an_observation_that_fits_passes():
    check_observation(GOOD, SPEC)


@pytest.mark.parametrize(
    ("observation", "words"),
    [
        (dataclasses.replace(GOOD, images={}), f"{FRONT}: the policy needs it.*has none"),
        (dataclasses.replace(GOOD, state={"other": np.zeros(2)}), "needs it; .*has other"),
        (changed({FRONT: np.zeros((4, 6, 3))}), "is float64; give uint8"),
        (changed({FRONT: np.zeros((4, 5, 3), np.uint8)}), r"has shape \(4, 5, 3\)"),
        (changed({FRONT: np.zeros((4, 6), np.uint8)}), r"has shape \(4, 6\)"),
        (changed(state={STATE: np.zeros(3)}), r"has shape \(3,\); the policy needs \(2,\)"),
        (changed(state={STATE: np.array([0.0, np.nan])}), "not finite"),
    ],
)
def test_an_observation_that_does_not_fit_is_refused_with_the_reason(observation, words):
    with pytest.raises(PolicyError, match=words):
        check_observation(observation, SPEC)


def test_an_action_that_keeps_its_promise_passes():
    check_action(Action(np.zeros((3, 2)), 0.1, ("a", "b")), SPEC)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action(np.zeros((3, 2)), 0.1, ("b", "a")), "columns are b, a; the spec promises a, b"),
        (Action(np.zeros((3, 3)), 0.1, ("a", "b")), r"shape \(3, 3\)"),
        (Action(np.zeros((0, 2)), 0.1, ("a", "b")), r"shape \(0, 2\)"),
        (Action(np.zeros(2), 0.1, ("a", "b")), r"shape \(2,\)"),
        (Action(np.zeros((3, 2)), 0.0, ("a", "b")), "dt_s is 0"),
        (Action(np.zeros((3, 2)), float("nan"), ("a", "b")), "dt_s is nan"),
        (Action(np.array([[0.0, 0.0], [0.0, np.inf]]), 0.1, ("a", "b")), "row 1 has inf for b"),
    ],
)
def test_an_action_that_breaks_its_promise_is_refused_with_the_reason(action, words):
    with pytest.raises(PolicyError, match=words):
        check_action(action, SPEC)


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda given: given.number("missing"), r"test: options\.missing: is missing; add it"),
        (lambda given: given.number("text"), "is 'x'; write a number"),
        (lambda given: given.number("nan"), "write a number"),
        (lambda given: given.number("zero", positive=True), "write a positive number"),
        (lambda given: given.number("flag"), "is True; write a number"),
        (lambda given: given.whole("half"), "is 0.5; write a whole number"),
        (lambda given: given.text("zero"), "is 0; write a text"),
        (lambda given: given.vector("list", 3), "write 3 finite numbers"),
        (lambda given: given.vector("text", 1), "write 1 finite numbers"),
        (lambda given: given.section("zero"), r"options\.zero: is 0; write a mapping"),
        (lambda given: given.end(), "is not an option; remove it"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_policy_and_key(read, words):
    values = {
        "text": "x",
        "nan": float("nan"),
        "zero": 0,
        "half": 0.5,
        "flag": True,
        "list": [1.0, 2.0],
    }
    with pytest.raises(PolicyError, match=words):
        read(Options("test", values))


def test_an_option_inside_a_section_is_named_with_its_path():
    section = Options("test", {"camera": {"width": 640}}).section("camera")
    with pytest.raises(PolicyError, match=r"test: options\.camera\.height: is missing"):
        section.whole("height")
