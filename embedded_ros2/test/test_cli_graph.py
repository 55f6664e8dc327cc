# SPDX-License-Identifier: Apache-2.0
"""The command line, asked about a node that runs in another process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from embedded_ros2.cli import main

PATIENT_S = 60.0
DOMAIN = str(101 + os.getpid() % 100)

NODE = """
import time
import rclpy
from rclpy.action import ActionServer
from rclpy.node import Node
from example_interfaces.action import Fibonacci
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rcl_interfaces.msg import ParameterDescriptor, FloatingPointRange
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

rclpy.init()
node = Node("some_node", namespace="/ns")
node.declare_parameter("rate", 5.0, ParameterDescriptor(
    description="Per second.", floating_point_range=[
        FloatingPointRange(from_value=1.0, to_value=10.0, step=0.0)]))
node.declare_parameter("group.inner", [1, 2])
text = node.create_publisher(String, "text", 10)
joints = node.create_publisher(JointState, "joints", 10)
node.create_subscription(String, "heard", lambda message: text.publish(message), 10)

def tick():
    text.publish(String(data="hello"))
    message = JointState(name=["a", "b"], position=[1.0, 2.5])
    message.header.stamp = node.get_clock().now().to_msg()
    joints.publish(message)

def switch(request, response):
    response.success, response.message = request.data, "switched"
    return response

def fibonacci(goal):
    sequence = [0, 1]
    for _ in range(goal.request.order):
        sequence.append(sequence[-1] + sequence[-2])
        goal.publish_feedback(Fibonacci.Feedback(sequence=sequence))
        time.sleep(0.1)
    goal.succeed()
    return Fibonacci.Result(sequence=sequence)

state = ["unconfigured"]

def get_state(request, response):
    response.current_state.id, response.current_state.label = 1, state[0]
    return response

def available(request, response):
    from lifecycle_msgs.msg import TransitionDescription
    one = TransitionDescription()
    one.transition.id, one.transition.label = 1, "configure"
    one.start_state.label, one.goal_state.label = "unconfigured", "inactive"
    response.available_transitions = [one]
    return response

def change(request, response):
    response.success = state[0] == "unconfigured"
    state[0] = "inactive"
    return response

node.create_timer(0.05, tick)
node.create_service(SetBool, "~/switch", switch)
node.create_service(GetState, "~/get_state", get_state)
node.create_service(GetAvailableTransitions, "~/get_available_transitions", available)
node.create_service(ChangeState, "~/change_state", change)
server = ActionServer(node, Fibonacci, "fibonacci", fibonacci)
print("ready", flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, Exception):
    pass
"""

Run = Callable[..., tuple[int, str, str]]


def script(*lines: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        "\n".join(("from embedded_ros2 import fallback", "fallback.install()", *lines)),
    ]


@pytest.fixture(scope="module", autouse=True)
def some_node() -> Iterator[None]:
    before = os.environ.get("ROS_DOMAIN_ID")
    os.environ["ROS_DOMAIN_ID"] = DOMAIN
    process = subprocess.Popen(script(NODE), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield
    process.send_signal(signal.SIGINT)
    process.wait(timeout=PATIENT_S)
    if before is None:
        del os.environ["ROS_DOMAIN_ID"]
    else:
        os.environ["ROS_DOMAIN_ID"] = before


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return exit code, output and error output."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return command


class Command:
    """A command in a process of its own, which may not end by itself."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "embedded_ros2.cli", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            # Where the tests run in the background, SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def read(self, lines: int) -> str:
        assert self.process.stdout is not None
        return "".join(self.process.stdout.readline() for _ in range(lines))

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENT_S)


def test_nodes_are_listed_without_the_one_of_the_command(run: Run) -> None:
    assert run("node", "list") == (0, "/ns/some_node\n", "")
    assert run("node", "list", "-c")[1] == "1\n"


def test_the_endpoints_of_a_node_are_listed_by_kind(run: Run) -> None:
    code, out, _ = run("node", "info", "/ns/some_node")
    assert code == 0
    sections = re.findall(r"^  (\w[\w ]+):\n((?:    .+\n)*)", out, re.MULTILINE)
    found = {title: lines.split("\n    ") for title, lines in sections}
    assert list(found) == [
        *("Subscribers", "Publishers", "Service Servers", "Service Clients"),
        *("Action Servers", "Action Clients"),
    ]
    assert "/ns/joints: sensor_msgs/msg/JointState" in out
    assert "    /ns/heard: std_msgs/msg/String\n" in dict(sections)["Subscribers"]
    assert "/ns/some_node/switch: std_srvs/srv/SetBool" in dict(sections)["Service Servers"]
    assert "/ns/fibonacci: example_interfaces/action/Fibonacci" in dict(sections)["Action Servers"]
    assert "_action" not in out


def test_a_node_that_is_not_there_is_an_error(run: Run) -> None:
    assert run("node", "info", "/absent") == (1, "", "Unable to find node '/absent'\n")


def test_topics_are_listed_with_types_and_counts(run: Run) -> None:
    assert "/ns/text\n" in run("topic", "list")[1]
    assert "/ns/text [std_msgs/msg/String]\n" in run("topic", "list", "-t")[1]
    verbose = run("topic", "list", "-v")[1]
    assert " * /ns/joints [sensor_msgs/msg/JointState] 1 publisher\n" in verbose
    assert " * /ns/heard [std_msgs/msg/String] 1 subscriber\n" in verbose
    assert "_action" not in run("topic", "list")[1]
    assert "/ns/fibonacci/_action/feedback" in run("topic", "list", "--include-hidden-topics")[1]


def test_topics_are_found_by_type_and_types_by_topic(run: Run) -> None:
    assert run("topic", "find", "sensor_msgs/msg/JointState") == (0, "/ns/joints\n", "")
    assert run("topic", "type", "/ns/joints") == (0, "sensor_msgs/msg/JointState\n", "")
    assert run("topic", "type", "/absent") == (1, "", "")


def test_topic_info_shows_the_quality_of_service(run: Run) -> None:
    short = run("topic", "info", "/ns/text")[1]
    assert short == "Type: std_msgs/msg/String\nPublisher count: 1\nSubscription count: 0\n"
    verbose = run("topic", "info", "/ns/text", "-v")[1]
    assert "Node name: some_node\nNode namespace: /ns\n" in verbose
    assert "Topic type hash: RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db12880217" in verbose
    assert "  Reliability: RELIABLE\n  History (Depth): KEEP_LAST (10)\n" in verbose
    assert run("topic", "info", "/absent")[::2] == (1, "Unknown topic '/absent'\n")


def test_echo_prints_messages_as_yaml_documents(run: Run) -> None:
    assert run("topic", "echo", "/ns/text", "--once") == (0, "data: hello\n---\n", "")
    code, out, _ = run("topic", "echo", "/ns/joints", "-n", "2")
    first, second, rest = out.split("---\n")
    assert (code, rest) == (0, "")
    for text in (first, second):
        message = yaml.safe_load(text)
        assert list(message) == ["header", "name", "position", "velocity", "effort"]
        assert message["name"] == ["a", "b"]
        assert message["position"] == [1.0, 2.5]


def test_echo_can_leave_out_and_select(run: Run) -> None:
    out = run("topic", "echo", "/ns/joints", "--once", "--no-arr")[1]
    assert "position: '<sequence type: double, length: 2>'\n" in out
    out = run("topic", "echo", "/ns/joints", "--once", "--field", "header.frame_id")[1]
    assert out == "\n---\n"
    out = run("topic", "echo", "/ns/joints", "--once", "--csv")[1]
    assert re.fullmatch(r"\d+,\d+,,a,b,1\.0,2\.5\n", out)
    filtered = ("topic", "echo", "/ns/joints", "--once", "--filter")
    assert run(*filtered, "m.position[1] > 3", "--timeout", "0.3") == (0, "", "")
    assert "position:\n- 1.0\n- 2.5\n" in run(*filtered, "m.position[1] > 2")[1]
    code, _, err = run("topic", "echo", "/ns/text", "--field", "absent", "--once")
    assert code == 1
    assert err.startswith("Invalid field 'absent': ")


def test_echo_of_a_topic_that_is_not_there_is_an_error(run: Run) -> None:
    code, out, err = run("topic", "echo", "/absent")
    assert code == 1
    assert "WARNING: topic [/absent] does not appear to be published yet" in out
    assert err == "Could not determine the type for the passed topic\n"


def test_a_published_message_arrives(run: Run) -> None:
    echo = Command("topic", "echo", "/ns/text", "--filter", "m.data != 'hello'", "--once")
    publish = ("topic", "pub", "/ns/heard", "std_msgs/msg/String", "{data: 'from here'}")
    # Again and again: the way to the echo may not stand yet.
    goes_on = Command(*publish, "--rate", "20")
    assert echo.read(2) == "data: from here\n---\n"
    assert echo.process.wait(timeout=PATIENT_S) == 0
    goes_on.interrupt()
    goes_on.process.communicate()
    code, out, _ = run(*publish, "--times", "2", "--rate", "20")
    assert code == 0
    assert "publishing #2: std_msgs.msg.String(data='from here')\n" in out


@pytest.mark.parametrize(
    ("message_type", "values", "complaint"),
    [
        ("std_msgs/msg/Absent", "{}", "The passed message type is invalid"),
        ("std_msgs/msg/String", "{date: x}", "'String' has no field 'date'; it has: data"),
        ("std_msgs/msg/Float64", "{data: [1]}", "'data': "),
        ("std_msgs/msg/String", "[1]", "needs to be a dictionary"),
    ],
)
def test_a_message_that_cannot_be_made_is_refused(run, message_type, values, complaint) -> None:
    code, _, err = run("topic", "pub", "--once", "/x", message_type, values)
    assert code == 1
    assert complaint in err


def test_rates_bandwidth_and_delay_are_reported_until_interrupted() -> None:
    rate = Command("topic", "hz", "/ns/text")
    bandwidth = Command("topic", "bw", "/ns/joints")
    delay = Command("topic", "delay", "/ns/joints")
    assert re.match(r"average rate: \d+\.\d{3}\n\tmin: \d\.\d{3}s max: ", rate.read(2))
    assert re.match(
        r"Subscribed to \[/ns/joints\]\n[\d.]+ K?B/s from \d+ messages\n\tMessage size mean: ",
        bandwidth.read(3),
    )
    assert re.match(r"average delay: -?\d+\.\d{3}\n\tmin: ", delay.read(2))
    assert [one.interrupt() for one in (rate, bandwidth, delay)] == [2, 2, 2]


@pytest.mark.parametrize("verb", ["hz", "bw", "delay", "echo"])
@pytest.mark.parametrize("topic", ["/ns/joints", "/absent"])
def test_what_watches_a_topic_ends_when_it_is_told_to(verb: str, topic: str) -> None:
    """SIGTERM, also to a command whose topic nobody publishes; hz used to spin for ever."""
    command = Command("topic", verb, topic)
    command.read(1)
    command.process.terminate()
    # The last: it was ending by itself, and heeded nothing any more.
    assert command.process.wait(timeout=PATIENT_S) in (0, 1, 143, -signal.SIGTERM)


def test_services_are_listed_and_called(run: Run) -> None:
    assert "/ns/some_node/switch\n" in run("service", "list")[1]
    assert "_action" not in run("service", "list")[1]
    assert run("service", "type", "/ns/some_node/switch")[1] == "std_srvs/srv/SetBool\n"
    assert run("service", "find", "std_srvs/srv/SetBool")[1] == "/ns/some_node/switch\n"
    code, out, _ = run(
        "service", "call", "/ns/some_node/switch", "std_srvs/srv/SetBool", "{data: true}"
    )
    assert code == 0
    assert out == (
        "requester: making request: std_srvs.srv.SetBool_Request(data=True)\n\n"
        "response:\nstd_srvs.srv.SetBool_Response(success=True, message='switched')\n\n"
    )


def test_parameters_are_listed_read_and_set(run: Run) -> None:
    assert "  group.inner\n  rate\n" in run("param", "list", "/ns/some_node")[1]
    assert "/ns/some_node:\n  group.inner\n" in run("param", "list")[1]
    typed = run("param", "list", "/ns/some_node", "--param-type", "--filter", "ra")[1]
    assert typed == "  rate (type: double)\n"
    assert run("param", "get", "/ns/some_node", "rate")[1] == "Double value is: 5.0\n"
    assert run("param", "get", "ns/some_node", "group.inner", "--hide-type")[1] == "[1, 2]\n"
    assert run("param", "set", "/ns/some_node", "rate", "7.5")[:2] == (
        0,
        "Set parameter successful\n",
    )
    assert run("param", "get", "/ns/some_node", "rate", "--hide-type")[1] == "7.5\n"
    code, _, err = run("param", "set", "/ns/some_node", "rate", "99.0")
    assert code == 1
    assert err.startswith("Setting parameter failed: ")
    assert run("param", "set", "/ns/some_node", "rate", "5.0")[0] == 0


def test_a_parameter_is_described_with_its_bounds(run: Run) -> None:
    out = run("param", "describe", "/ns/some_node", "rate")[1]
    assert out == (
        "Parameter name: rate\n  Type: double\n  Description: Per second.\n  Constraints:\n"
        "    Min value: 1.0\n    Max value: 10.0\n"
    )


def test_dumped_parameters_can_be_loaded_again(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("param", "dump", "/ns/some_node")
    assert code == 0
    content = yaml.safe_load(out)
    parameters = content["/ns/some_node"]["ros__parameters"]
    assert parameters["group"] == {"inner": [1, 2]}
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump({"/ns/some_node": {"ros__parameters": {"rate": 6.0}}}))
    assert run("param", "load", "/ns/some_node", str(file)) == (
        0,
        "Set parameter rate successful\n",
        "",
    )
    assert run("param", "get", "/ns/some_node", "rate", "--hide-type")[1] == "6.0\n"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"rate": 5.0}}}))
    assert run("param", "load", "/ns/some_node", str(file))[0] == 0
    file.write_text(yaml.safe_dump({"/other": {"ros__parameters": {"rate": 6.0}}}))
    code, _, err = run("param", "load", "/ns/some_node", str(file))
    assert code == 1
    assert "no parameters for /ns/some_node, only for ['/other']" in err


@pytest.mark.parametrize(
    "command",
    [
        ("param", "get", "/absent", "x", "--timeout", "0.1"),
        ("lifecycle", "get", "/absent"),
        ("param", "list", "/absent"),
    ],
)
def test_commands_for_a_node_that_is_not_there_are_errors(run: Run, command) -> None:
    assert run(*command) == (1, "", "Node not found\n")


def test_a_lifecycle_is_shown_and_changed(run: Run) -> None:
    assert run("lifecycle", "nodes")[1] == "/ns/some_node\n"
    assert run("lifecycle", "get", "/ns/some_node")[1] == "unconfigured [1]\n"
    assert run("lifecycle", "list", "/ns/some_node")[1] == (
        "- configure [1]\n\tStart: unconfigured\n\tGoal: inactive\n"
    )
    code, _, err = run("lifecycle", "set", "/ns/some_node", "activate")
    assert code == 1
    assert err == "Unknown transition requested, available ones are:\n- configure [1]\n"
    assert run("lifecycle", "set", "/ns/some_node", "configure")[1] == "Transitioning successful\n"
    assert run("lifecycle", "get")[1] == "/ns/some_node: inactive [1]\n"
    assert run("lifecycle", "set", "/ns/some_node", "1") == (1, "", "Transitioning failed\n")


def test_an_action_is_listed_and_carried_out(run: Run) -> None:
    kind = "example_interfaces/action/Fibonacci"
    assert run("action", "list", "-t")[1] == f"/ns/fibonacci [{kind}]\n"
    assert run("action", "type", "/ns/fibonacci")[1] == f"{kind}\n"
    assert run("action", "info", "/ns/fibonacci")[1] == (
        "Action: /ns/fibonacci\nAction clients: 0\nAction servers: 1\n    /ns/some_node\n"
    )
    code, out, _ = run("action", "send_goal", "/ns/fibonacci", kind, "{order: 2}", "--feedback")
    assert code == 0
    assert out.count("Feedback:\n    sequence:\n") == 2
    assert "Result:\n    sequence:\n- 0\n- 1\n- 1\n- 2\n" in out
    assert out.endswith("Goal finished with status: SUCCEEDED\n")


def record(bag: Path, *topics: str) -> str:
    """Record until there are some messages of each topic; return what the command prints."""
    recorder = Command("bag", "record", *topics, "-o", str(bag))
    lines = [recorder.read(1) for _ in range(1 + len(topics))]
    file, end = bag / f"{bag.name}.mcap", time.monotonic() + PATIENT_S
    while not (file.exists() and file.stat().st_size > 3000 * len(topics)):
        assert time.monotonic() < end, "".join(lines)
        time.sleep(0.05)
    recorder.process.send_signal(signal.SIGINT)
    out, _ = recorder.process.communicate(timeout=PATIENT_S)
    assert recorder.process.returncode == 0
    return "".join(lines) + out


def test_what_was_recorded_is_described_and_played_back(run: Run, tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    out = record(bag, "/ns/text", "/ns/joints")
    assert f"Recording to '{bag}'" in out
    info = run("bag", "info", str(bag))[1]
    found = re.search(
        r"Topic: /ns/joints \| Type: sensor_msgs/msg/JointState \| Count: (\d+) \| "
        r"Serialization Format: cdr",
        info,
    )
    assert found is not None
    assert int(found[1]) > 3
    assert "Storage id:        mcap" in info

    echo = Command("topic", "echo", "/again", "std_msgs/msg/String", "--once")
    end = time.monotonic() + PATIENT_S
    while "/again\n" not in run("topic", "list")[1]:
        assert time.monotonic() < end
    code, out, _ = run(
        *("bag", "play", str(bag), "--topics", "/ns/text"),
        *("--remap", "/ns/text:=/again", "--rate", "2.0"),
    )
    assert code == 0
    assert echo.read(2) == "data: hello\n---\n"
    assert echo.process.wait(timeout=PATIENT_S) == 0
    assert run("bag", "record", "-a", "-o", str(bag))[::2] == (
        1,
        f"Output folder '{bag}' already exists.\n",
    )
    assert run("bag", "info", str(tmp_path))[0] == 1


def test_a_recording_may_have_an_end(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("bag", "record", "-a", "-o", str(tmp_path / "bag"), "-d", "0.1")
    assert code == 0
    assert "Recorded" in out


def test_the_definition_in_a_bag_is_complete(run: Run, tmp_path: Path) -> None:
    from rosbags.rosbag2 import Reader

    bag = tmp_path / "bag"
    record(bag, "/ns/joints")
    with Reader(bag) as reader:
        (connection,) = reader.connections
    text = connection.msgdef.data
    assert "float64[] position" in text
    assert "=" * 80 + "\nMSG: std_msgs/Header\n" in text
    assert "=" * 80 + "\nMSG: builtin_interfaces/Time\n" in text


def test_doctor_finds_the_router_and_the_node(run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert re.search(r"router +: localhost:\d+, runs", out)
    assert re.search(r"nodes +: 1\n", out)
    assert re.search(rf"ROS_DOMAIN_ID +: {DOMAIN}\n", out)


def test_doctor_names_a_domain_that_cannot_be(run: Run, monkeypatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "many")
    code, out, _ = run("doctor")
    assert code == 1
    assert "ROS_DOMAIN_ID is 'many': use a number from 0 to 232" in out
