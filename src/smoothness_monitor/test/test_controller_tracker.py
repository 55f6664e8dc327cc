# SPDX-License-Identifier: Apache-2.0
"""What the monitor believes that the controller runs."""

import numpy as np

from smooth_motion import Acknowledged, Plan
from smooth_motion.messages import ControllerState
from smoothness_monitor.core.controller_tracker import ControllerTracker

MS = 1_000_000
NAMES = ("a", "b")
AT = np.array([0.1, -0.2])


def _hold(start_ns, end_ns):
    rows = np.array([AT, AT])
    return Plan(NAMES, start_ns, np.array([0, end_ns - start_ns]), rows, 0 * rows, 0 * rows)


def _hear(tracker, stamp_ns, start_ns):
    reference = np.array([AT, 0 * AT, 0 * AT])
    message = ControllerState(stamp_ns, stamp_ns - start_ns, NAMES, *reference)
    return tracker.observe(message, reference, stamp_ns).verdict.kind


def test_a_plan_under_way_when_an_action_goal_ends_is_known_when_it_arrives():
    tracker = ControllerTracker(NAMES, 300 * MS)
    _hear(tracker, 1000 * MS, 1000 * MS)
    goal = _hold(1010 * MS, 1100 * MS)
    tracker.sent(goal, 1010 * MS, 1010 * MS)
    assert _hear(tracker, 1090 * MS, goal.start_ns) is Acknowledged.RUNNING
    late = _hold(1095 * MS, 1400 * MS)
    tracker.sent(late, 1096 * MS, 1096 * MS)
    # The goal has ended; the controller holds there, from a start of its own.
    assert _hear(tracker, 1110 * MS, 1110 * MS) is Acknowledged.PENDING
    assert tracker.runs(goal)
    assert tracker.may_run[-1] is late
    # Then it takes the plan up.
    assert _hear(tracker, 1120 * MS, late.start_ns) is Acknowledged.RUNNING
    assert tracker.runs(late)


def test_a_plan_that_never_arrives_after_an_action_goal_counts_as_lost():
    tracker = ControllerTracker(NAMES, 300 * MS)
    _hear(tracker, 1000 * MS, 1000 * MS)
    goal = _hold(1010 * MS, 1100 * MS)
    tracker.sent(goal, 1010 * MS, 1010 * MS)
    _hear(tracker, 1090 * MS, goal.start_ns)
    tracker.sent(_hold(1095 * MS, 1400 * MS), 1096 * MS, 1096 * MS)
    _hear(tracker, 1110 * MS, 1110 * MS)
    assert _hear(tracker, 1500 * MS, 1110 * MS) is Acknowledged.LOST
