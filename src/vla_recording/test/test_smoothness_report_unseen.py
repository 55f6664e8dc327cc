# SPDX-License-Identifier: Apache-2.0
"""What a recording does not show is never within limits, and what it shows is not feigned."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("matplotlib")

from report_bags import (
    JAZZY,
    MS,
    NAMES,
    SECOND,
    STEP,
    T0,
    Bag,
    both,
    reach,
    record,
    run,
    streams,
    write_robot_file,
)

from vla_recording.report.errors import ExitCode

SHARES = np.array([1.0, -1.0, 0.5, 0.0, 0.2])


@pytest.fixture
def robot_file(tmp_path):
    return write_robot_file(tmp_path / "robot.yaml")


@pytest.fixture
def report(tmp_path, capsys, robot_file):
    """Return what the command makes of a bag: exit code, its words, the record."""

    def make(*more, robot=True):
        given = ("--robot", robot_file) if robot else ()
        code, printed, err = run(capsys, tmp_path / "bag", "--out", tmp_path, *given, *more)
        assert "Traceback" not in err
        return code, printed, record(tmp_path) if code != ExitCode.NO_REPORT else err

    return make


def within(code, printed):
    """Say so of both ways in which it is told."""
    return code == ExitCode.DONE or "within limits" in printed


def encoder(positions):
    return np.round(positions / STEP) * STEP


# Times.


@pytest.mark.parametrize("rate", [125, 500])
def test_a_controller_whose_time_is_scaled_is_reported_by_its_stamps(tmp_path, report, rate):
    """A UR at a speed slider of 30 to 100 %: elapsed time runs slower than the clock."""
    with Bag(tmp_path / "bag") as bag:
        elapsed = 0.0
        for k in range(6 * rate):
            ns = T0 + k * SECOND // rate
            wanted = reach(elapsed) * SHARES
            bag.controller(ns, NAMES, wanted, encoder(wanted), elapsed=round(elapsed * 1e9))
            # Eased, as the slider's filter does it.
            elapsed += (0.65 + 0.35 * np.cos(k / rate)) / rate
    code, printed, made = report()
    reference = made["streams"][0]
    assert reference["source"] == "reference"
    assert "scaled" in reference["time"]["clock"]
    assert reference["joints"][0]["jerk_peak_rad_s3"] < 15.0
    assert code == ExitCode.DONE, printed


def test_a_clock_that_drifts_against_the_trajectory_makes_no_steps(tmp_path, report):
    """Trajectory time adds up periods, stamps follow NTP: 200 ppm are 4 ms in 20 s."""
    with Bag(tmp_path / "bag") as bag:
        for k in range(4000):
            t = k * 0.005
            wanted = np.full(5, 0.5 * np.sin(t))
            elapsed = k * 5 * MS
            bag.controller(T0 + round(elapsed * 1.0002), NAMES, wanted, wanted, elapsed=elapsed)
    _, printed, made = report()
    assert made["streams"][0]["joints"][0]["jerk_peak_rad_s3"] == pytest.approx(0.5, rel=0.05)
    assert "beyond" not in printed


def test_uneven_but_true_stamps_are_not_taken_for_even_ones(tmp_path, report):
    """Sampled every 4 and 16 ms in turn: by even spacing the jerk of 12 would be 128."""
    rng = np.random.default_rng(1)
    times = np.cumsum(np.where(np.arange(600) % 2, 4, 16) + rng.uniform(-1.0, 1.0, 600)) * 1e-3
    with Bag(tmp_path / "bag") as bag:
        for t in times:
            positions = 0.5 * np.sin(2.9 * t) * np.ones(5)
            bag.joints(T0 + round(t * 1e9), NAMES, positions)
    code, printed, made = report()
    assert made["streams"][0]["joints"][0]["jerk_peak_rad_s3"] == pytest.approx(12.2, rel=0.1)
    assert code in (ExitCode.DONE, ExitCode.UNCLEAR)
    assert "beyond" not in printed


@pytest.mark.parametrize("seconds", [-1000.0, -0.5])
def test_a_clock_that_is_set_back_splits_the_stream_and_loses_nothing(tmp_path, report, seconds):
    with Bag(tmp_path / "bag") as bag:
        for k in range(1000):
            ns = T0 + k * 10 * MS
            stamp = ns + (round(seconds * 1e9) if k >= 300 else 0)
            positions = encoder(0.3 * np.sin(0.02 * k) * np.ones(5))
            bag.joints(stamp, NAMES, positions, received=ns)
    code, printed, made = report()
    time = made["streams"][0]["time"]
    assert time["backward_stamps"] == 1
    assert time["left_out"] == 0
    assert time["first_jump_s"] == pytest.approx(3.0, abs=0.02)
    assert time["duration_s"] == pytest.approx(9.99, abs=0.02)
    assert made["streams"][0]["joints"][0]["samples"] == 1000
    assert made["streams"][0]["joints"][0]["jerk_seen"] > 0.97
    assert "stamps jump 1 times, first at 3 s" in printed
    assert "stamps jump" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert code in (ExitCode.DONE, ExitCode.UNCLEAR)


def test_one_stamp_in_the_future_costs_that_sample_alone(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        for k in range(1000):
            ns = T0 + k * 10 * MS
            positions = encoder(0.3 * np.sin(0.02 * k) * np.ones(5))
            stamp = ns + 3600 * SECOND * (k == 100)
            bag.joints(stamp, NAMES, positions, received=ns)
    _, printed, made = report()
    one = made["streams"][0]
    assert (one["time"]["forward_stamps"], one["time"]["backward_stamps"]) == (1, 1)
    assert one["time"]["duration_s"] == pytest.approx(9.99, abs=0.05)
    assert one["joints"][0]["samples"] == 1000
    assert one["joints"][0]["jerk_seen"] > 0.95
    assert "stamps jump 2 times" in printed


def test_a_violation_behind_a_clock_that_was_set_back_is_seen(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        for k in range(1000):
            ns = T0 + k * 10 * MS
            wanted = np.full(5, 0.2 * (k > 700))
            stamp = ns - 1000 * SECOND * (k > 300)
            bag.joints(stamp, NAMES, wanted, received=ns, topic="/joint_commands")
    assert report()[0] == ExitCode.BEYOND


# No estimate.


def test_an_arm_and_its_gripper_on_one_topic_are_each_sampled_in_their_own_rows(tmp_path, report):
    """One message for both makes them one group; each has its own period all the same."""
    with Bag(tmp_path / "bag") as bag:
        bag.joints(T0 - 10 * MS, (*NAMES, "gripper"), [0.0] * 6)
        for k in range(800):
            ns = T0 + k * 10 * MS
            bag.joints(ns, NAMES, encoder(reach(k * 0.01) * SHARES))
            bag.joints(ns + 3 * MS, ["gripper"], [0.1])
    code, printed, made = report()
    pan = made["streams"][0]["joints"][0]
    assert pan["jerk_peak_rad_s3"] is not None
    assert pan["jerk_seen"] > 0.99
    assert within(code, printed)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("one message", "only 1 usable position"),
        ("five messages", "only 5 usable positions"),
        ("swapped", "wrong order"),
        ("two publishers", "several publishers"),
        ("nan", "no usable position"),
        ("one joint missing", "in no topic"),
        ("gaps", "without a gap"),
    ],
)
def test_without_an_estimate_of_jerk_nothing_is_within(tmp_path, report, what, expected):
    with Bag(tmp_path / "bag") as bag:
        count = {"one message": 1, "five messages": 5}.get(what, 400)
        for k in range(count):
            ns = T0 + k * 10 * MS
            names, positions = NAMES, encoder(reach(k * 0.01) * SHARES)
            if what == "swapped":
                ns += 15 * MS * (1 if k % 2 else -1)
            elif what == "nan":
                positions[2] = np.nan
            elif what == "one joint missing":
                names, positions = NAMES[:4], positions[:4]
            elif what == "gaps":
                ns += (k // 4) * SECOND
            received = ns if what == "gaps" else T0 + k * 10 * MS
            bag.joints(ns, names, positions, received=received)
            if what == "two publishers":
                bag.joints(ns - 25 * MS, names, positions, received=ns)
    code, printed, made = report()
    assert code in (ExitCode.NOT_JUDGED, ExitCode.UNCLEAR), printed
    assert not within(code, printed)
    assert expected in printed
    assert made["verdict"] != "within limits"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "within limits" not in page.split("What the figures mean")[0]
    assert expected in page


def test_what_is_seen_for_a_part_of_the_time_is_not_within(tmp_path, report):
    """Four seconds of joints in a recording of twenty; and a hole of a second in them."""
    with Bag(tmp_path / "bag") as bag:
        for k in range(2000):
            ns = T0 + k * 10 * MS
            positions = encoder(reach(k * 0.01) * SHARES)
            if k < 400 and not 200 <= k < 300:
                bag.joints(ns, NAMES, positions)
            bag.joints(ns, ["other"], [0.0], topic="/other/joint_states")
    code, printed, _ = report()
    assert code == ExitCode.UNCLEAR
    assert "recorded for" in printed
    assert "cover only" in printed


def test_a_joint_that_is_nan_for_a_while_is_not_within(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        for k in range(800):
            positions = encoder(reach(k * 0.01) * SHARES)
            if 300 <= k < 500:
                positions[1] = np.nan
            bag.joints(T0 + k * 10 * MS, NAMES, positions)
    code, printed, made = report()
    assert code == ExitCode.UNCLEAR
    assert "shoulder_lift" in printed
    assert made["streams"][0]["values_not_finite"] == 200


# Values.


@pytest.mark.parametrize("value", [1e308, -1e308, 1e200, 1e7])
def test_a_huge_reference_is_beyond_and_no_error(tmp_path, report, value):
    with Bag(tmp_path / "bag") as bag:
        for k in range(400):
            wanted = reach(k * 0.01) * SHARES
            wanted[1] = value if k == 200 else wanted[1]
            bag.controller(T0 + k * 10 * MS, NAMES, wanted, encoder(wanted), elapsed=k * 10 * MS)
    code, printed, made = report()
    assert code == ExitCode.BEYOND
    assert "position of shoulder_lift" in printed
    assert made["streams"][0]["values_not_finite"] == 1


@pytest.mark.parametrize(
    ("factor", "word"), [(0.0, "at zero"), (57.29578, "degrees"), (-1.0, "sign"), (3.0, "3 times")]
)
def test_reported_velocities_are_held_against_the_positions(tmp_path, report, factor, word):
    with Bag(tmp_path / "bag") as bag:
        for k in range(800):
            t = k * 0.01
            positions = encoder(1.22 * np.sin(2.0 * t) * np.ones(5))
            velocity = factor * 2.44 * np.cos(2.0 * t) * np.ones(5)
            bag.joints(T0 + k * 10 * MS, NAMES, positions, velocity=velocity)
    code, printed, made = report()
    pan = made["streams"][0]["joints"][0]
    assert pan["velocity_peak_rad_s"] == pytest.approx(2.44, rel=0.01)
    assert pan["velocity_reported_peak_rad_s"] == pytest.approx(abs(factor) * 2.44, rel=1e-6)
    assert not pan["velocity_reported_fits"]
    assert code == ExitCode.BEYOND
    assert "velocity of shoulder_pan is 2.4" in printed
    assert word in printed


def test_reported_velocities_that_are_those_of_the_positions_are_judged_too(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        for k in range(800):
            t = k * 0.01
            positions = encoder(0.2 * np.sin(2.0 * t) * np.ones(5))
            velocity = 0.4 * np.cos(2.0 * t) * np.ones(5)
            velocity[0] += 5.0 * (k == 400)
            bag.joints(T0 + k * 10 * MS, NAMES, positions, velocity=velocity)
    code, printed, made = report()
    assert made["streams"][0]["joints"][0]["velocity_reported_fits"]
    assert code == ExitCode.BEYOND
    assert "reported velocity of shoulder_pan is 4.9" in printed


def test_a_continuous_joint_is_unwrapped_and_said(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        for k in range(1000):
            angle = 2.0 * k * 0.01
            wrapped = (angle + np.pi) % (2.0 * np.pi) - np.pi
            bag.joints(T0 + k * 10 * MS, ["turret"], [wrapped], topic="/joint_commands")
    _, printed, made = report(robot=False)
    joint = made["streams"][0]["joints"][0]
    assert joint["jerk_peak_rad_s3"] < 1.0
    assert joint["wraps"] == 3
    assert "wraps of continuous joints: turret (3)" in printed


def test_a_revolute_joint_that_jumps_by_a_turn_jumps(tmp_path, report):
    """A planner that goes the other way round: with limits known it is no wrap."""
    with Bag(tmp_path / "bag") as bag:
        for k in range(400):
            wanted = np.full(5, 1.5 if k < 200 else 1.5 - 2.0 * np.pi)
            bag.controller(T0 + k * 10 * MS, NAMES, wanted, wanted, elapsed=k * 10 * MS)
    code, _, made = report()
    assert code == ExitCode.BEYOND
    assert made["streams"][0]["joints"][0]["jerk_peak_rad_s3"] > 1e6


def test_wheels_do_not_fill_the_worst_moments(tmp_path, report):
    rng = np.random.default_rng(0)
    with Bag(tmp_path / "bag") as bag:
        for k in range(800):
            wheels = rng.normal(size=2)
            names = (*NAMES, "left_wheel", "right_wheel")
            positions = [*encoder(reach(k * 0.01) * SHARES), *wheels]
            bag.joints(T0 + k * 10 * MS, names, positions)
    made = report(robot=False)[2]
    worst = made["streams"][0]["worst_moments"]
    assert worst
    assert not [moment for moment in worst if "wheel" in moment["joint"]]


def test_positions_in_single_precision_are_not_beyond(tmp_path, report):
    """At 1 kHz the rounding of float32 alone has a jerk of some hundred rad/s^3."""
    with Bag(tmp_path / "bag") as bag:
        for k in range(2000):
            wanted = (1.2 + 0.1 * np.sin(k * 1e-3) * np.ones(5)).astype(np.float32)
            bag.controller(T0 + k * MS, NAMES, wanted, wanted, elapsed=k * MS)
    code, printed, _ = report()
    assert code == ExitCode.UNCLEAR, printed
    assert "beyond" not in printed


# Controllers that change trajectories in motion.


def test_trajectories_that_follow_one_another_are_not_beyond_for_a_late_wake_up(tmp_path, report):
    """Every 100 ms a new one; the first cycle of each is noted late by up to 2 ms."""
    rng = np.random.default_rng(3)
    with Bag(tmp_path / "bag") as bag:
        for k in range(800):
            t = k * 0.01
            late = rng.uniform(0.0, 2e-3)
            wanted = 0.4 * np.sin(t) * np.ones(5)
            stamp = T0 + round((t + late) * 1e9)
            bag.controller(stamp, NAMES, wanted, wanted, elapsed=(k % 10) * 10 * MS + MS)
    code, printed, _ = report()
    assert "beyond" not in printed
    assert code in (ExitCode.DONE, ExitCode.UNCLEAR)


def framed(bag, frame, ns):
    return bag.make("std_msgs/msg/Header", stamp=bag.time("Time", ns), frame_id=frame)


def test_every_layout_of_rows_gives_the_same_report(tmp_path, capsys):
    """Header frames of many lengths: messages of one topic that are laid out differently."""
    made = []
    for name, frames in (("plain", 1), ("mixed", 40)):
        with Bag(tmp_path / name, store=JAZZY) as bag:
            for k in range(400):
                frame = "f" * (k % frames)
                bag.header = partial(framed, bag, frame)
                bag.joints(T0 + k * 10 * MS, NAMES, encoder(reach(k * 0.01) * SHARES))
        run(capsys, tmp_path / name, "--out", tmp_path / f"out {name}")
        made.append(streams(tmp_path / f"out {name}")["/joint_states", None])
    assert made[0] == made[1]


def test_estimates_do_not_depend_on_the_size_of_blocks(tmp_path, capsys, monkeypatch):
    from vla_recording.report import spool

    with Bag(tmp_path / "bag") as bag:
        both(bag, 8.0, 500)
    found = []
    for size in (spool.BLOCK, 700):
        monkeypatch.setattr(spool.Spool.blocks, "__defaults__", (size,))
        monkeypatch.setattr(spool.Spool.windows, "__defaults__", (size,))
        assert run(capsys, tmp_path / "bag", "--out", tmp_path / "out")[0] == 0
        found.append(record(tmp_path / "out"))
    for one, other in zip(*(made["streams"] for made in found), strict=True):
        for a, b in zip(one["joints"], other["joints"], strict=True):
            for key, value in a.items():
                if isinstance(value, float):
                    assert value == pytest.approx(b[key], rel=1e-6, abs=1e-9), key
                else:
                    assert value == b[key], key
        assert len(one["movements"]) == len(other["movements"])
        assert one["time"] == other["time"]


def states(bag, topic, wanted, *, seconds=10.0, rate=100, start=0.0, names=NAMES):
    """Write joint states of a command or a measurement, all joints alike."""
    for k in range(round(seconds * rate)):
        t = start + k / rate
        ns = T0 + round(t * SECOND)
        bag.joints(ns, names, [wanted(t)] * len(names), topic=topic)


@pytest.mark.parametrize("seconds", [0.03, 2.0])
def test_a_second_arm_with_the_same_joints_is_judged_for_itself(tmp_path, report, seconds):
    with Bag(tmp_path / "bag") as bag:
        states(bag, "/left/joint_command", reach)
        states(bag, "/right/joint_command", reach, seconds=seconds)
    code, printed, _ = report()
    assert not within(code, printed)
    assert "/right/joint_command" in printed


def test_a_command_that_ends_early_is_not_made_up_for_by_the_measurement(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        states(bag, "/joint_states", lambda t: encoder(reach(t)))
        states(bag, "/joint_command", reach, seconds=4.0)
    code, printed, _ = report()
    assert code == ExitCode.UNCLEAR
    assert "/joint_command: " in printed
    assert "recorded for 3.99 s of 9.99 s only" in printed


def test_a_step_between_two_samples_at_almost_one_time_is_a_step(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        states(bag, "/joint_command", lambda t: 0.0, seconds=5.001)
        bag.joints(T0 + 5 * SECOND + MS // 10, NAMES, [0.3] * 5, topic="/joint_command")
        states(bag, "/joint_command", lambda t: 0.3, start=5.01, seconds=5.0)
    code, printed, _ = report()
    assert code == ExitCode.BEYOND
    assert "velocity of shoulder_pan" in printed


@pytest.mark.parametrize("topic", ["/joint_command", "/joint_states"])
def test_a_way_across_a_gap_that_no_allowed_velocity_covers_is_beyond(tmp_path, report, topic):
    with Bag(tmp_path / "bag") as bag:
        states(bag, topic, lambda t: 0.0, seconds=60.0)
        states(bag, topic, lambda t: 1.5, start=60.4, seconds=60.0)
    code, printed, _ = report()
    assert code == ExitCode.BEYOND
    assert "velocity of shoulder_pan" in printed


def test_a_step_where_the_clock_jumps_is_not_clear(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        for k in range(12000):
            received = T0 + k * 10 * MS
            stamp, p = (received, 0.0) if k < 6000 else (received - 5 * SECOND, 1.5)
            bag.joints(stamp, NAMES, [p] * 5, topic="/joint_command", received=received)
    code, _, _ = report()
    assert code == ExitCode.UNCLEAR


def test_a_gripper_is_held_against_its_limits(tmp_path, report, robot_file):
    text = robot_file.read_text()
    assert "gripper:" in text
    with Bag(tmp_path / "bag") as bag:
        states(bag, "/joint_command", reach)
        states(bag, "/gripper_command", lambda t: 0.0 if t < 5.0 else 1.5, names=("gripper",))
    code, printed, _ = report()
    assert code == ExitCode.BEYOND
    assert "velocity of gripper" in printed


def trajectory(bag, ns, points):
    """Write points (offset in ns, position) of all joints that rest at each."""
    kind = "trajectory_msgs/msg/JointTrajectory"
    zero = [0.0] * 5
    made = []
    for offset, p in points:
        point = bag.point([p] * 5, zero, offset)
        point.accelerations = np.zeros(5)
        made.append(point)
    message = bag.make(kind, header=bag.header(ns), joint_names=list(NAMES), points=made)
    bag.write("/arm_controller/joint_trajectory", kind, ns, message)


def test_trajectories_of_one_point_say_nothing_of_the_way_to_it(tmp_path, report):
    with Bag(tmp_path / "bag") as bag:
        for k in range(8):
            trajectory(bag, T0 + 5 * k * SECOND, [(50 * MS, 0.3 * (k % 2))])
    code, printed, _ = report()
    assert code == ExitCode.UNCLEAR
    assert "does not begin where the one before it leads" in printed


@pytest.mark.parametrize("offset", [0.0, 0.05])
def test_a_trajectory_must_begin_where_the_one_before_leads(tmp_path, report, offset):
    with Bag(tmp_path / "bag") as bag:
        trajectory(bag, T0, [(3 * k * SECOND, 0.1 * k) for k in range(5)])
        # Half of the way from 0.1 to 0.2 rad, at rest at its end.
        trajectory(bag, T0 + 12 * SECOND, [(3 * k * SECOND, 0.4 + offset) for k in range(4)])
    code, printed, _ = report()
    assert not within(code, printed)  # its velocities of 0 are not those of the way
    assert ("does not begin where the one before it leads" in printed) == (offset > 0.0)
