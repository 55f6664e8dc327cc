# SPDX-License-Identifier: Apache-2.0
"""Run the Python examples and demos of ROS 2, as they are, with embedded_ros2.

    python .../run_examples.py FOLDER [--page PAGE --table NAME] [--only TEXT]

FOLDER holds the source trees `examples` and `demos` of a ROS 2 distribution. Each of their Python
packages is installed with pip into a folder of its own, and each executable and launch file is
started as its documentation says, beside what it talks with. It works if it prints what it should
and ends when interrupted without a traceback.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S = 60.0
# What is raised, at the end of the lines that say where.
TRACEBACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*(.+)$", re.M)
ACTIONS = "examples_rclpy_minimal_action"
SERVER, CLIENT = "examples_rclpy_minimal_service", "examples_rclpy_minimal_client"
PUBLISHER, SUBSCRIBER = "examples_rclpy_minimal_publisher", "examples_rclpy_minimal_subscriber"
EXECUTORS = "examples_rclpy_executors"
NODES, QOS = "demo_nodes_py", "quality_of_service_demo_py"


@dataclass
class Case:
    """A program, what runs beside it, and what it must print (patterns, in any order)."""

    program: tuple[str, ...]
    expect: tuple[str, ...]
    beside: tuple[tuple[str, ...], ...] = ()
    input: str = ""
    needs: str = ""
    ends: bool = False  # by itself
    as_real: str = ""  # the error with which it ends when interrupted, with the real rclpy too
    outcome: str = field(default="", init=False)

    @property
    def title(self) -> str:
        """What the table calls it."""
        return " ".join(self.program)


def _run(package: str, executable: str, *arguments: str) -> tuple[str, ...]:
    return ("run", package, executable, *arguments)


ADD = _run(SERVER, "service")
CASES = [
    # examples/rclpy/topics
    *(
        Case(_run(PUBLISHER, f"publisher_{kind}"), ('Publishing: "Hello World: 2"',))
        for kind in ("old_school", "local_function", "member_function")
    ),
    *(
        Case(
            _run(SUBSCRIBER, f"subscriber_{kind}"),
            ('I heard: "Hello World',),
            (_run(PUBLISHER, "publisher_member_function"),),
        )
        for kind in ("old_school", "lambda", "member_function")
    ),
    Case(
        _run("examples_rclpy_pointcloud_publisher", "pointcloud_publisher"),
        (),
        (),
        needs="points",
    ),
    # examples/rclpy/services
    Case(ADD, ("Incoming request",), (_run(CLIENT, "client"),)),
    Case(
        _run(SERVER, "service_member_function"), ("Incoming request",), (_run(CLIENT, "client"),)
    ),
    *(
        Case(_run(CLIENT, name), ("Result of add_two_ints: for 41 \\+ 1 = 42",), (ADD,))
        for name in (
            "client",
            "client_async",
            "client_async_member_function",
            "client_async_callback",
        )
    ),
    # examples/rclpy/actions
    *(
        Case(
            _run(f"{ACTIONS}_server", name),
            ("goal", "feedback|Returning result|succeeded"),
            (_run(f"{ACTIONS}_client", "client"),),
        )
        for name in (
            "server",
            "server_defer",
            "server_not_composable",
            "server_queue_goals",
            "server_single_goal",
        )
    ),
    *(
        Case(
            _run(f"{ACTIONS}_client", name),
            ("Goal accepted", "feedback", "succeeded|Result"),
            (_run(f"{ACTIONS}_server", "server"),),
        )
        for name in ("client", "client_not_composable")
    ),
    Case(
        _run(f"{ACTIONS}_client", "client_asyncio"),
        ("Goal accepted", "A\\) result", "B\\) result"),
        (_run(f"{ACTIONS}_server", "server"),),
    ),
    Case(
        _run(f"{ACTIONS}_client", "client_cancel"),
        ("Goal accepted", "feedback", "successfully canceled"),
        (_run(f"{ACTIONS}_server", "server"),),
    ),
    # examples/rclpy/guard_conditions, executors
    Case(
        _run("examples_rclpy_guard_conditions", "trigger_guard_condition"),
        ("timer callback triggered guard condition", "guard callback called shutdown"),
    ),
    Case(_run(EXECUTORS, "talker"), ('Publishing: "Hello World: 1"',)),
    Case(_run(EXECUTORS, "listener"), ('I heard: "Hello World',), (_run(EXECUTORS, "talker"),)),
    Case(
        _run(EXECUTORS, "callback_group"),
        ("Publishing", "I heard"),
        as_real="rcl_shutdown already called",  # of Jazzy's
    ),
    Case(_run(EXECUTORS, "composed"), ("Publishing", "I heard")),
    Case(
        _run(EXECUTORS, "custom_executor"),
        ("Publishing", "I heard"),
        as_real="rcl_shutdown already called",  # of Jazzy's
    ),
    Case(_run(EXECUTORS, "custom_callback_group"), ('Publishing: "Hello World: 12"',)),
    # demos/demo_nodes_py
    Case(_run(NODES, "talker"), ('Publishing: "Hello World: 2"',)),
    Case(_run(NODES, "listener"), ("I heard: \\[Hello World",), (_run(NODES, "talker"),)),
    Case(_run(NODES, "talker_qos", "-n", "3"), ("Publishing",)),
    Case(
        _run(NODES, "listener_qos", "--reliable"),
        ("I heard: \\[Hello World",),
        (_run(NODES, "talker_qos", "--reliable"),),
    ),
    Case(
        _run(NODES, "listener_serialized"),
        ("I heard: \"b'.*Hello World",),
        (_run(NODES, "talker"),),
    ),
    Case(
        _run(NODES, "add_two_ints_server"),
        ("Incoming request",),
        (_run(NODES, "add_two_ints_client"),),
    ),
    Case(
        _run(NODES, "add_two_ints_client"),
        ("Result of add_two_ints: 5",),
        (_run(NODES, "add_two_ints_server"),),
    ),
    Case(
        _run(NODES, "add_two_ints_client_async"),
        ("Result of add_two_ints: 5",),
        (_run(NODES, "add_two_ints_server"),),
    ),
    Case(
        _run(NODES, "async_param_client"),
        ("Setting parameters", "Getting parameters", "Deleting parameters", "successful: True"),
        (("blackboard",),),
    ),
    Case(_run(NODES, "set_parameters_callback"), (), (), needs="parameters"),
    Case(_run(NODES, "introspection"), ("Result of add_two_ints: 5",), ()),
    Case(
        _run(NODES, "matched_event_detect"),
        ("First subscription is connected", "Last publisher is disconnected"),
    ),
    Case(_run(NODES, "use_logger_service"), ("Output 4 with ERROR logger level",), ends=True),
    # demos/action_tutorials
    Case(
        _run("action_tutorials_py", "fibonacci_action_server"),
        ("Executing goal", "Feedback"),
        (_run("action_tutorials_py", "fibonacci_action_client"),),
    ),
    Case(
        _run("action_tutorials_py", "fibonacci_action_client"),
        ("Goal accepted", "Result: "),
        (_run("action_tutorials_py", "fibonacci_action_server"),),
    ),
    # demos/lifecycle_py
    Case(_run("lifecycle_py", "lifecycle_talker"), ("on_configure",), (), needs="lifecycle"),
    # demos/topic_monitor
    Case(
        _run("topic_monitor", "data_publisher", "sensor", "--best-effort", "--end-after", "3"),
        ("Publishing on topic: sensor_data_best_effort",),
        ends=True,
    ),
    Case(
        _run("topic_monitor", "topic_monitor"),
        ("sensor_data",),
        (_run("topic_monitor", "data_publisher", "sensor"),),
        as_real="rcl_shutdown already called",
    ),
    # demos/quality_of_service_demo
    Case(_run(QOS, "deadline", "600", "--publish-for", "2", "--pause-for", "2"), ("deadline",)),
    Case(_run(QOS, "incompatible_qos", "durability"), ("Publishing|incompatible",)),
    Case(_run(QOS, "lifespan", "1000", "--publish-count", "4"), ("Listener heard",)),
    Case(_run(QOS, "liveliness", "1000", "--kill-publisher-after", "3"), ("iveliness",)),
    Case(
        _run(QOS, "message_lost_listener"),
        ("I heard an Image",),
        (("camera",),),
    ),
    Case(_run(QOS, "qos_overrides_talker"), ('Publishing: "Hello World: 1"',)),
    Case(
        _run(QOS, "qos_overrides_listener"),
        ("I heard: \\[Hello World",),
        (_run(QOS, "qos_overrides_talker"),),
    ),
]
LAUNCH_FILES = {
    "reliability_demo_launch.py": ("Publishing on topic: critical_data",),
    "depth_demo_launch.py": ("Publishing on topic",),
    "fragmentation_demo_launch.py": ("Publishing on topic",),
}
# What the documentation takes from C++ packages, as the shortest program that does the same.
SUBSTITUTES = {
    "blackboard": """
import rclpy
from rclpy.node import Node
rclpy.init(args=[])
rclpy.spin(Node("parameter_blackboard", allow_undeclared_parameters=True))
""",
    "camera": """
import time
import rclpy
from sensor_msgs.msg import Image
rclpy.init(args=[])
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "message_lost_chatter", 10)
def publish():
    image = Image(height=48, width=64, encoding="rgb8", step=192, data=bytes(48 * 192))
    image.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(image)
node.create_timer(0.1, publish)
rclpy.spin(node)
""",
}
# Second commands, where the program itself prints nothing: (command, what it must print).
QUESTIONS = {
    "points": (("topic", "echo", "--once", "/test_cloud"), "point_step"),
    "parameters": (("param", "set", "/set_parameters_callback", "param1", "1.5"), "success"),
    "lifecycle": (("lifecycle", "set", "/lc_talker", "configure"), "successful"),
}


class Process:
    """A program and what it has printed so far."""

    def __init__(self, command: tuple[str, ...], environment: dict[str, str]) -> None:
        if command[0] in SUBSTITUTES:
            line = [sys.executable, "-c", SUBSTITUTES[command[0]]]
        else:
            line = [sys.executable, "-m", "embedded_ros2.cli", *command]
        self.text = ""
        self.process = subprocess.Popen(
            line,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.text += line

    def interrupt(self) -> bool:
        """Interrupt it as a terminal does; return whether it has ended."""
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
            try:
                self.process.wait(10.0)
            except subprocess.TimeoutExpired:
                continue
            self._reader.join(5.0)
            return number != signal.SIGKILL
        return False


def install(folder: Path, target: Path) -> list[str]:
    """Install every Python package of the source trees; return their names."""
    names = []
    for setup in sorted(folder.glob("*/**/setup.py")):
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
                *("--prefix", target, "--no-build-isolation", "--ignore-installed", setup.parent),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        names.append(setup.parent.name)
    return names


def _definitions(folder: Path) -> list[str]:
    """Return the source folders of the packages that define messages, services or actions."""
    kinds = ("msg", "srv", "action")
    found = {path.parent.parent for kind in kinds for path in folder.glob(f"*/**/{kind}/*.{kind}")}
    return sorted(str(path.resolve()) for path in found if (path / "package.xml").is_file())


def _site_packages(prefix: Path) -> str:
    names = {"base": str(prefix), "platbase": str(prefix)}
    return sysconfig.get_path("purelib", vars=names)


def attempt(case: Case, environment: dict[str, str]) -> str:
    """Run a case; return its outcome, `works` or what was in the way."""
    beside = [Process(command, environment) for command in case.beside]
    main = Process(case.program, environment)
    answer = ""
    try:
        end = time.monotonic() + LIMIT_S
        missing = list(case.expect)
        question, wanted = QUESTIONS.get(case.needs, ((), ""))
        while (missing or (question and wanted not in answer)) and time.monotonic() < end:
            if question and wanted not in answer and main.process.poll() is None:
                answer = subprocess.run(
                    [sys.executable, "-m", "embedded_ros2.cli", *question],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=LIMIT_S,
                    check=False,
                ).stdout
            ended = main.process.poll() is not None
            if ended:
                main._reader.join(5.0)
            missing = [one for one in missing if not re.search(one, main.text)]
            if ended:
                break
            time.sleep(0.1)
        while case.ends and not missing and main.process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        ends = main.interrupt()
    finally:
        for process in (main, *beside):
            process.interrupt()
    refusal = re.search(r"^(?:.*\.)?(?:NotImplementedError|NotOffered\w*): (.*)$", main.text, re.M)
    if refusal:
        return f"refused: {refusal[1]}"
    if missing or (question and wanted not in answer):
        return f"FAILS: no '{(missing or [wanted])[0]}'; {_tail(main.text)}"
    if case.as_real and case.as_real in main.text:
        return f"works; ends with '{case.as_real}' when interrupted, as with the real rclpy"
    # A program that does not catch it, as Jazzy's do not, ends with it when interrupted.
    errors = set(TRACEBACK.findall(main.text)) - {"KeyboardInterrupt"}
    if errors:
        return f"FAILS: {errors.pop()[:160]}"
    return "works" if ends else "FAILS: does not end when interrupted"


def _tail(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][-160:] if lines else "nothing printed"


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds `examples` and `demos`")
    parser.add_argument("--page", type=Path, help="write the table between the marks of this page")
    parser.add_argument("--table", default="rolling", help="the table's name in its marks")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory)
        install(arguments.folder, target)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, (_site_packages(target), os.environ.get("PYTHONPATH", "")))
            ),
            "AMENT_PREFIX_PATH": str(target),
            # The packages of definitions are for CMake: they are read where they lie.
            "EMBEDDED_ROS2_SHARE": os.pathsep.join(_definitions(arguments.folder)),
        }
        cases = list(CASES)
        for name, expect in LAUNCH_FILES.items():
            for path in sorted(arguments.folder.glob(f"*/**/{name}")):
                error = (
                    "publisher's context is invalid"  # of data_publisher, interrupted in a sleep
                )
                cases.append(Case(("launch", str(path)), expect, as_real=error))
        cases = [case for case in cases if arguments.only in case.title]
        for case in cases:
            case.outcome = attempt(case, environment)
            print(f"{case.title:<75} {case.outcome}", flush=True)
    if arguments.page:
        _write(arguments.page, arguments.table, cases)
    return any(case.outcome.startswith("FAILS") for case in cases)


def _write(page: Path, table: str, cases: list[Case]) -> None:
    rows = ["| program | outcome |", "| --- | --- |"]
    for case in cases:
        title = " ".join(Path(word).name if "/" in word else word for word in case.program)
        rows.append(f"| `{title}` | {case.outcome.replace('|', chr(92) + '|')} |")
    begin, end = f"<!-- table {table} -->\n", f"<!-- end of table {table} -->"
    head, rest = page.read_text().split(begin, 1)
    tail = rest.split(end, 1)[1]
    page.write_text(head + begin + "\n".join(rows) + f"\n{end}{tail}")


if __name__ == "__main__":
    sys.exit(main())
