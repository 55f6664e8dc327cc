# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from vla_policies import STATE, Observation, PolicyError, adversary, check_action, load_policy

HERE = np.array([0.0, -1.2, 1.0, 1.25, 0.0, 0.1])


def ask(policy, stamp_s=0.0):
    return policy.infer(Observation(round(stamp_s * 1e9), {}, {STATE: HERE}, "behave badly"))


def bad(mode, seed=0):
    return load_policy("adversary", {"modes": [mode], "period_s": 1.0, "seed": seed})


def test_without_options_it_takes_every_mode_in_turn_and_starts_over(monkeypatch):
    monkeypatch.setattr(adversary.time, "sleep", lambda seconds: None)
    policy = load_policy("adversary", {})
    phases = [ask(policy, 100.0 + 1.5 * turn + 0.1 * (turn > 0)).phase for turn in range(7)]
    assert phases == ["jumps", "nan", "shake", "shape", "beyond", "late", "jumps"]


@pytest.mark.parametrize(("mode", "words"), [("nan", "has nan"), ("shape", r"shape \(30, 5\)")])
def test_these_modes_are_refused_by_the_check_of_an_action(mode, words):
    policy = bad(mode)
    with pytest.raises(PolicyError, match=words):
        check_action(ask(policy), policy.spec)


@pytest.mark.parametrize("mode", ["jumps", "shake", "beyond"])
def test_these_modes_pass_the_check_and_are_for_the_planner_to_tame(mode):
    policy = bad(mode)
    action = ask(policy, 0.02)
    check_action(action, policy.spec)
    third = np.abs(np.diff(action.positions[:, 0], n=3)) * 30**3
    assert np.max(third) > 100.0 or np.max(action.positions[:, 0]) > 1.92


def test_beyond_leaves_the_limits_of_the_joints_that_may_turn_freely():
    last = ask(bad("beyond")).positions[-1]
    assert last[0] > adversary.UPPER[0] + 1.0
    assert last[4] > adversary.UPPER[4] + 1.0


def test_late_is_late(monkeypatch):
    slept = []
    monkeypatch.setattr(adversary.time, "sleep", slept.append)
    ask(bad("late"))
    assert slept == [0.4]


def test_the_same_seed_gives_the_same_chunks_and_another_seed_others():
    first, again, other = (ask(bad("jumps", seed)).positions for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


TWO = {"joints": ["a", "hand"], "centre": [0.1, 0.02], "upper": [1.0, 0.04], "turning": ["a"]}


def test_it_misbehaves_with_any_arm_that_its_options_describe():
    policy = load_policy("adversary", {"modes": ["beyond"], "arm": TWO})
    assert policy.spec.joint_names == ("a", "hand")
    seen = Observation(0, {}, {STATE: np.array([0.1, 0.02])}, "behave badly")
    action = policy.infer(seen)
    assert action.joint_names == ("a", "hand")
    assert action.positions[-1, 0] == pytest.approx(4.0)
    assert np.all(action.positions[:, 1] == 0.02)
    jumps = load_policy("adversary", {"modes": ["jumps"], "arm": TWO}).infer(seen).positions
    assert jumps.shape == (30, 2)
    assert np.max(np.abs(jumps - np.array(TWO["centre"]))) <= 0.6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arm": {**TWO, "joints": ["a"]}}, "options.arm.joints: is .*write 2 to 64"),
        ({"arm": {**TWO, "turning": ["b"]}}, "options.arm.turning: is .*out of joints"),
        ({"arm": {**TWO, "centre": [0.1]}}, "options.arm.centre: .*write 2 finite numbers"),
        ({"arm": {**TWO, "elbow": 1}}, "options.arm.elbow: is not an option"),
        ({"modes": ["kind"]}, "write a list out of jumps, nan"),
        ({"modes": []}, "write a list"),
        ({"period_s": 0}, "period_s: is 0; write a positive number"),
        ({"seed": -1}, "seed: is -1"),
        ({"mode": "nan"}, "options.mode: is not an option"),
    ],
)
def test_a_wrong_option_is_an_error(options, words):
    with pytest.raises(PolicyError, match=words):
        load_policy("adversary", options)
