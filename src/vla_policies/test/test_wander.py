# SPDX-License-Identifier: Apache-2.0
"""The policy for an arm without a task: one posture after another."""

from __future__ import annotations

import numpy as np
import pytest

from vla_policies import STATE, Observation, PolicyError, check_action, load_policy

OPTIONS = {"joints": ["a", "b"], "speed": [1.0, 0.5], "goals": [[0.5, 0.1], [0.0, 0.0]]}


def follow(policy, here, seconds=60.0):
    """Carry its chunks out exactly, a quarter of a second of each; return phases and the end."""
    phases, now_ns = [], 0
    while now_ns < seconds * 1e9:
        seen = Observation(now_ns, {}, {STATE: np.array(here, dtype=float)}, "move")
        action = policy.infer(seen)
        check_action(action, policy.spec)
        phases.append(action.phase)
        if action.done:
            break
        here = action.positions[8]
        now_ns += round(8 * action.dt_s * 1e9)
    return phases, here


def test_it_goes_to_each_goal_in_turn_and_is_done_at_the_last():
    phases, here = follow(load_policy("wander", OPTIONS), [0.0, 0.0])
    assert list(dict.fromkeys(phases)) == ["goal 1 of 2", "goal 2 of 2", "done"]
    np.testing.assert_allclose(here, [0.0, 0.0], atol=0.03)


def test_no_joint_is_asked_for_more_than_its_speed():
    policy = load_policy("wander", OPTIONS)
    seen = Observation(0, {}, {STATE: np.array([0.0, -1.0])}, "move")
    speed = np.abs(np.diff(policy.infer(seen).positions, axis=0)) * 30
    assert np.all(np.max(speed, axis=0) <= np.array([1.0, 0.5]) + 1e-9)


def test_a_joint_that_is_held_does_not_keep_it_from_the_goals_that_are_left():
    policy, phases = load_policy("wander", OPTIONS), []
    for second in range(60):
        seen = Observation(second * 10**9, {}, {STATE: np.array([2.0, 2.0])}, "move")
        phases.append(policy.infer(seen).phase)
    assert phases[-1] == "done"


def test_a_new_instruction_begins_with_the_first_goal():
    policy = load_policy("wander", OPTIONS)
    assert follow(policy, [0.0, 0.0])[0][-1] == "done"
    policy.reset()
    assert follow(policy, [0.0, 0.0])[0][0] == "goal 1 of 2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goals": []}, "options.goals: must be a list of 1 to 1000"),
        ({"goals": [[0.0]]}, "options.goals.0: .*2 finite numbers"),
        ({"goals": [[0.0, float("nan")]]}, "options.goals.0: .*2 finite numbers"),
        ({"goals": [[0.0, 0.0]] * 1001}, "options.goals: must be a list of 1 to 1000"),
        ({"speed": [0.0, 1.0]}, "options.speed: must be positive"),
        ({"joints": ["a", "a"]}, "options.joints: .*distinct"),
        ({"laps": 3}, "options.laps: is not an option"),
    ],
)
def test_options_that_cannot_be_are_refused_by_key(change, message):
    with pytest.raises(PolicyError, match=message):
        load_policy("wander", {**OPTIONS, **change})
