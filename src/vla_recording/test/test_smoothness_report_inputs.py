# SPDX-License-Identifier: Apache-2.0
"""Commands of every kind, a part of a recording, two of them, the tool, limits from anywhere."""

import json

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("matplotlib")

from report_bags import MS, NEWEST, SECOND, T0, Bag, both, reach, record, run

from smooth_motion import SavitzkyGolayJerk
from vla_recording.report import command
from vla_recording.report.errors import ExitCode
from vla_recording.report.estimates import even_weights
from vla_recording.report.limits import read_limits

URDF = """<robot name="two_links">
 <link name="base"/><link name="upper"/><link name="lower"/><link name="rail"/><link name="tool"/>
 <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/>
  <origin xyz="0 0 0.5"/><axis xyz="0 0 1"/><limit lower="-2" upper="2" velocity="1.5"/></joint>
 <joint name="turret" type="continuous"><parent link="upper"/><child link="lower"/>
  <origin xyz="0.4 0 0"/><axis xyz="0 0 1"/><limit velocity="3"/></joint>
 <joint name="slide" type="prismatic"><parent link="lower"/><child link="rail"/>
  <axis xyz="1 0 0"/><limit lower="0" upper="0.3" velocity="0.2"/></joint>
 <joint name="flange" type="fixed"><parent link="rail"/><child link="tool"/>
  <origin xyz="0.3 0 0"/></joint>
</robot>"""


def plan_of(bag, offset, *, velocities=True, accelerations=True, stamp=T0):
    """A trajectory as a planner sends it: every 100 ms a point of the reach."""
    points = []
    for k in range(30):
        t, h = offset + 0.1 * k, 1e-4
        p, v = reach(t), (reach(t + h) - reach(t - h)) / (2 * h)
        a = (reach(t + h) - 2 * reach(t) + reach(t - h)) / h**2
        points.append(
            bag.make(
                "trajectory_msgs/msg/JointTrajectoryPoint",
                positions=np.array([p]),
                velocities=np.array([v] if velocities else []),
                accelerations=np.array([a] if accelerations else []),
                effort=np.zeros(0),
                time_from_start=bag.time("Duration", 100 * MS * k),
            )
        )
    kind = "trajectory_msgs/msg/JointTrajectory"
    message = bag.make(kind, header=bag.header(stamp), joint_names=["shoulder"], points=points)
    bag.write("/arm_controller/joint_trajectory", kind, T0, message)


@pytest.fixture
def limits(tmp_path):
    path = tmp_path / "joint_limits.yaml"
    path.write_text(
        "joint_limits:\n  shoulder: {has_velocity_limits: true, max_velocity: 1.5, "
        "has_acceleration_limits: true, max_acceleration: 5.0, has_jerk_limits: true, "
        "max_jerk: 40.0}\n"
    )
    return path


@pytest.mark.parametrize("full", [True, False])
def test_trajectories_are_commands_and_their_curves_are_known_with_accelerations_only(
    tmp_path, capsys, limits, full
):
    with Bag(tmp_path / "bag") as bag:
        plan_of(bag, 0.0, accelerations=full)
    out = tmp_path / "out"
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", out, "--robot", limits)
    (one,) = record(out)["streams"]
    assert one["role"] == "command"
    # The reach's own is 8.9 at its ends; of points alone it is seen 150 ms inside of them.
    peak = one["joints"][0]["jerk_peak_rad_s3"]
    assert peak == pytest.approx(8.9 if full else 5.6, rel=0.35)
    assert code == (ExitCode.DONE if full else ExitCode.UNCLEAR), printed
    if not full:
        assert "lack velocities or accelerations" in printed


def test_a_trajectory_that_replaces_another_with_a_step_is_beyond(tmp_path, capsys, limits):
    with Bag(tmp_path / "bag") as bag:
        plan_of(bag, 0.5)
        plan_of(bag, 0.5 + 0.9, stamp=T0 + SECOND // 2)
    out = tmp_path / "out"
    code, _, _ = run(capsys, tmp_path / "bag", "--out", out, "--robot", limits)
    assert code == ExitCode.BEYOND


def test_arrays_have_the_names_given_and_the_times_of_their_reception(tmp_path, capsys, limits):
    kind = "std_msgs/msg/Float64MultiArray"
    rng = np.random.default_rng(5)
    with Bag(tmp_path / "bag") as bag:
        layout = bag.make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
        for k in range(400):
            data = np.array([reach(k * 0.01), 0.1])
            received = T0 + k * 10 * MS + round(rng.uniform(0.0, 1.0) * MS)
            bag.write(
                "/forward/commands", kind, received, bag.make(kind, layout=layout, data=data)
            )
    out = tmp_path / "out"
    given = ("--names", "shoulder,elbow", "--robot", limits)
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", out, *given)
    (one,) = record(out)["streams"]
    assert [joint["joint"] for joint in one["joints"]] == ["shoulder", "elbow"]
    assert one["role"] == "command"
    # A millisecond of scatter at 100 Hz hides a jerk of thousands: it is said, not judged.
    assert code == ExitCode.UNCLEAR
    assert "time of reception" in printed
    run(capsys, tmp_path / "bag", "--out", out)
    assert record(out)["streams"][0]["joints"][1]["joint"] == "/forward/commands[1]"
    code, _, err = run(capsys, tmp_path / "bag", "--out", out, "--names", "a,b,c")
    assert code == ExitCode.NO_REPORT
    assert "2 values, but --names gives 3 joints" in err


def commands_of(path, scale):
    """Write commands of two joints without names, in rad times a scale."""
    kind = "std_msgs/msg/Float64MultiArray"
    with Bag(path) as bag:
        layout = bag.make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
        for k in range(400):
            data = scale * np.array([reach(k * 0.01), 0.1])
            bag.write(
                "/forward/commands",
                kind,
                T0 + k * 10 * MS,
                bag.make(kind, layout=layout, data=data),
            )


def test_values_without_names_are_said_to_need_them_and_how_they_get_them(
    tmp_path, capsys, limits
):
    commands_of(tmp_path / "bag", 1.0)
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", tmp_path / "out", "--robot", limits)
    assert code == ExitCode.NOT_JUDGED
    assert "/forward/commands: its messages have 2 values and no names" in printed
    assert "--names /forward/commands:JOINT_1,JOINT_2" in printed
    assert "/forward/commands[" not in printed


def test_degrees_are_named_as_the_likely_unit(tmp_path, capsys, limits):
    out = tmp_path / "out"
    commands_of(tmp_path / "bag", 57.29578)
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", out)
    assert "likely degrees" in printed
    limits.write_text(
        "joint_limits:\n  shoulder: {has_position_limits: true, min_position: -1.5, "
        "max_position: 1.5}\n  elbow: {has_position_limits: true, min_position: -3.0}\n"
    )
    given = ("--names", "shoulder,elbow", "--robot", limits)
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", out, *given)
    assert code == ExitCode.BEYOND
    assert "position of shoulder is" in printed
    assert printed.count("likely degrees") == 1
    # A joint that is out by less than any degrees would be.
    commands_of(tmp_path / "far", 4.0)
    _, printed, _ = run(capsys, tmp_path / "far", "--out", out, *given)
    assert "position of shoulder is" in printed
    assert "likely degrees" not in printed


def test_dynamic_joint_states_are_read_by_their_interfaces(tmp_path, capsys):
    kind = "control_msgs/msg/DynamicJointState"
    with Bag(tmp_path / "bag", store=NEWEST) as bag:
        for k in range(400):
            values = [
                bag.make(
                    "control_msgs/msg/InterfaceValue",
                    interface_names=["velocity", "effort", "position"],
                    values=np.array([0.0, 7.0, reach(k * 0.01)]),
                ),
                bag.make(
                    "control_msgs/msg/InterfaceValue",
                    interface_names=["temperature"],
                    values=np.array([40.0]),
                ),
            ]
            ns = T0 + k * 10 * MS
            message = bag.make(
                kind, header=bag.header(ns), joint_names=["a", "motor"], interface_values=values
            )
            for topic in ("/dynamic_joint_states", "/arm/commands"):
                bag.write(topic, kind, ns, message)
    assert run(capsys, tmp_path / "bag", "--out", tmp_path)[0] == ExitCode.DONE
    found = {stream["topic"]: stream for stream in record(tmp_path)["streams"]}
    assert found["/dynamic_joint_states"]["role"] == "measured"
    assert found["/arm/commands"]["role"] == "command"
    (joint,) = found["/arm/commands"]["joints"]
    assert (joint["joint"], joint["position_highest_rad"]) == ("a", pytest.approx(0.5))


def test_a_part_of_a_recording_is_looked_at(tmp_path, capsys):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 4.0, 100)
    out = tmp_path / "out"
    given = ("--from", "2", "--to", "3", "--topic", "/joint_states")
    assert run(capsys, tmp_path / "bag", "--out", out, *given)[0] == ExitCode.DONE
    (one,) = record(out)["streams"]
    assert one["time"]["messages"] == 101
    assert all(2.0 <= moment["time_s"] <= 3.01 for moment in one["worst_moments"])
    assert record(out)["from_s"] == 2.0
    code, _, err = run(capsys, tmp_path / "bag", "--out", out, "--from", "9")
    assert (code, "outside of --from and --to" in err) == (ExitCode.NO_REPORT, True)


def test_two_recordings_are_compared_and_what_differs_is_said(tmp_path, capsys):
    for name, rate, slower in (("a", 100, 1.0), ("b", 100, 1.0), ("c", 50, 2.0)):
        with Bag(tmp_path / name) as bag:
            for k in range(6 * rate):
                position = reach(k / rate, duration=1.5 * slower)
                bag.joints(T0 + k * SECOND // rate, ["j"], [position], topic="/joint_commands")
    out = tmp_path / "out"
    for other, same in (("b", True), ("c", False)):
        bags = [str(tmp_path / "a"), str(tmp_path / other)]
        assert command.main(["compare", *bags, "--out", str(out)]) == ExitCode.DONE
        printed = capsys.readouterr().out
        made = json.loads((out / "compare.json").read_text())
        (pair,) = made["streams"]
        ratio = pair["joints"][0]["figures"]["jerk_rms_rad_s3"]["ratio"]
        assert (ratio == pytest.approx(1.0)) is same
        assert ("not comparable: sampled at 100 and 50 Hz" in printed) is not same
        assert ("third power" in printed) is not same
        assert (out / "compare.html").stat().st_size > 1000


def test_the_tool_moves_as_the_urdf_says(tmp_path, capsys):
    """A turn about one axis: the tool's jerk is known in closed form."""
    (tmp_path / "robot.urdf").write_text(URDF)
    names, omega, radius = ("shoulder", "turret", "slide"), 1.2, 0.4 + 0.3
    with Bag(tmp_path / "bag") as bag:
        for k in range(100):
            angle = omega * k * 0.01
            bag.joints(T0 + k * 10 * MS, names, [angle, 0.0, 0.0], topic="/joint_commands")
    out = tmp_path / "out"
    given = ("--robot", tmp_path / "robot.urdf", "--tip", "tool")
    assert run(capsys, tmp_path / "bag", "--out", out, *given)[0] == ExitCode.DONE
    joints, tool = record(out)["streams"]
    assert [joint["unit"] for joint in joints["joints"]] == ["rad", "rad", "m"]
    assert tool["unit"] == "m"
    everything = tool["joints"][-1]
    assert everything["joint"] == "all axes"
    assert everything["jerk_peak_m_s3"] == pytest.approx(radius * omega**3, rel=1e-3)
    assert everything["velocity_peak_m_s"] == pytest.approx(radius * omega, rel=1e-3)
    code, _, err = run(capsys, tmp_path / "bag", "--out", out, *given[:2], "--tip", "nothing")
    assert (code, "has no link nothing" in err) == (ExitCode.NO_REPORT, True)


def test_limits_come_from_a_urdf_a_joint_limits_file_and_a_short_robot_file(tmp_path, capsys):
    (tmp_path / "robot.urdf").write_text(URDF)
    (tmp_path / "joint_limits.yaml").write_text(
        "arm:\n  ros__parameters:\n    joint_limits:\n"
        "      slide: {has_jerk_limits: true, max_jerk: 3.0}\n"
        "      shoulder: {has_position_limits: false, min_position: 9.0}\n"
    )
    (tmp_path / "short.yaml").write_text(
        "robot: x\narm:\n  limits:\n    turret: {type: continuous, velocity: 2.0}\n"
    )
    files = [tmp_path / name for name in ("robot.urdf", "joint_limits.yaml", "short.yaml")]
    found = read_limits(files).joints
    assert (found["shoulder"].lower, found["shoulder"].velocity) == (-2.0, 1.5)
    assert (found["slide"].kind, found["slide"].unit, found["slide"].jerk) == ("prismatic", "m", 3)
    assert (found["turret"].kind, found["turret"].lower, found["turret"].velocity) == (
        "continuous",
        None,
        2.0,
    )
    with Bag(tmp_path / "bag") as bag:
        for k in range(1000):
            turn = (1.0 * k * 0.01 + np.pi) % (2.0 * np.pi) - np.pi
            positions = [reach(k * 0.01), turn, 0.1 * reach(k * 0.01)]
            bag.joints(T0 + k * 10 * MS, ("shoulder", "turret", "slide"), positions)
    given = [word for file in files for word in ("--robot", file)]
    code, printed, _ = run(capsys, tmp_path / "bag", "--out", tmp_path / "out", *given)
    assert code == ExitCode.DONE, printed
    assert "not judged: jerk of shoulder, turret: no limit is given" in printed
    assert record(tmp_path / "out")["streams"][0]["joints"][1]["wraps"] == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<robot", "is not XML"),
        ("<a/>", "its root is <a>"),
        ("<robot name='x'><joint name='j' type='round'/></robot>", "type must be one of"),
        ("joint_limits: {j: {has_jerk_limits: true}}", "max_jerk: is missing"),
        ("joint_limits: {j: {max_velocity: fast}}", "must be a finite number"),
        ("joint_limits: {j: {max_velocity: -1.0}}", "must be positive"),
        ("joint_limits: {j: {max_velocity: 1.0, max_velocity: 2.0}}", "written twice"),
        ("robot: x\narm: {limits: {j: {speed: 1.0}}}", "speed: is not a limit"),
        ("colour: red", "has no joint_limits"),
    ],
)
def test_a_file_of_limits_that_cannot_be_used_is_refused_in_one_line(tmp_path, capsys, text, word):
    with Bag(tmp_path / "bag") as bag:
        both(bag, 0.2, 50)
    (tmp_path / "limits").write_text(text)
    code, _, err = run(capsys, tmp_path / "bag", "--robot", tmp_path / "limits")
    assert code == ExitCode.NO_REPORT
    assert err.count("\n") == 1
    assert word in err


def test_measured_jerk_is_the_monitors():
    """One filter, two places: live it is compiled, here it runs over a recording."""
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.normal(size=200)) * 1e-3
    live = SavitzkyGolayJerk(["a"], 21, 0.01, 4096).over(positions[:, None])[:, 0]
    own = np.correlate(positions - positions.mean(), even_weights(10, 0.01), "valid")
    assert own == pytest.approx(live)
