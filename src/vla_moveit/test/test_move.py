# SPDX-License-Identifier: Apache-2.0
"""A move from its request to its end, with the executor that everybody's chunks go through."""

from __future__ import annotations

import numpy as np
import pytest

from smooth_motion import Plan
from vla_contract.clearance import ArmClearances
from vla_moveit.core.goal import MoveRequest
from vla_moveit.core.move import SOURCE
from vla_moveit.core.outcome import MoveEnd, MovePhase, StampedRows
from vla_moveit.core.planning import PathAnswer
from vla_policy_node.core.permit import MonitorState

HOME = MoveRequest(named="home")
# Upright, and to a side: clear of everything, and the way there from home is.
AWAY = {
    "so101": [1.2, -0.6, 0.4, 0.9, 0.5],
    "panda": [1.2, -0.3, 0.4, -1.9, 0.3, 1.7, 0.2],
    "fr3": [1.2, -0.3, 0.4, -1.9, 0.3, 1.7, 0.2],
}


def to(bench, positions, **more):
    joints = bench.robot.limits.joint_names
    return MoveRequest(joints=joints, positions=tuple(map(float, positions)), **more)


class Detour:
    """A planner that answers late, with corners, as a sampling planner does."""

    def __init__(self, via, polls=30, varies=False):
        self._via, self._polls, self.varies = np.atleast_2d(via), polls, varies
        self._left, self._answer = 0, None
        self.checked = []
        self.problem = self.check_problem = ""

    def begin(self, question):
        self._left = self._polls
        if hasattr(question, "goal"):
            points = np.vstack([question.start, self._via, question.goal])
            self._answer = PathAnswer(points, self.problem)
        else:
            self.checked.append(question.points)
            self._left = 5
            self._answer = PathAnswer(question.points[:0], self.check_problem)

    def poll(self):
        self._left -= 1
        return self._answer if self._left <= 0 else None

    def close(self):
        pass


@pytest.mark.parametrize("name", AWAY)
def test_the_arm_goes_away_and_comes_home_within_its_limits_and_clear(make_bench, robots, name):
    bench = make_bench(name)
    bench.begin(to(bench, AWAY[name]))
    there = bench.until_over()
    assert (there.reason, there.message) == (MoveEnd.REACHED, "the arm rests at the goal")
    assert bench.commands[-1] == pytest.approx(AWAY[name], abs=2e-3)
    bench.begin(HOME)
    back = bench.until_over()
    assert back.reason is MoveEnd.REACHED
    assert bench.commands[-1] == pytest.approx(bench.robot.home_position, abs=2e-3)
    assert bench.jerk() <= 1.001
    _, workspace = robots(name)
    assert ArmClearances(workspace).of(np.array(bench.commands)).min() >= workspace.margin
    assert len(bench.released) == 2
    assert bench.executor.status(bench.now_ns, bench.now_ns).holder == ""


def test_a_path_with_corners_is_followed_as_it_was_foretold(make_bench):
    planner = Detour([[0.8, -0.9, 0.6, 1.0, 1.0], [-0.4, -0.4, 0.2, 0.4, -0.6]])
    bench = make_bench(planner=planner)
    bench.begin(to(bench, AWAY["so101"], speed=1.0))
    result = bench.until_over()
    assert result.reason is MoveEnd.REACHED
    assert bench.jerk() <= 1.001
    led = np.array(bench.commands)
    # What was checked is what was done: nowhere is the arm far from all of it.
    foretold = result.schedule.motion
    times = np.arange(0, foretold.end_ns, 5_000_000)
    known = foretold.sample(times).position
    away = np.abs(led[:, None] - known[None]).max(axis=2).min(axis=1)
    assert away.max() < 0.01
    assert len(planner.checked) == 1, "the motion was checked, not only the path"


def test_an_arm_that_already_is_there_moves_nowhere(make_bench):
    bench = make_bench()
    bench.begin(HOME)
    assert bench.until_over().reason is MoveEnd.REACHED
    assert np.ptp(np.array(bench.commands), axis=0).max() < 1e-6


def test_a_plan_alone_asks_for_nothing_and_moves_nothing(make_bench):
    bench = make_bench()
    bench.begin(to(bench, AWAY["so101"], plan_only=True))
    result = bench.until_over()
    assert (result.reason, bench.asked, bench.chunks) == (MoveEnd.REACHED, 0, [])
    assert result.schedule.points[-1] == pytest.approx(AWAY["so101"])
    assert result.schedule.motion.end_ns > 1e9


def test_what_is_in_the_way_is_named_and_the_arm_given_back(make_bench):
    bench = make_bench()
    # The hand through the table.
    bench.begin(to(bench, [0.0, 1.2, -1.0, 1.2, 0.0]))
    result = bench.until_over()
    assert result.reason is MoveEnd.NO_PATH
    assert "the straight way there is not clear" in result.message
    assert "to the table" in result.message
    assert len(bench.released) == 1
    assert np.ptp(np.array(bench.commands), axis=0).max() < 1e-6


def test_a_motion_that_is_not_clear_is_not_begun_though_its_path_was_found(make_bench):
    planner = Detour([AWAY["so101"]])
    planner.check_problem = "the lamp"
    bench = make_bench(planner=planner)
    bench.begin(HOME)
    result = bench.until_over()
    assert result.reason is MoveEnd.NO_PATH
    assert result.message == "the motion along the path is not clear: the lamp"
    assert np.ptp(np.array(bench.commands), axis=0).max() < 1e-6


def test_a_planner_that_draws_its_paths_is_asked_for_others_while_there_is_time(make_bench):
    planner = Detour([AWAY["so101"]], varies=True)
    planner.check_problem = "the lamp"
    bench = make_bench(planner=planner)
    bench.begin(HOME)
    bench.run(2.0)
    assert len(planner.checked) > 2, "each path grazed the lamp"
    planner.check_problem = ""
    assert bench.until_over().reason is MoveEnd.REACHED


def test_where_every_path_is_in_the_way_of_something_the_last_is_told(make_bench):
    planner = Detour([AWAY["so101"]], varies=True)
    planner.check_problem = "the lamp"
    bench = make_bench(planner=planner)
    bench.begin(HOME)
    result = bench.until_over()
    assert result.reason is MoveEnd.NO_PATH
    assert result.message.startswith("the motion along the path is not clear: the lamp (path ")
    assert np.ptp(np.array(bench.commands), axis=0).max() < 1e-6


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[0.0] * 5], "begins 1.2500 rad from where the arm is"),
        ([[np.nan] * 5], "not finite"),
        ([[0.0] * 4], "shape (1, 4)"),
        (np.zeros((3000, 5)), "shape (3000, 5)"),
        (np.zeros((0, 5)), "shape (0, 5)"),
    ],
)
def test_a_planner_is_not_believed(make_bench, points, words):
    planner = Detour([AWAY["so101"]])
    bench = make_bench(planner=planner)
    bench.begin(HOME)
    bench.run(0.6)
    planner._answer = PathAnswer(np.array(points, dtype=float))
    result = bench.until_over()
    assert result.reason is MoveEnd.NO_PATH
    assert words in result.message


def test_a_path_beyond_the_joints_ranges_is_not_followed(make_bench):
    bench = make_bench(planner=Detour([[0.0, 0.0, 0.0, 9.0, 0.0]]))
    bench.begin(HOME)
    assert "leaves the joints' ranges" in bench.until_over().message


def test_a_planner_that_finds_nothing_is_not_waited_for_for_ever(make_bench):
    bench = make_bench(planner=Detour([AWAY["so101"]], polls=10**9))
    bench.begin(HOME)
    result = bench.until_over()
    assert result.reason is MoveEnd.NO_PATH
    assert "within 5 s (planning_time_s)" in result.message
    # All the while it held the arm.
    assert len(bench.released) == 1


def test_the_arm_is_kept_while_a_planner_takes_its_time(make_bench):
    """Without a usable chunk for two seconds a source loses the arm."""
    bench = make_bench(planner=Detour([AWAY["so101"]], polls=400))
    bench.begin(HOME)
    bench.run(4.0)
    assert bench.move.phase is MovePhase.PLANNING
    assert bench.executor.status(bench.now_ns, bench.now_ns).holder == "motion_planner"
    assert np.ptp(np.array(bench.commands), axis=0).max() < 1e-6
    assert bench.until_over().reason is MoveEnd.REACHED


def moving(bench, seconds=1.8):
    bench.begin(to(bench, AWAY["so101"], speed=0.3))
    bench.run(seconds)
    assert bench.move.phase is MovePhase.MOVING
    assert np.abs(np.diff(bench.commands[-3:], axis=0)).max() > 1e-4, "it moves"


def test_a_cancelled_move_comes_to_rest_on_its_path_and_gives_the_arm_back(make_bench):
    bench = make_bench()
    moving(bench)
    bench.move.cancel(MoveEnd.CANCELED, "the client asked to stop")
    result = bench.until_over(4.0)
    assert result.reason is MoveEnd.CANCELED
    start, end = np.array(bench.commands[0]), np.array(AWAY["so101"])
    led = np.array(bench.commands)
    share = ((led - start) @ (end - start)) / ((end - start) @ (end - start))
    off = np.abs(start + share[:, None] * (end - start) - led).max()
    assert off < 5e-3, "on the line all the time"
    assert 0.05 < share[-1] < 0.9, "neither at once nor at the goal"
    assert np.diff(share).min() > -1e-4, "and not back"
    assert bench.jerk() <= 1.001
    rest = bench.commands[-1]
    bench.run(3.0)
    assert bench.commands[-1] == pytest.approx(rest, abs=1e-4)


def test_cancelled_while_a_path_is_sought_nothing_has_moved(make_bench):
    bench = make_bench(planner=Detour([AWAY["so101"]], polls=10**9))
    bench.begin(HOME)
    bench.run(1.5)
    bench.move.cancel(MoveEnd.CANCELED, "the client asked to stop")
    assert bench.until_over(2.0).reason is MoveEnd.CANCELED
    assert len(bench.released) == 1
    assert np.ptp(np.array(bench.commands), axis=0).max() < 1e-6


def test_a_grant_that_comes_after_the_end_is_given_back(make_bench):
    bench = make_bench()
    bench.answers = False
    bench.begin(HOME)
    bench.run(0.1)
    bench.move.cancel(MoveEnd.CANCELED, "the client asked to stop")
    assert bench.until_over(1.0).reason is MoveEnd.CANCELED
    assert bench.move.granted(77, "", "", bench.now).release == 77


def test_an_arm_that_is_held_is_not_taken_unasked(make_bench):
    bench = make_bench()
    assert bench.ask("leader arm").lease is not None
    bench.begin(HOME)
    result = bench.until_over()
    assert result.reason is MoveEnd.NOT_GRANTED
    assert "leader arm holds the arm" in result.message


def test_the_arm_that_the_move_before_gives_back_is_waited_for(make_bench):
    bench = make_bench()
    lease = bench.ask(SOURCE).lease.number
    bench.begin(HOME)
    bench.run(0.5)
    assert bench.result is None, "it may be given back any moment"
    bench.executor.arbiter.release(lease)
    assert bench.until_over().reason is MoveEnd.REACHED


def test_but_not_for_ever(make_bench):
    bench = make_bench()
    assert bench.ask(SOURCE).lease is not None
    bench.begin(HOME)
    hold = np.tile(bench.robot.home_position, (120, 1))
    for _ in range(300):
        bench.offer(1, StampedRows(bench.now_ns, hold))
        bench.tick()
    assert bench.result.reason is MoveEnd.NOT_GRANTED
    assert "motion_planner holds the arm" in bench.result.message


def test_an_arm_in_motion_is_taken_over_brought_to_rest_and_led_home(make_bench):
    bench = make_bench()
    lease = bench.ask("leader arm").lease.number
    home = bench.robot.home_position
    rows = home + np.linspace(0.0, 1.0, 60)[:, None] * (np.array(AWAY["so101"]) - home)
    bench.offer(lease, StampedRows(bench.now_ns, rows))
    bench.run(1.0)
    assert np.abs(np.diff(bench.commands[-3:], axis=0)).max() > 1e-3, "it moves"
    bench.begin(MoveRequest(named="home", take_over=True))
    result = bench.until_over()
    assert result.reason is MoveEnd.REACHED
    assert bench.commands[-1] == pytest.approx(home, abs=2e-3)
    assert bench.jerk() <= 1.001


def test_an_arm_that_is_taken_over_is_led_no_further(make_bench):
    bench = make_bench()
    moving(bench)
    assert bench.ask("leader arm", take_over=True).lease is not None
    result = bench.until_over(1.0)
    assert result.reason is MoveEnd.ARM_TAKEN
    assert "leader arm took the arm over" in result.message
    sent = len(bench.chunks)
    bench.run(2.0)
    assert len(bench.chunks) == sent


def test_a_stop_of_the_monitor_ends_the_move_and_no_reset_goes_on_with_it(make_bench):
    bench = make_bench()
    moving(bench)
    bench.state = MonitorState.STOPPING
    bench.view.cause = "measured_jerk: too much"
    result = bench.until_over(1.0)
    assert result.reason is MoveEnd.STOPPED
    assert "measured_jerk: too much" in result.message
    bench.state = MonitorState.READY
    sent = len(bench.chunks)
    bench.run(2.0)
    assert len(bench.chunks) == sent


def test_slowed_down_by_the_monitor_the_arm_arrives_later_by_the_same_way(make_bench):
    times = []
    for scaling in (1.0, 0.4):
        bench = make_bench()
        bench.scaling = scaling
        begun_ns = bench.now_ns
        bench.begin(to(bench, AWAY["so101"]))
        assert bench.until_over().reason is MoveEnd.REACHED
        times.append(bench.now_ns - begun_ns)
        led = np.array(bench.commands)
        line = np.array(AWAY["so101"]) - led[0]
        share = ((led - led[0]) @ line) / (line @ line)
        assert np.abs(led[0] + share[:, None] * line - led).max() < 5e-3
    assert times[1] > 1.6 * times[0]


@pytest.mark.parametrize(("first", "then"), [(1.0, 0.25), (0.25, 1.0)])
def test_a_change_of_speed_on_the_way_leads_off_the_path_by_little(make_bench, first, then):
    bench = make_bench(planner=Detour([[0.8, -0.9, 0.6, 1.0, 1.0]], polls=1))
    bench.scaling = first
    bench.begin(to(bench, AWAY["so101"], speed=1.0))
    bench.run(2.0)
    assert bench.move.phase is MovePhase.MOVING
    bench.scaling = then
    result = bench.until_over()
    assert result.reason is MoveEnd.REACHED, result.message
    assert bench.jerk() <= 1.001


def test_an_arm_that_was_slow_is_not_given_up_when_it_may_be_fast_again(make_bench):
    """At a tenth of its speed it had ten times as long, and at its own speed it has the rest."""
    bench = make_bench()
    bench.scaling = 0.1
    bench.begin(to(bench, AWAY["so101"], speed=0.5))
    bench.run(3.9)
    assert bench.move.phase is MovePhase.MOVING
    assert bench.move.progress() == 0.0, "so slow that it is at the beginning still"
    bench.scaling = 1.0
    result = bench.until_over()
    assert result.reason is MoveEnd.REACHED, result.message


def test_an_arm_slowed_down_before_its_goal_may_take_its_time_to_rest_there(make_bench):
    """It goes a little beyond and comes back: at a quarter of its speed that takes its time."""
    at = np.array([0.0, 0.25, -1.88, -2.26, 1.72, 1.33, -1.6])
    goal = np.array([0.46, -0.32, 0.05, -1.29, -0.9, 1.52, 1.25])
    bench = make_bench("fr3", at=at, planner=Detour(0.5 * (at + goal), polls=1))
    bench.begin(to(bench, goal, speed=0.95))
    for seconds, scaling in ((1.39, 0.25), (3.9, 1.0)):
        bench.run(seconds)
        assert bench.move.phase is MovePhase.MOVING
        bench.scaling = scaling
    result = bench.until_over()
    assert result.reason is MoveEnd.REACHED, result.message


def test_the_flat_end_of_a_slow_path_is_an_end(make_bench):
    bench = make_bench()
    bench.begin(to(bench, AWAY["so101"], speed=0.05))
    assert bench.until_over(120.0).reason is MoveEnd.REACHED


def test_plans_that_are_never_carried_out_end_the_move_in_words(make_bench):
    bench = make_bench()
    bench.deliver = lambda plan: False
    bench.begin(to(bench, AWAY["so101"]))
    result = bench.until_over(30.0)
    assert result.reason in (MoveEnd.NOT_FOLLOWED, MoveEnd.ARM_TAKEN)
    assert "rad from the goal" in result.message or "moved nothing" in result.message


def test_an_arm_that_was_held_up_goes_on_from_where_it_is(make_bench):
    """The line to where it would have been by now was planned by nobody."""
    planner = Detour([[1.4, -0.9, 0.6, 1.0, 1.0], [-1.0, -0.4, 0.2, 0.4, -0.6]], polls=1)
    bench = make_bench(planner=planner)
    bench.begin(to(bench, AWAY["so101"], speed=0.8))
    bench.run(1.6)
    # Nothing arrives for longer than what runs lasts at this point of the path.
    held_up = bench.now_ns + 1_500_000_000
    bench.deliver = lambda plan: bench.now_ns > held_up
    result = bench.until_over()
    foretold = result.schedule.motion
    known = foretold.sample(np.arange(0, foretold.end_ns, 5_000_000)).position
    led = np.array(bench.commands)
    away = np.abs(led[:, None] - known[None]).max(axis=2).min(axis=1)
    assert away.max() < 0.06
    assert result.reason is MoveEnd.REACHED, result.message


def test_a_silent_controller_ends_the_move(make_bench):
    bench = make_bench()
    moving(bench)
    bench.controller = False
    result = bench.until_over(2.0)
    assert result.reason is MoveEnd.INPUT_LOST
    assert "controller has said nothing" in result.message


def test_a_controller_that_is_heard_a_moment_later_is_waited_for(make_bench):
    bench = make_bench()
    bench.view.led, bench.controller = None, False
    bench.begin(HOME)
    bench.run(0.5)
    assert (bench.result, bench.asked) == (None, 0)
    bench.controller = True
    assert bench.until_over().reason is MoveEnd.REACHED
    bench.view.led, bench.controller = None, False
    bench.begin(HOME)
    assert bench.until_over(5.0).message == "nothing is heard of the arm's controller"


def test_what_the_monitor_refused_before_is_no_reason_of_this_move(make_bench):
    for more, told in ((0, False), (1, True)):
        bench = make_bench()
        bench.view.rejections, bench.view.rejection = 7, "workspace: the lamp"
        moving(bench)
        bench.view.rejections += more
        bench.running = Plan.hold(
            bench.robot.limits.joint_names, bench.commands[-1] + 0.4, bench.now_ns
        )
        words = bench.until_over(10.0).message
        assert ("the monitor refused a plan: workspace: the lamp" in words) is told


def test_an_executor_that_does_not_answer_is_named(make_bench):
    bench = make_bench()
    bench.answers = False
    bench.begin(HOME)
    result = bench.until_over(10.0)
    assert result.reason is MoveEnd.INPUT_LOST
    assert "nobody answers arm/acquire" in result.message
    assert bench.asked == 1


def test_an_arm_that_was_pushed_off_its_path_is_brought_to_rest(make_bench):
    bench = make_bench()
    moving(bench)
    elsewhere = bench.commands[-1] + 0.4
    names = bench.robot.limits.joint_names
    bench.running = Plan.hold(names, elsewhere, bench.now_ns)
    result = bench.until_over(10.0)
    assert result.reason is MoveEnd.NOT_FOLLOWED
    assert "rad off the path" in result.message
