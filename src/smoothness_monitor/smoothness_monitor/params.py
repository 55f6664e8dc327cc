# SPDX-License-Identifier: Apache-2.0
"""What can be set, in one place: names, units, bounds and meaning.

`NodeParams` are the node's ROS parameters. `MonitorConfig` are the thresholds: they come from one
YAML file that names every one of them. None has a default, none can change while the node runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from node_kit.parameters import parameter
from strict_yaml import StrictYamlError, read_yaml
from vla_contract.names import topic_problem
from vla_contract.robot import Robot, load_robot, moved_to
from vla_contract.workspace import FILE as WORKSPACE_FILE
from vla_contract.workspace import Workspace, WorkspaceError, load_workspace


class ConfigError(ValueError):
    """The configuration cannot be used. The message is one line: file, key and what to do."""


# Of what the node subscribes to or calls.
_ROS_NAMES = ("driver_states_topic", "controller_manager", "driver_hold_service")


def _param(
    doc: str,
    unit: str = "",
    lower: float | None = None,
    upper: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    return field(
        metadata={"doc": doc, "unit": unit, "lower": lower, "upper": upper, "choices": choices}
    )


@dataclass(frozen=True)
class NodeParams:
    """The node's parameters, all read-only; the two files are required."""

    robot_file: str = parameter(
        "", "Path of the robot file: joint names, limits and controllers.", required=True
    )
    monitor_file: str = parameter(
        "", "Path of the monitor file: every threshold below.", required=True
    )
    workspace_file: str = parameter(
        "",
        "Path of the workspace file: the arm as capsules, and what they must stay clear of. "
        "Empty: `workspace.yaml` beside the robot file; where there is none, no plan is judged by "
        "where it leads the arm.",
    )
    latch_folder: str = parameter(
        "",
        "Folder of the file that keeps the latch over a restart of the node; empty: "
        "~/.ros/smoothness_monitor.",
    )


@dataclass(frozen=True)
class MonitorConfig:
    """The thresholds, from the monitor file.

    Raises:
        ConfigError: A value is out of its bounds or contradicts another; from `load_config` only.
    """

    joint_states_stale_s: float = _param(
        "Age of the newest joint_states message that trips.", "s", 0.02, 2.0
    )
    controller_state_stale_s: float = _param(
        "Age of the newest controller_state message that trips.", "s", 0.02, 2.0
    )
    joint_states_rate_hz: float = _param(
        "Rate at which joint_states is published; the jerk estimator's grid.", "Hz", 20.0, 2000.0
    )
    clock_skew_s: float = _param(
        "Distance between the newest stamps and this node's ROS time that trips.", "s", 0.1, 60.0
    )
    clock_step_s: float = _param(
        "Step of this host's ROS time against its steady clock that trips.", "s", 0.002, 1.0
    )
    driver_states_topic: str = _param(
        "Topic of the driver's own JointState, read from the servos, not from a controller; empty "
        "where there is none."
    )
    driver_states_stale_s: float = _param(
        "Age of the newest message on driver_states_topic that trips.", "s", 0.02, 2.0
    )
    servo_status: str = _param(
        "How the names of the statuses on /diagnostics begin that tell the servos' health, after "
        "the monitor's namespace; after none with a slash in front. Empty where there are none."
    )
    servo_status_stale_s: float = _param(
        "Age of the newest of these statuses that trips.", "s", 0.1, 30.0
    )
    policy_silent_s: float = _param(
        "Age of the policy's newest status that is reported; it does not trip.", "s", 0.1, 30.0
    )
    overrun_s: float = _param(
        "Time between two cycles of this node that counts as an overrun.", "s", 0.02, 2.0
    )
    overrun_count: int = _param(
        "Overruns that trip, out of the newest overrun_of cycles.", "", 1, 1000
    )
    overrun_of: int = _param(
        "Number of newest cycles that overrun_count is counted in.", "", 1, 1000
    )
    stall_s: float = _param(
        "Time between two cycles of this node that trips at once: nobody watched the arm.",
        "s",
        0.1,
        10.0,
    )
    command_tolerance: float = _param(
        "Share by which the controller's reference may exceed a velocity, acceleration or jerk "
        "limit.",
        "",
        0.0,
        0.05,
    )
    command_position_tolerance_rad: float = _param(
        "Angle by which the controller's reference may exceed a position limit.", "rad", 0.0, 0.05
    )
    measured_jerk_estimator: str = _param(
        "How jerk is estimated from joint_states. The Kalman filter has less noise at the same "
        "delay, but a wrong sample fades instead of leaving its window.",
        choices=("savitzky_golay", "kalman"),
    )
    measured_jerk_window: int = _param(
        "Samples in the window of the Savitzky-Golay filter; odd.", "", 7, 101
    )
    measured_jerk_snap_density: float = _param(
        "How quickly the Kalman filter lets the jerk wander: the more, the quicker and noisier.",
        "rad/s^4/sqrt(Hz)",
        1.0,
        1e5,
    )
    measured_jerk_factor: float = _param(
        "The threshold of the measured jerk is this times the largest estimate that a jerk within "
        "the limit can cause, plus the estimator's quantisation bound.",
        "",
        1.0,
        100.0,
    )
    measured_jerk_count: int = _param(
        "Estimates beyond the threshold that trip, out of the newest measured_jerk_of.", "", 1, 50
    )
    measured_jerk_of: int = _param(
        "Number of newest estimates that measured_jerk_count is counted in.", "", 1, 50
    )
    tracking_error_rad: float = _param(
        "Distance between a joint and its reference at the same time that counts as an error.",
        "rad",
        0.01,
        3.2,
    )
    tracking_error_count: int = _param(
        "Errors beyond the threshold that trip, out of the newest tracking_error_of.", "", 1, 50
    )
    tracking_error_of: int = _param(
        "Number of newest errors that tracking_error_count is counted in.", "", 1, 50
    )
    slow_jerk_factor: float = _param(
        "As measured_jerk_factor, for the level beyond which the motion is slowed down.",
        "",
        1.0,
        100.0,
    )
    slow_tracking_error_rad: float = _param(
        "As tracking_error_rad, for the level beyond which the motion is slowed down.",
        "rad",
        0.005,
        3.2,
    )
    slow_count: int = _param(
        "Measurements beyond a level that slow the motion down, out of the newest slow_of.",
        "",
        1,
        200,
    )
    slow_of: int = _param(
        "Number of newest measurements that slow_count is counted in.", "", 1, 200
    )
    slow_scale: float = _param(
        "Share of its speed at which a motion is carried out while it is slowed down; 1: never.",
        "",
        0.1,
        1.0,
    )
    slow_change_s: float = _param(
        "Time in which the speed changes; up to three times as long where the limits demand it.",
        "s",
        0.1,
        2.0,
    )
    slow_deviation_rad: float = _param(
        "Distance of a joint from its path, while the speed changes, above which a longer change "
        "is preferred.",
        "rad",
        1e-4,
        0.1,
    )
    slow_patience_s: float = _param(
        "Time for which the tracking error may stay beyond its level while the motion is slowed "
        "down; then tracking_error trips, for the joint is not late, it is held.",
        "s",
        0.2,
        60.0,
    )
    slow_release: float = _param(
        "Share of the levels below which the measurements count as smooth again.", "", 0.1, 1.0
    )
    slow_clear_s: float = _param(
        "Time for which they must be smooth until the speed comes back.", "s", 0.1, 60.0
    )
    frozen_travel_rad: float = _param(
        "Travel of the reference during which bit-identical joint_states trip.", "rad", 0.01, 1.0
    )
    foreign_deviation_rad: float = _param(
        "Distance of the controller's reference from the plan that its stamp names that trips.",
        "rad",
        0.001,
        0.5,
    )
    plan_overlap_s: float = _param(
        "Time for which a plan must still equal the running one on its arrival here.",
        "s",
        0.02,
        0.5,
    )
    gripper_step_rad: float = _param(
        "Distance between a gripper trajectory and what the gripper's controller runs that is "
        "allowed within plan_overlap_s of its arrival: rounding, no more.",
        "rad",
        0.0,
        0.02,
    )
    acknowledge_s: float = _param(
        "Time after which a forwarded plan that never ran counts as lost.", "s", 0.02, 1.0
    )
    stop_overlap_s: float = _param(
        "Time for which a brake first continues the running plan.", "s", 0.05, 0.5
    )
    stop_resend_s: float = _param(
        "Time after which a brake that the controller does not run is sent once more.",
        "s",
        0.02,
        0.5,
    )
    stop_goal_s: float = _param(
        "Time after which a brake that the controller does not run is sent as an action goal.",
        "s",
        0.02,
        0.5,
    )
    stop_grace_s: float = _param(
        "Time after the brake's end by which standstill must have been seen; then the controller "
        "is deactivated.",
        "s",
        0.05,
        2.0,
    )
    stop_rung_s: float = _param(
        "Time that the controller's deactivation, and then the driver's hold, may take until "
        "standstill is seen.",
        "s",
        0.05,
        2.0,
    )
    controller_parameters: str = _param(
        "Whether the controllers have parameters to be read, as each joint_trajectory_controller "
        "has: no plan is forwarded before they are known to be right. none is for a controller of "
        "another kind, which has no parameter service, and of which a person knows that it runs a "
        "trajectory by its stamp.",
        choices=("required", "none"),
    )
    controller_manager: str = _param(
        "Name of the controller_manager node, which deactivates the arm's controller; empty where "
        "there is none."
    )
    driver_hold_service: str = _param(
        "The driver's std_srvs/Trigger that holds the joints where they are, torque on; empty "
        "where there is none."
    )
    reset_timeout_s: float = _param(
        "Time in which a reset must have activated the controller and heard of it.", "s", 0.2, 10.0
    )
    smoothness_rate_hz: float = _param("Rate of ~/smoothness.", "Hz", 0.1, 100.0)
    smoothness_window_s: float = _param(
        "Time over which ~/smoothness takes RMS and peak of the jerk.", "s", 0.1, 60.0
    )
    standstill_velocity_rad_s: float = _param(
        "Speed of a measured joint below which it counts as standing.", "rad/s", 0.01, 1.0
    )
    standstill_window_s: float = _param("Time over which that speed is measured.", "s", 0.02, 1.0)
    tick_credit_s: float = _param(
        "Most that one tick of the monitor adds to an age, so that the monitor's own stall does "
        "not make its inputs look old.",
        "s",
        0.01,
        0.1,
    )


def find_workspace(params: NodeParams, joints: Sequence[str]) -> Workspace | None:
    """Read the workspace file, None where there is none beside the robot file.

    Raises:
        ConfigError: It is wrong, or not where it was said to be.
    """
    path = Path(params.workspace_file or Path(params.robot_file).with_name(WORKSPACE_FILE))
    if not params.workspace_file and not path.is_file():
        return None
    try:
        return load_workspace(path, joints)
    except WorkspaceError as error:
        raise ConfigError(str(error)) from None


def load_files(
    params: NodeParams, namespace: str
) -> tuple[Robot, MonitorConfig, Workspace | None]:
    """Read the robot file, the monitor file and, where there is one, the workspace file.

    Raises:
        RobotConfigError: The robot file is wrong.
        ConfigError: Another one is.
    """
    robot = load_robot(params.robot_file)
    config = load_config(params.monitor_file, namespace)
    return robot, config, find_workspace(params, robot.limits.joint_names)


def load_config(path: str | Path, namespace: str = "") -> MonitorConfig:
    """Read a monitor file.

    Args:
        path: The file.
        namespace: The monitor's. /diagnostics is one topic for all, so that the names on it have
            their node's namespace before them, and so has `servo_status` then.

    Raises:
        ConfigError: The file is missing, is not YAML, or one of its keys is unknown, missing, of
            the wrong type, out of bounds or contradicts another.
    """
    try:
        content = read_yaml(path)
    except StrictYamlError as error:
        raise ConfigError(f"{path}: {moved_to(path, 'monitor.yaml') or error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: empty or not a mapping; one 'key: value' line a threshold")
    known = {item.name: item for item in fields(MonitorConfig)}
    for key in content:
        if key not in known:
            raise ConfigError(f"{path}: {key}: unknown key; remove it or correct its name")
    values: dict[str, Any] = {}
    for name, item in known.items():
        if name not in content:
            raise ConfigError(f"{path}: {name}: missing; add it: {item.metadata['doc']}")
        values[name] = _value(path, item, content[name])
    _cross_check(path, values)
    if values["servo_status"]:
        name = values["servo_status"]
        values["servo_status"] = (name if name[0] == "/" else f"{namespace}/{name}").strip("/")
    return MonitorConfig(**values)


def _value(path: str | Path, item: Field[Any], value: object) -> float | int | str:
    if item.type == "str":
        return _text(path, item, value)
    integer = item.type == "int"
    kind = "an integer" if integer else "a number"
    accepted = int if integer else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ConfigError(f"{path}: {item.name}: {value!r} is not {kind}; write {kind}")
    lower, upper = item.metadata["lower"], item.metadata["upper"]
    # Written so that NaN is refused as well.
    if not (lower <= value <= upper):
        raise ConfigError(
            f"{path}: {item.name}: {value!r} is out of bounds; use {lower:g} to {upper:g} "
            f"{item.metadata['unit']}".rstrip()
        )
    return value if integer else float(value)


def _text(path: str | Path, item: Field[Any], value: object) -> str:
    choices = item.metadata["choices"]
    if not isinstance(value, str) or value != value.strip():
        raise ConfigError(f'{path}: {item.name}: {value!r} is not a text; write "" for none')
    if choices and value not in choices:
        raise ConfigError(f"{path}: {item.name}: {value!r} is unknown; use {' or '.join(choices)}")
    problem = topic_problem(value) if value and item.name in _ROS_NAMES else ""
    if problem:
        raise ConfigError(f"{path}: {item.name}: {problem}")
    return value


def _cross_check(path: str | Path, values: Mapping[str, Any]) -> None:
    if values["measured_jerk_window"] % 2 == 0:
        raise ConfigError(f"{path}: measured_jerk_window: is even; use an odd number")
    if not values["stop_resend_s"] < values["stop_goal_s"] < values["stop_overlap_s"]:
        raise ConfigError(
            f"{path}: stop_goal_s: must lie between stop_resend_s and stop_overlap_s; a goal that "
            "comes after the overlap would step"
        )
    for slow, stop in (
        ("slow_jerk_factor", "measured_jerk_factor"),
        ("slow_tracking_error_rad", "tracking_error_rad"),
    ):
        if not values[slow] <= values[stop]:
            raise ConfigError(
                f"{path}: {slow}: is above {stop}, so the arm would stop before it slows down; "
                "lower it"
            )
    if values["slow_count"] > values["slow_of"]:
        raise ConfigError(
            f"{path}: slow_count: is larger than slow_of, so it could never slow down; lower it"
        )
    for name in ("measured_jerk", "tracking_error", "overrun"):
        if values[f"{name}_count"] > values[f"{name}_of"]:
            raise ConfigError(
                f"{path}: {name}_count: is larger than {name}_of, so it could never trip; lower it"
            )
