# SPDX-License-Identifier: Apache-2.0
"""The jerk that the controller adds to what it is sent: none to overlap plans, much to others.

Jerk is the third divided difference of the reference over trajectory time.
The figures were measured on joint_trajectory_controller 4.42.1.
"""

import numpy as np
import pytest

from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import ControllerConfig, Goal, TrajectoryController

JOINTS = tuple("abcdef")
MS = 1_000_000
PERIOD_NS = 10 * MS
KNOT_NS = 33_333_333
T0 = 1_800_000_000_000_000_000
J, A, V = 100.0, 10.0, 3.0


class Plan:
    """Knots of constant jerk between them, ending at rest."""

    def __init__(self, start_ns, times_ns, states):
        self.start_ns, self.times_ns, self.states = start_ns, times_ns, states

    def message(self, stamp_ns=None):
        points = tuple(
            TrajectoryPoint(int(t), s[0], s[1], s[2])
            for t, s in zip(self.times_ns, self.states, strict=True)
        )
        return JointTrajectory(self.start_ns if stamp_ns is None else stamp_ns, JOINTS, points)


def step(state, jerk, h):
    p, v, a = state
    return np.array(
        [p + v * h + a * h**2 / 2 + jerk * h**3 / 6, v + a * h + jerk * h**2 / 2, a + jerk * h]
    )


def braking(state, h):
    """Least-squares jerks (K, J) that bring the state to rest within the limit."""
    for knots in range(3, 60):
        after = h * (np.arange(knots)[::-1] + 0.5)
        effect = np.stack([after * h, np.full(knots, h)])
        rest = -np.stack([state[1] + state[2] * knots * h, state[2]])
        jerks = np.linalg.pinv(effect) @ rest
        if np.all(np.abs(jerks) <= J):
            return jerks
    raise AssertionError("no brake found")


def wander(rng, state, start_ns, knots=30):
    """A plan of random jerk from `state`, then a brake."""
    h = KNOT_NS / 1e9
    states = [np.asarray(state)]
    for _ in range(knots):
        jerk = rng.choice([-J, J], size=len(JOINTS))
        ahead = step(states[-1], jerk, h)
        slowing = np.abs(ahead[2]) > A * 0.8
        fast = np.abs(ahead[1] + ahead[2] * 0.15) > V * 0.6
        jerk = np.where(slowing, -J * np.sign(ahead[2]), jerk)
        jerk = np.where(fast & ~slowing, -J * np.sign(ahead[1]), jerk)
        states.append(step(states[-1], jerk, h))
    for jerk in braking(states[-1], h):
        states.append(step(states[-1], jerk, h))
    assert np.abs(states[-1][1:]).max() < 1e-9
    states[-1][1:] = 0.0
    return Plan(start_ns, np.arange(len(states)) * KNOT_NS, np.array(states))


def overlapping(rng, running, now_ns, overlap_ns=100 * MS):
    """The running plan's knots from just before now up to the splice, then a new tail."""
    knots_ns = running.start_ns + running.times_ns
    cut = np.flatnonzero(knots_ns <= now_ns - 20 * MS)[-1]
    splice = np.flatnonzero(knots_ns >= now_ns + overlap_ns)[0]
    tail = wander(rng, running.states[splice], int(knots_ns[splice]))
    times = np.concatenate([knots_ns[cut:splice], tail.start_ns + tail.times_ns])
    states = np.concatenate([running.states[cut:splice], tail.states])
    return Plan(int(times[0]), times - times[0], states)


def run(send, cycles, period_ns=PERIOD_NS, **config):
    """Drive a controller with ideal joints; `send(controller, cycle, time_ns)` before each cycle.

    Returns:
        The jerk of the reference, (N, J) rad/s^3.
    """
    position, velocity = np.zeros(len(JOINTS)), np.zeros(len(JOINTS))
    controller = TrajectoryController(
        ControllerConfig(JOINTS, period_ns, **config), position, velocity
    )
    references = []
    for cycle in range(cycles):
        time_ns = T0 + cycle * period_ns
        send(controller, cycle, time_ns)
        state = controller.update(time_ns, period_ns, position, velocity).state
        references.append(state.reference.positions)
        velocity = (controller.command - position) / (period_ns / 1e9)
        position = controller.command
    return np.diff(references, 3, axis=0) / (period_ns / 1e9) ** 3


@pytest.mark.parametrize("from_desired", [False, True])
@pytest.mark.parametrize("period_ns", [PERIOD_NS, 1 * MS])
@pytest.mark.parametrize("by", ["topic", "goal"])
def test_overlap_plans_keep_the_jerk_limit_exactly(from_desired, period_ns, by):
    rng = np.random.default_rng(3)
    rest = np.zeros((3, len(JOINTS)))
    plan = wander(rng, rest, T0 - 20 * MS)
    sent = 0

    def send(controller, cycle, time_ns):
        nonlocal plan, sent
        if cycle == 0 or time_ns >= T0 + sent * 170 * MS:
            if cycle:
                plan = overlapping(rng, plan, time_ns - 3 * MS)
            message = plan.message()
            assert controller.check(message, time_ns) is None
            if by == "goal":
                controller.accept(Goal(sent, message))
            else:
                controller.receive(message, time_ns)
            sent += 1

    seconds = 12 if period_ns == PERIOD_NS else 2
    jerk = run(
        send,
        seconds * 1_000_000_000 // period_ns,
        period_ns,
        interpolate_from_desired_state=from_desired,
    )
    # Third differences at 1 kHz divide the rounding of positions of some rad by 1e-9.
    assert np.abs(jerk).max() / J == pytest.approx(1.0, abs=1e-4 if period_ns > MS else 1e-3)
    assert np.sqrt(np.mean(jerk**2)) / J > 0.5
    assert sent > 10


def chunks_of_positions(rng, time_ns, position):
    points, q = [], position
    for row in range(60):
        if row % 10 == 0:
            q = position + rng.uniform(-0.2, 0.2, size=len(JOINTS))
        points.append(TrajectoryPoint(row * KNOT_NS, q))
    return JointTrajectory(0, JOINTS, tuple(points))


def test_a_positions_only_chunk_that_starts_now_exceeds_the_limit_a_thousandfold():
    rng = np.random.default_rng(3)

    def send(controller, cycle, time_ns):
        if cycle % 20 == 0:
            controller.receive(chunks_of_positions(rng, time_ns, controller.command), time_ns)

    assert np.abs(run(send, 1000)).max() / J > 1e3


def test_one_point_a_message_exceeds_the_limit_a_hundredfold():
    rng = np.random.default_rng(3)

    def send(controller, cycle, time_ns):
        if cycle % 3 == 0:
            target = rng.uniform(-0.2, 0.2, size=len(JOINTS))
            controller.receive(
                JointTrajectory(0, JOINTS, (TrajectoryPoint(KNOT_NS, target),)), time_ns
            )

    assert np.abs(run(send, 1000)).max() / J > 1e2


def test_full_points_without_overlap_exceed_the_limit_a_hundredfold():
    rng = np.random.default_rng(3)
    plan = wander(rng, np.zeros((3, len(JOINTS))), T0)

    def send(controller, cycle, time_ns):
        nonlocal plan
        if cycle % 20 == 0:
            if cycle:
                # From the state of 100 ms ago, which a policy saw; started as soon as it is ready.
                seen = np.flatnonzero(plan.start_ns + plan.times_ns <= time_ns - 100 * MS)[-1]
                plan = wander(rng, plan.states[seen], time_ns)
            controller.receive(plan.message(stamp_ns=0), time_ns)

    assert np.abs(run(send, 1000)).max() / J > 1e2


def moving_at_one_rad_per_s():
    """From rest to 1 rad/s in all joints, then on at that speed, then to rest."""
    h = KNOT_NS / 1e9
    states = [np.zeros((3, len(JOINTS)))]
    ramp = 1.0 / (6 * h * h * 6)
    for jerk in [ramp] * 6 + [-ramp] * 6 + [0.0] * 30 + [-ramp] * 6 + [ramp] * 6:
        states.append(step(states[-1], np.full(len(JOINTS), jerk), h))
    states[-1][1:] = 0.0
    return Plan(T0, np.arange(len(states)) * KNOT_NS, np.array(states))


def test_cancelling_a_goal_in_motion_costs_ten_thousand():
    plan = moving_at_one_rad_per_s()

    def send(controller, cycle, time_ns):
        if cycle == 0:
            controller.accept(Goal("g", plan.message()))
        if cycle == 80:
            controller.cancel("g")

    jerk = run(send, 120)
    assert np.abs(jerk[:70]).max() < J
    assert np.abs(jerk).max() == pytest.approx(1e4, rel=0.1)


def test_an_overlap_brake_stops_at_the_jerk_limit():
    plan = moving_at_one_rad_per_s()
    h = KNOT_NS / 1e9

    def send(controller, cycle, time_ns):
        if cycle == 0:
            controller.receive(plan.message(), time_ns)
        if cycle == 80:
            knots_ns = plan.start_ns + plan.times_ns
            cut = np.flatnonzero(knots_ns <= time_ns - 20 * MS)[-1]
            splice = np.flatnonzero(knots_ns >= time_ns + 100 * MS)[0]
            states = list(plan.states[cut : splice + 1])
            for jerk in braking(states[-1], h):
                states.append(step(states[-1], jerk, h))
            states[-1][1:] = 0.0
            start_ns = int(knots_ns[cut])
            brake = Plan(start_ns, np.arange(len(states)) * KNOT_NS, np.array(states))
            controller.receive(brake.message(), time_ns)

    jerk = run(send, 150)
    assert np.abs(jerk).max() <= J * 1.0001
    assert np.abs(jerk[-20:]).max() < 1e-6


def test_a_plan_whose_splice_has_passed_is_accepted_and_steps():
    plan = moving_at_one_rad_per_s()

    def send(controller, cycle, time_ns):
        if cycle == 0:
            controller.receive(plan.message(), time_ns)
        if cycle == 80:
            late = overlapping(np.random.default_rng(1), plan, time_ns - 300 * MS)
            assert controller.receive(late.message(), time_ns) is None

    assert np.abs(run(send, 150)).max() > 10 * J
