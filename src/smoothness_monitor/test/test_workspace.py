# SPDX-License-Identifier: Apache-2.0
"""The workspace guard: no plan goes through that leads the arm into something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from smooth_motion import Chunk, Plan, State, track
from smoothness_monitor.core.types import StopState
from smoothness_monitor.core.workspace import Nearness, WorkspaceGuard
from smoothness_monitor.params import ConfigError, NodeParams, find_workspace
from vla_contract.clearance import ArmClearances, segment_distance
from vla_contract.robot import load_robot
from vla_contract.workspace import load_workspace

FOLDER = Path(__file__).parents[3] / "config" / "robots" / "panda"
MS = 1_000_000


@pytest.fixture(scope="module")
def panda():
    return load_robot(FOLDER / "robot.yaml")


@pytest.fixture(scope="module")
def space(panda):
    return load_workspace(FOLDER / "workspace.yaml", panda.limits.joint_names)


@pytest.fixture
def guard(space, panda):
    return WorkspaceGuard(space, panda.limits.acceleration)


def way(panda, goal, begin=None):
    """Return a plan from home, or elsewhere, to a posture."""
    begin = panda.home_position if begin is None else np.array(begin)
    names = panda.limits.joint_names
    rows = Chunk(names, 0, 33 * MS, np.linspace(begin, np.array(goal, dtype=float), 40))
    return track(rows, State.at_rest(begin), panda.limits, start_ns=0)


# The shoulder forward and the elbow open: the hand goes through the table in front of the base.
DOWN = [0.0, 0.9, 0.0, -2.0, 0.0, 1.57, 0.785]
FOLDED = [0.0, -1.2, 0.0, -3.0, 0.0, 0.3, 0.785]


def test_a_plan_into_the_table_is_named_before_it_gets_there(guard, panda):
    """H33."""
    found = guard.judge(way(panda, DOWN), 0)
    assert found is not None
    assert found.what.endswith("to the table")
    assert found.what.startswith(("panda_hand", "panda_fingers"))
    assert found.distance < found.margin


def test_a_plan_into_the_arm_itself_names_both_links(guard, panda):
    """H33."""
    found = guard.judge(way(panda, FOLDED), 0)
    assert found is not None
    assert found.what == "panda_link2 to panda_hand"


def test_a_plan_in_the_air_is_clear_and_the_nearest_thing_is_known(guard, panda):
    assert guard.judge(way(panda, panda.home_position + 0.15), 0) is None
    assert 0.002 < guard.nearest.distance < 0.5
    assert " to " in guard.nearest.what


def test_what_is_over_is_not_looked_at_again(guard, panda):
    into = way(panda, DOWN)
    hold = Plan.hold(panda.limits.joint_names, panda.home_position, 0)
    assert guard.judge(into, 0) is not None
    assert guard.judge(hold, 10**12) is None


def test_an_arm_that_is_too_near_at_first_may_leave_and_not_go_further_in(guard, panda):
    inside = next(
        posture
        for share in np.linspace(0.0, 1.0, 200)
        if guard.clearances(
            (posture := panda.home_position + share * (np.array(DOWN) - panda.home_position))[None]
        ).min()
        < 0.0
    )
    assert guard.judge(way(panda, panda.home_position, inside), 0) is None
    assert guard.judge(way(panda, DOWN, inside), 0) is not None


def posture_at(guard, panda, clearance):
    """Return the first posture on the way from home to DOWN that is nearer than that, m."""
    line = panda.home_position + np.linspace(0.0, 1.0, 4000)[:, None] * (
        np.array(DOWN) - panda.home_position
    )
    return line[int(np.argmax(guard.clearances(line).min(axis=1) < clearance))]


def creep(guard, panda, posture, plans=80):
    """Ask for so many plans towards DOWN, each as long as it may be; return the nearest end, m."""
    ahead = (np.array(DOWN) - posture) / np.linalg.norm(np.array(DOWN) - posture)
    step, forwarded, nearest = 0.004, 0, np.inf
    for _ in range(plans):
        plan = way(panda, posture + step * ahead, posture)
        if guard.judge(plan, 0) is not None:
            step *= 0.7
            continue
        forwarded += 1
        posture = plan.sample(np.array([plan.end_ns])).position[0]
        nearest = min(nearest, guard.clearances(posture[None]).min())
    assert forwarded > 3
    return nearest


def test_many_small_plans_come_no_nearer_than_one(guard, space, panda):
    begin = posture_at(guard, panda, 0.004)
    assert guard.clearances(begin[None]).min() > space.margin
    assert creep(guard, panda, begin) >= space.margin - 1e-4


def test_many_small_plans_of_an_arm_that_woke_up_too_near_lead_no_nearer_than_one(guard, panda):
    begin = posture_at(guard, panda, -0.003)
    woken = guard.clearances(begin[None]).min()
    assert creep(guard, panda, begin) >= woken - 0.0011


def test_an_arm_that_has_left_keeps_what_it_has_left(guard, space, panda):
    begin, out = posture_at(guard, panda, -0.003), posture_at(guard, panda, 0.004)
    assert guard.judge(way(panda, out, begin), 0) is None
    # The way out is forwarded. From where it ends the margin is kept again.
    assert creep(guard, panda, out) >= space.margin - 1e-4
    assert guard.judge(way(panda, begin, out), 0) is not None


def test_an_arm_that_was_moved_in_by_hand_may_leave(guard, panda):
    assert guard.judge(way(panda, panda.home_position + 0.1), 0) is None
    begin = posture_at(guard, panda, -0.003)
    assert guard.judge(way(panda, DOWN, begin), 0) is not None
    assert guard.judge(way(panda, panda.home_position, begin), 0) is None


def test_a_plan_that_is_refused_changes_nothing_for_the_next(guard, space, panda):
    begin = posture_at(guard, panda, 0.004)
    assert guard.judge(way(panda, begin + 1e-4, begin), 0) is None
    inside = posture_at(guard, panda, -0.003)
    for _ in range(3):
        assert guard.judge(way(panda, DOWN, inside), 0) is not None
    assert creep(guard, panda, begin) >= space.margin - 1e-4


def test_an_obstacle_and_the_wall_of_a_box_are_kept_clear_of(space, panda):
    tip = np.array([0.307, 0.0, 0.487])
    corners = tip + np.array([[0.15, -0.2, -0.2], [0.3, 0.2, 0.2]])
    forward = [0.0, -0.2, 0.0, -1.9, 0.0, 1.7, 0.785]
    free = WorkspaceGuard(space, panda.limits.acceleration)
    assert free.judge(way(panda, forward), 0) is None
    walled = replace(space, obstacles=(("a post", corners),))
    found = WorkspaceGuard(walled, panda.limits.acceleration).judge(way(panda, forward), 0)
    assert found is not None
    assert found.what.endswith("to a post")
    boxed = replace(space, box=np.array([[-1.0, -1.0, -1.0], [0.45, 1.0, 1.5]]))
    found = WorkspaceGuard(boxed, panda.limits.acceleration).judge(way(panda, forward), 0)
    assert found is not None
    assert found.what.endswith("to the wall of the box")


def test_a_short_dip_between_two_looks_is_seen(guard, panda):
    """Fast down and up again: the first looks are 40 ms apart."""
    posture = np.array(DOWN)
    way_in = np.linspace(0.0, 1.0, 400)[:, None]
    line = panda.home_position + way_in * (posture - panda.home_position)
    clear = guard.clearances(line).min(axis=1)
    edge = int(np.argmax(clear < 0.004))
    begin, dip = line[edge - 1], line[edge + 4]
    times = np.array([0, 10, 20, 30, 40]) * MS
    rows = np.array([begin, 0.5 * (begin + dip), dip, 0.5 * (begin + dip), begin])
    # Not a plan that a planner makes: only sampled here.
    plan = _Sampled(times, rows)
    assert guard.clearances(rows[:1]).min() > 0.002
    assert guard.judge(plan, 0) is not None


class _Sampled:
    """Straight lines between rows, at the largest speed that they have."""

    start_ns = 0

    def __init__(self, times, rows):
        self.times, self.rows = times, rows
        self.end_ns = int(times[-1])
        self.accelerations = np.zeros((1, rows.shape[1]))

    def sample(self, at):
        position = np.array([np.interp(at, self.times, column) for column in self.rows.T]).T
        speed = np.abs(np.gradient(self.rows, self.times * 1e-9, axis=0)).max(axis=0)
        return SimpleNamespace(position=position, velocity=np.tile(speed, (len(at), 1)))


def distance(p1, q1, p2, q2):
    d1, d2, r = q1 - p1, q2 - p2, p1 - p2
    products = (d1 @ d1, d2 @ d2, d1 @ d2, d1 @ r, d2 @ r, r @ r)
    a, e, *rest = (np.array(each) for each in products)
    return float(segment_distance(np.maximum(a, 1e-12), np.maximum(e, 1e-12), *rest))


def test_the_distance_of_segments_is_that_of_a_search():
    rng = np.random.default_rng(0)
    share = np.linspace(0.0, 1.0, 201)
    for _ in range(30):
        p1, q1, p2, q2 = rng.uniform(-1.0, 1.0, (4, 3))
        one = p1 + share[:, None] * (q1 - p1)
        other = p2 + share[:, None] * (q2 - p2)
        searched = np.linalg.norm(one[:, None] - other[None], axis=2).min()
        assert distance(p1, q1, p2, q2) == pytest.approx(searched, abs=0.01)
    assert distance(p1, p1, p2, p2) == pytest.approx(np.linalg.norm(p1 - p2), abs=1e-5)
    up, aside = np.array([0.0, 0.0, 1.0]), np.array([0.3, 0.0, 0.0])
    assert distance(p1, p1 + up, p1 + aside, p1 + aside + up) == pytest.approx(0.3)


def surrounded(space):
    """Return the workspace with everything in it that there can be."""
    return replace(
        space,
        box=np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.5]]),
        obstacles=(("a post", np.array([[0.4, -0.1, 0.0], [0.5, 0.1, 0.6]])),),
    )


def placed(space, posture):
    """Return the ends of all capsules (C, 2, 3), joint by joint, with matrices of 4 x 4."""
    frame, found = np.eye(4), np.array(space.ends)
    for joint, angle in enumerate(posture):
        own = np.eye(4)
        if space.slides[joint]:
            own[2, 3] = angle
        else:
            own[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        frame = frame @ space.frames[joint] @ own
        for row in np.flatnonzero(space.joint == joint):
            found[row] = space.ends[row] @ frame[:3, :3].T + frame[:3, 3]
    return found


@pytest.mark.parametrize("slides", [False, True])
def test_every_distance_is_that_of_its_two_capsules(space, slides):
    space = replace(surrounded(space), slides=np.arange(7) == (3 if slides else -1))
    arm = ArmClearances(space)
    moving = [row for row in range(len(space.names)) if space.joint[row] >= 0]
    for posture in np.random.default_rng(1).uniform(-1.5, 1.5, (20, 7)):
        ends, found = placed(space, posture), iter(arm.of(posture[None])[0])
        for row in moving:
            lowest = ends[row, :, 2].min() - space.radius[row] - space.table
            assert next(found) == pytest.approx(lowest, abs=1e-9)
        for row in moving:
            inside = min((ends[row] - space.box[0]).min(), (space.box[1] - ends[row]).min())
            assert next(found) == pytest.approx(inside - space.radius[row], abs=1e-9)
        share = np.linspace(0.0, 1.0, 101)[:, None]
        for row in moving:
            points = ends[row, 0] + share * (ends[row, 1] - ends[row, 0])
            lower, upper = space.obstacles[0][1]
            out = np.linalg.norm(np.maximum(np.maximum(lower - points, points - upper), 0), axis=1)
            assert next(found) <= out.min() - space.radius[row] + 1e-9
        for one, other in space.pairs:
            apart = distance(*ends[one], *ends[other]) - space.radius[one] - space.radius[other]
            assert next(found) == pytest.approx(apart, abs=1e-6)
        assert next(found, None) is None


def test_of_some_things_the_distances_are_the_same(space):
    arm = ArmClearances(surrounded(space))
    rng = np.random.default_rng(2)
    postures = rng.uniform(-1.5, 1.5, (5, 7))
    every = arm.of(postures)
    assert every.shape == (5, arm.count)
    for size in (1, 3, 40):
        some = np.sort(rng.choice(arm.count, size, replace=False))
        np.testing.assert_allclose(arm.of(postures, some), every[:, some], atol=1e-9)


@pytest.mark.parametrize("slides", [False, True])
def test_no_distance_changes_by_more_than_the_joints_reach(space, slides):
    """What the guard concludes of the time between two looks rests on this."""
    space = replace(surrounded(space), slides=np.arange(7) == (3 if slides else -1), obstacles=())
    arm = ArmClearances(space)
    rng, tightest = np.random.default_rng(3), 0.0
    for _ in range(300):
        here = rng.uniform(-2.5, 2.5, 7)
        step = rng.uniform(-0.05, 0.05, 7) * (rng.random(7) < rng.choice([0.2, 1.0]))
        before, after = arm.of(np.array([here, here + step]))
        farthest = np.maximum(np.abs(here), np.abs(here + step))
        most = arm.reach_of(np.arange(arm.count), farthest) @ np.abs(step)
        assert np.all(np.abs(after - before) <= most + 1e-9)
        moved = most > 1e-6
        if moved.any():
            tightest = max(tightest, float((np.abs(after - before)[moved] / most[moved]).max()))
    assert tightest > 0.9, "a bound that is never nearly reached is of no use"


class Everywhere:
    """Refuses every plan."""

    def judge(self, plan, from_ns):
        return Nearness(-0.1, "rod to the table", 0.01)


def test_a_policy_that_wants_into_something_is_refused_and_nothing_trips(bench):
    """H33: the gate names what it is, forwards nothing, and takes the next plan that is clear."""
    bench.get_ready()
    bench.run(0.5)
    bench.monitor.plans._workspace = Everywhere()
    bench.give(bench.plan())
    assert bench.sent == []
    assert bench.monitor.snapshot().last_rejection.startswith("workspace: rod to the table: -0.1")
    assert bench.state is StopState.READY
    bench.monitor.plans._workspace = None
    bench.run(0.5)
    bench.give(bench.plan())
    assert len(bench.sent) == 1


def test_a_workspace_file_lies_beside_the_robot_file(tmp_path, panda):
    names = panda.limits.joint_names
    (tmp_path / "robot.yaml").touch()
    given = NodeParams(str(tmp_path / "robot.yaml"), "", "")
    assert find_workspace(given, names) is None
    text = (FOLDER / "workspace.yaml").read_text("utf-8")
    (tmp_path / "workspace.yaml").write_text(text, "utf-8")
    assert find_workspace(given, names) is not None
    with pytest.raises(ConfigError, match="nosuch"):
        find_workspace(replace(given, workspace_file=str(tmp_path / "nosuch.yaml")), names)


@pytest.mark.parametrize(
    "path", sorted(FOLDER.parent.glob("*/workspace*.yaml")), ids=lambda path: path.parent.name
)
def test_in_every_workspace_file_the_arm_is_clear_at_home(path):
    robot = load_robot(path.with_name("robot.yaml"))
    space = load_workspace(path, robot.limits.joint_names)
    clear = ArmClearances(space).of(robot.home_position[None])
    assert clear.min() > space.margin


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("margin: 0.002", "margin: 0", "margin: is 0; write metres, above 0 and at most 0.5"),
        ("margin: 0.002", "margin: 50", "margin: is 50; write metres, above 0 and at most 0.5"),
        ("margin: 0.002", "margin: .nan", "margin"),
        ("table: 0.0", "table: low", r"table: is \['low'\]; write a number"),
        ("table: 0.0", "tabel: 0.0", "tabel: unknown key"),
        ("box: null", "box: {lower: [0, 0, 0], upper: [1, 1, 0]}", "box: lower must be below"),
        ("box: null", "box: {lower: [0, 0, 0], upper: [1, 1, 1e9]}", "none beyond 100"),
        ("obstacles: {}", "obstacles: {post: [1]}", r"obstacles.post: is \[1\]; write a mapping"),
        ("panda_joint2: {xyz", "panda_elbow: {xyz", "joints: are .*write those of the robot file"),
        ("[panda_link0, panda_link1]", "[panda_link0, mars]", "neighbours: .* is no pair"),
        (
            "[panda_link0, panda_link1]",
            "[[a], panda_link1]",
            r"\[\['a'\], 'panda_link1'\] is no p",
        ),
        ("[panda_link0, panda_link1]", "[{a: 1}, panda_link1]", "is no pair of links"),
        ("[panda_link0, panda_link1]", "[1, panda_link1]", "is no pair of links"),
        ("[panda_link0, panda_link1]", "[panda_link1, panda_link1]", "is no pair of links"),
        ("[panda_link0, panda_link1]", f"[{'x' * 999}]", r"x{57}\.\.\. is no pair of links"),
        ("  panda_link1:", "  1:", "links: 1 is no name; write it in quotation marks"),
        ("  panda_joint2:", "  2:", "joints: 2 is no name; write it in quotation marks"),
        ("obstacles: {}", "obstacles: {1: {}}", "obstacles: 1 is no name"),
        ("obstacles: {}", "obstacles: [post]", r"obstacles: is \['post'\]; write a mapping"),
        ("joint: panda_joint3", "joint: panda_joint9", "there is no 'panda_joint9'"),
        ("joint: panda_joint3", "joint: [panda_joint3]", r"there is no \['panda_joint3'\]"),
    ],
)
def test_a_workspace_file_that_cannot_be_is_refused_by_key(tmp_path, panda, old, new, message):
    text = (FOLDER / "workspace.yaml").read_text("utf-8")
    assert old in text
    path = tmp_path / "workspace.yaml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    given = NodeParams(str(tmp_path / "robot.yaml"), "", "")
    with pytest.raises(ConfigError, match=message) as raised:
        find_workspace(given, panda.limits.joint_names)
    assert "\n" not in str(raised.value)
