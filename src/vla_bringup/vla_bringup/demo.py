# SPDX-License-Identifier: Apache-2.0
"""`demo`: launch the simulated robot, run episodes, and exit with what came of them.

Built on the launch system's Python interface, since `ros2 launch` does not pass on exit codes.
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryFile

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import (
    EmitEvent,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from vla_bringup.task import COLOURS, instruction_for

RUNNER, PAGE = "episode_runner", "vla_operator"
BAD_INPUT = 2
# What a robot does where there is a task for it, and where there is none.
TASK, WANDER = "color_pick", "wander"
RATE_HZ = 100
# Entry points by robot: servos that a driver commands at a port, of another package than vla_sim.
SERVOS = "vla_sim_servos"


def contract_for(policy: str, robot: str, share: Path, folder: Path) -> Path:
    """Return the contract file of a policy on a simulated robot.

    Args:
        policy: Which; empty for the robot's task or, where there is none, for `WANDER`.
        robot: Its name.
        share: Where the policies of known robots are.
        folder: The robot's own, which may hold contracts too.

    Raises:
        ValueError: there is none; the message lists those that exist.
    """
    policies = share / "config" / "policies"
    for name in (policy,) if policy else (TASK, WANDER):
        for path in (policies / f"{robot}_{name}.yaml", folder / f"{name}.yaml"):
            if path.is_file():
                return path
    known = sorted(each.stem[len(robot) + 1 :] for each in policies.glob(f"{robot}_*.yaml"))
    raise ValueError(
        f"--policy {policy or TASK}: there are {known}; no {robot}_{policy or TASK}.yaml in "
        f"{policies}, and no {policy or WANDER}.yaml in {folder}"
    )


def folder_of(robot: str, share: Path) -> Path:
    """Return a robot's folder: that of its name, or one anywhere by its path.

    Raises:
        ValueError: There is no robot file in it.
    """
    known = share / "config" / "robots"
    folder = Path(robot).expanduser().resolve() if "/" in robot else known / robot
    if not (folder / "robot.yaml").is_file():
        names = ", ".join(sorted(path.parent.name for path in known.glob("*/robot.yaml")))
        raise ValueError(
            f"--robot {robot}: there is no {folder / 'robot.yaml'}; choose one of {names}, or "
            "give a folder by its path, with a slash in it, such as ./robots/mine"
        )
    return folder


def contract_in(folder: Path, policy: str) -> Path:
    """Return the contract of a policy in a robot's own folder.

    Raises:
        ValueError: There is none.
    """
    path = folder / f"{policy}.yaml"
    if not path.is_file():
        raise ValueError(
            f"--policy {policy}: there is no {path}; add it, or give --contract FILE "
            f"(`vla-robot from-urdf` writes {WANDER}.yaml, which moves through random postures)"
        )
    return path


def monitor_for(rate_hz: int, folder: Path) -> Path:
    """Return the monitor's thresholds for controllers of another rate than `RATE_HZ`.

    Raises:
        ValueError: There are none.
    """
    path = folder / f"monitor_{rate_hz}hz.yaml"
    if not path.is_file():
        raise ValueError(
            f"--rate {rate_hz}: there is no {path}: the thresholds of the monitor for that rate; "
            f"add it, or leave the rate at {RATE_HZ}"
        )
    return path


def has_simulated_servos(robot: str) -> None:
    """Refuse a robot that no package has a driver and simulated servos for.

    Raises:
        ValueError: There are none; the message lists the robots that have some.
    """
    known = sorted(each.name for each in entry_points(group=SERVOS))
    if robot not in known:
        raise ValueError(
            f"--hardware bus: there are no simulated servos of {robot}; there are of "
            f"{', '.join(known) or 'none'}; leave --hardware out"
        )


def ends_all(process: str, code: int) -> bool:
    """Return whether everything ends with a process: the runner, or a node that gives up.

    Whoever only looks on ends nothing.
    """
    return process.startswith(RUNNER) or (code != 0 and not process.startswith(PAGE))


def describe(
    arguments: argparse.Namespace, share: Path, outcome: dict[str, int]
) -> LaunchDescription:
    """Build the launch description; the exit code ends up in `outcome["code"]`."""
    folder = folder_of(arguments.robot, share)
    own = "/" in arguments.robot
    policy = arguments.policy or (WANDER if own else TASK)
    contract = arguments.contract or (
        contract_in(folder, policy)
        if own
        else contract_for(arguments.policy, arguments.robot, share, folder)
    )
    robot_file = str(folder / "robot.yaml")
    given = {
        "contract_file": str(contract),
        "robot": arguments.robot,
        "seed": str(arguments.seed),
        "real_time_factor": str(arguments.real_time_factor),
        "page": "true" if arguments.page else "false",
        "page_instructions": "move" if own else "; ".join(map(instruction_for, COLOURS)),
    }
    name = "sim"
    if arguments.hardware == "bus":
        has_simulated_servos(arguments.robot)
        name, given["hardware"] = arguments.robot, "bus"
    if own:
        given |= {
            "robot": folder.name,
            "robot_file": robot_file,
            "monitor_file": str(folder / "monitor.yaml"),
            "description_file": str(folder / "description.urdf.xacro"),
        }
    if arguments.rate != RATE_HZ:
        given["controller_rate_hz"] = str(arguments.rate)
        given["monitor_file"] = str(monitor_for(arguments.rate, folder))
    system = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / f"{name}.launch.py")),
        launch_arguments=given.items(),
    )
    runner = Node(
        package="vla_bringup",
        executable=RUNNER,
        name=RUNNER,
        output="screen",
        parameters=[
            {
                "use_sim_time": True,
                "robot_file": robot_file,
                "episodes": arguments.episodes,
                "seed": arguments.seed,
                "adversary": policy == "adversary",
                "output_dir": str(arguments.output.resolve()),
            }
        ],
    )

    def ended(event: ProcessExited, context: LaunchContext) -> list[EmitEvent]:
        """End everything with the runner, or with a node that gives up before it is done."""
        if "code" in outcome or not ends_all(event.process_name, event.returncode):
            return []
        outcome["code"] = event.returncode
        return [EmitEvent(event=Shutdown(reason=f"{event.process_name} ended"))]

    return LaunchDescription([RegisterEventHandler(OnProcessExit(on_exit=ended)), system, runner])


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--policy",
        default="",
        help=f"policy to run (default: {TASK}; {WANDER} for a robot that is given by its path)",
    )
    parser.add_argument(
        "--robot",
        default="so101",
        help="robot to simulate, by its name or the path of its folder (default: %(default)s)",
    )
    parser.add_argument(
        "--hardware",
        choices=["sim", "bus"],
        default="sim",
        help="sim: the simulation's own joints. bus: its servos, driven at a serial port by the "
        "arm's own driver (default: %(default)s)",
    )
    parser.add_argument(
        "--contract", type=Path, help="contract file, in place of the policy's own"
    )
    parser.add_argument("--episodes", type=int, default=3, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="first scene (default: %(default)s)")
    parser.add_argument(
        "--rate",
        type=int,
        default=RATE_HZ,
        help="of the simulated controllers, Hz (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder for results")
    parser.add_argument(
        "--real-time-factor",
        type=float,
        default=1.0,
        help="simulated time over the host's, at most; 0: as fast as it can (default: 1)",
    )
    parser.add_argument(
        "--page",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="serve the operator's page for as long as this runs; its address is printed "
        "(default: it is)",
    )
    arguments = parser.parse_args(argv)
    # Some shells leave the ~ of OUT=~/demo as it is.
    arguments.output = arguments.output.expanduser()
    if not 0.0 <= arguments.real_time_factor <= 100.0:
        parser.error("--real-time-factor must be between 0 and 100")
    if arguments.episodes < 1:
        parser.error("--episodes must be 1 or more")
    if not 0 <= arguments.seed < 2**31:
        parser.error("--seed must be between 0 and 2147483647")
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=arguments.output):
            pass
    except OSError as error:
        parser.error(f"--output {arguments.output}: cannot be written ({error.strerror})")
    return arguments


def main() -> int:
    """Entry point of the `demo` command.

    Returns:
        0 every episode succeeded, 1 one did not, 2 bad input or a node that gave up, 3 the monitor
        tripped.
    """
    arguments = parse()
    share = Path(get_package_share_directory("vla_bringup"))
    outcome: dict[str, int] = {}
    try:
        description = describe(arguments, share, outcome)
    except ValueError as error:
        print(f"demo: {error}", file=sys.stderr)
        return BAD_INPUT
    service = LaunchService(argv=[])
    service.include_launch_description(description)
    launched = service.run()
    return outcome.get("code", launched or 1)


if __name__ == "__main__":
    sys.exit(main())
