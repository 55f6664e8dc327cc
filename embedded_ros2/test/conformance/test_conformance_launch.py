# SPDX-License-Identifier: Apache-2.0
"""The same launch files, and what comes of them: what nodes are told, what is said, exit codes."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

DEADLINE_S = 60.0
RUNNER = Path(__file__).with_name("run_launch_file.py")
HEADER = """
import sys
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import *
from launch.event_handlers import *
from launch.events import Shutdown as ShutdownEvent
from launch.substitutions import *
from launch_ros.actions import *
from launch_ros.parameter_descriptions import *
from launch_ros.substitutions import *

VALUE = LaunchConfiguration

def say(*parts):
    return LogInfo(msg=list(parts))

def show(**more):
    return Node(package="some_package", executable="show", output="screen", **more)

def python(code, **more):
    return ExecuteProcess(cmd=[sys.executable, "-u", "-c", code], output="screen", **more)

def generate_launch_description():
    return LaunchDescription([
"""
# An executable that tells its arguments, and the content of the parameter files among them.
SHOW = """#!/usr/bin/env python3
import json, sys
arguments = sys.argv[1:]
for number, argument in enumerate(arguments):
    if number and arguments[number - 1] == "--params-file":
        arguments[number] = open(argument).read()
print(json.dumps(arguments), flush=True)
"""


class _Loader(yaml.SafeLoader):
    """Reads tuples, as which the real launch_ros writes lists."""


_Loader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node)
)


class Launched:
    """What a launch has said."""

    def __init__(self, code, output):
        self.code, self.output = code, output
        self.said = re.findall(r"^\[INFO\] \[launch\.user\]: (.*)$", output, re.MULTILINE)

    def lines(self, process):
        """Return what a process printed."""
        return re.findall(rf"^\[{process}-\d+\] (.*)$", self.output, re.MULTILINE)

    def arguments(self, process):
        """Return what a node was started with."""
        (line,) = self.lines(process)
        return json.loads(line)

    def parameters(self, process):
        """Return the parameters from files and from `-p`, in order."""
        found = []
        arguments = self.arguments(process)
        for option, value in itertools.pairwise(arguments):
            if option == "--params-file":
                (section,) = yaml.load(value, _Loader).values()
                found.append(section["ros__parameters"])
            elif option == "-p":
                name, text = value.split(":=", 1)
                found.append({name: yaml.safe_load(text)})
        return found


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """Make an install prefix with one package, whose node tells how it was started."""
    root = tmp_path / "install"
    share, lib = root / "share", root / "lib" / "some_package"
    index = share / "ament_index" / "resource_index" / "packages"
    for folder in (index, lib, share / "some_package"):
        folder.mkdir(parents=True)
    (index / "some_package").touch()
    (share / "some_package" / "package.xml").write_text("<package/>")
    (lib / "show").write_text(SHOW)
    (lib / "show").chmod(0o755)
    others = os.environ.get("AMENT_PREFIX_PATH")
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(filter(None, [str(root), others])))
    return root


@pytest.fixture
def start(prefix, tmp_path, monkeypatch):
    """Return a function that starts a launch file with this body."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    running = []

    def start(body, *arguments):
        path = tmp_path / "some.launch.py"
        path.write_text(HEADER + textwrap.dedent(body) + "\n])\n")
        process = subprocess.Popen(
            [sys.executable, str(RUNNER), str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def launch(start):
    """Return a function that runs a launch file with this body to its end."""

    def launch(body, *arguments):
        process = start(body, *arguments)
        output, _ = process.communicate(timeout=DEADLINE_S)
        return Launched(process.returncode, output)

    return launch


def test_names_arguments_and_remappings_reach_the_node(launch):
    launched = launch(
        """
        DeclareLaunchArgument("end", default_value="nobody"),
        show(name=["tal", VALUE("end")], namespace="left", arguments=["--fast", VALUE("end")],
             ros_arguments=["--log-level", "debug"],
             remappings=[("a", "b"), ("~/c", ["/", VALUE("end")])]),
        """,
        "end:=ker",
    )
    assert launched.code == 0
    assert launched.arguments("show") == [
        *("--fast", "ker", "--ros-args", "--log-level", "debug", "--ros-args"),
        *("-r", "__node:=talker", "-r", "__ns:=/left", "-r", "a:=b", "-r", "~/c:=/ker"),
    ]


def test_parameters_keep_their_types(launch):
    launched = launch(
        """
        DeclareLaunchArgument("n"),
        show(name="p", parameters=[
            {"i": 1, "f": 2.5, "t": "text", "b": True, "e": "", "numeral": "1"},
            {"l": [1, 2], "words": ["a", "b"], "n": {"x": 1, "y": {"z": "q"}}},
            {"read": VALUE("n"), "typed": ParameterValue(VALUE("n"), value_type=str)},
        ]),
        """,
        "n:=3",
    )
    assert launched.parameters("show") == [
        {"i": 1, "f": 2.5, "t": "text", "b": True, "e": "", "numeral": "1"},
        {"l": [1, 2], "words": ["a", "b"], "n.x": 1, "n.y.z": "q"},
        {"read": 3, "typed": "3"},
    ]


def test_parameter_files_come_in_order(launch, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("/**:\n  ros__parameters:\n    a: 1\n")
    launched = launch(
        f"""
        show(parameters=[{str(path)!r}, {{"b": 2}},
                         PathJoinSubstitution([ThisLaunchFileDir(), "p.yaml"])]),
        """
    )
    assert launched.parameters("show") == [{"a": 1}, {"b": 2}, {"a": 1}]


def test_a_group_gives_its_nodes_namespace_parameters_and_remappings(launch):
    launched = launch(
        """
        GroupAction([
            PushRosNamespace("robot"), SetParameter("use_sim_time", True),
            SetParameter("t", "text"), SetRemap("x", "y"),
            show(name="g", exec_name="plain"),
            show(name="g", exec_name="inner", namespace="in"),
            show(name="g", exec_name="outer", namespace="/abs"),
        ]),
        show(exec_name="after"),
        """
    )
    for process, namespace in (("plain", "/robot"), ("inner", "/robot/in"), ("outer", "/abs")):
        arguments = launched.arguments(process)
        assert f"__ns:={namespace}" in arguments
        assert "x:=y" in arguments
        assert launched.parameters(process) == [{"use_sim_time": True}, {"t": "text"}]
    assert launched.arguments("after") == ["--ros-args"]


def test_conditions_choose(launch):
    body = """
        DeclareLaunchArgument("on", default_value="false"),
        LogInfo(msg="if", condition=IfCondition(VALUE("on"))),
        LogInfo(msg="unless", condition=UnlessCondition(VALUE("on"))),
        LogInfo(msg="both", condition=IfCondition(AndSubstitution(VALUE("on"), "1"))),
        """
    assert launch(body).said == ["unless"]
    assert launch(body, "on:=true").said == ["if", "both"]
    assert launch(body, "on:=maybe").code == 1


def test_an_included_file_has_its_arguments_and_its_own_place(launch, tmp_path):
    inner = tmp_path / "inner.launch.py"
    inner.write_text(
        HEADER + 'DeclareLaunchArgument("who"), say(VALUE("who"), " ", ThisLaunchFile())])'
    )
    launched = launch(
        """
        say(ThisLaunchFile()),
        IncludeLaunchDescription(
            PathJoinSubstitution([ThisLaunchFileDir(), "inner.launch.py"]),
            launch_arguments={"who": "me"}.items()),
        GroupAction([IncludeLaunchDescription(
            PathJoinSubstitution([ThisLaunchFileDir(), "inner.launch.py"]),
            launch_arguments={"who": "you"}.items())]),
        say("left: ", VALUE("who", default="nobody")),
        """
    )
    outer = tmp_path / "some.launch.py"
    # Arguments of a file included outside of a group stay, as its configurations do.
    assert launched.said == [str(outer), f"me {inner}", f"you {inner}", "left: me"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("VALUE('rate')", "30"),
        ("VALUE('absent', default='none')", "none"),
        ("PythonExpression([VALUE('rate'), ' / 4'])", "7.5"),
        ("PythonExpression(['\"', VALUE('name'), '\" == \"arm\"'])", "True"),
        ("Command('echo a b')", "a b"),
        ("EnvironmentVariable('ABSENT_HERE', default_value='d')", "d"),
        ("EqualsSubstitution(VALUE('rate'), '30.0')", "true"),
        ("NotEqualsSubstitution('a', 'A')", "true"),
        ("IfElseSubstitution(VALUE('on'), 'yes', 'no')", "yes"),
        ("AnySubstitution('0', VALUE('on'))", "true"),
        ("AllSubstitution('0', VALUE('on'))", "false"),
        ("NotSubstitution(VALUE('on'))", "false"),
        ("PathJoinSubstitution(['/a', VALUE('name'), 'x.yaml'])", "/a/arm/x.yaml"),
        ("PathJoinSubstitution([FindPackageShare('some_package'), 'c'])", "{share}/c"),
        ("LocalSubstitution('absent_local')", None),
        ("VALUE('absent')", None),
        ("EnvironmentVariable('ABSENT_HERE')", None),
        ("FindPackageShare('absent_package')", None),
        ("Command('false')", None),
    ],
)
def test_substitutions(launch, prefix, text, result):
    launched = launch(
        f"""
        SetLaunchConfiguration("rate", "30"), SetLaunchConfiguration("name", "arm"),
        SetLaunchConfiguration("on", "true"), say({text}),
        """
    )
    if result is None:
        assert (launched.code, launched.said) == (1, [])
    else:
        share = prefix / "share" / "some_package"
        assert (launched.code, launched.said) == (0, [result.format(share=share)])


def test_groups_keep_configurations_and_environment_to_themselves(launch):
    launched = launch(
        """
        SetLaunchConfiguration("a", "outer"),
        GroupAction([SetLaunchConfiguration("a", "inner"), SetEnvironmentVariable("E_HERE", "set"),
                     say(VALUE("a"), " ", EnvironmentVariable("E_HERE"))]),
        say(VALUE("a"), " ", EnvironmentVariable("E_HERE", default_value="unset")),
        GroupAction([SetLaunchConfiguration("a", "kept")], scoped=False),
        say(VALUE("a")),
        """
    )
    assert launched.said == ["inner set", "outer unset", "kept"]


def test_a_required_argument_must_be_given_and_a_choice_be_kept(launch):
    assert launch('DeclareLaunchArgument("a"), say(VALUE("a"))').code == 1
    body = 'DeclareLaunchArgument("a", choices=["x", "y"]), say(VALUE("a"))'
    assert launch(body, "a:=x").said == ["x"]
    assert launch(body, "a:=z").code == 1


def test_handlers_see_starts_ends_and_exit_codes(launch):
    launched = launch(
        """
        OpaqueFunction(function=lambda context: globals().update(
            first=python("print('one'); sys.exit(3)".replace("sys.", "__import__('sys').")),
            second=python("print('two')", name="second"))),
        OpaqueFunction(function=lambda context: [
            RegisterEventHandler(OnProcessStart(target_action=first,
                                                on_start=[say("started")])),
            RegisterEventHandler(OnProcessExit(
                target_action=first,
                on_exit=lambda event, context: [say("code ", str(event.returncode)), second])),
            RegisterEventHandler(OnShutdown(on_shutdown=[say("over")])),
            first]),
        """
    )
    assert launched.code == 0
    assert launched.said == ["started", "code 3", "over"]
    assert launched.lines("second") == ["two"]


def test_the_output_of_a_process_is_prefixed_and_its_death_is_told(launch):
    launched = launch("""python("print('said'); raise SystemExit(5)", name="child"),""")
    assert launched.lines("child") == ["said"]
    assert re.search(
        r"^\[INFO\] \[child-1\]: process started with pid \[\d+\]$", launched.output, re.M
    )
    assert re.search(
        r"^\[ERROR\] \[child-1\]: process has died \[pid \d+, exit code 5, cmd '.*'\]\.$",
        launched.output,
        re.M,
    )


def test_a_node_that_ends_may_end_the_launch(launch):
    launched = launch(
        """
        python("import time; time.sleep(1000)", name="long"),
        python("pass", name="short", on_exit=Shutdown(reason="it is over")),
        """
    )
    assert launched.code == 0
    assert "[INFO] [long-1]: sending signal 'SIGINT'" in launched.output


def test_a_process_that_dies_is_started_again_as_often_as_said(launch):
    launched = launch(
        """python("print('alive'); raise SystemExit(1)", name="child", respawn=True,
                  respawn_delay=0.05, respawn_max_retries=2),"""
    )
    assert launched.lines("child") == ["alive"] * 3


def test_timers_run_late_and_not_at_all_after_the_end(launch):
    launched = launch(
        """
        TimerAction(period=0.1, actions=[say("late")]),
        TimerAction(period=0.5, actions=[Shutdown(reason="enough")]),
        TimerAction(period=1000.0, actions=[say("never")]),
        say("early"),
        """
    )
    assert (launched.code, launched.said) == (0, ["early", "late"])


CHILD = """
import os, signal, sys, time
def stop(*_):
    os.write(1, b"interrupted\\n")
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
print("waits")
time.sleep(1000)
"""


def _wait_for(process, text):
    deadline, lines = time.monotonic() + DEADLINE_S, []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
        if time.monotonic() > deadline:
            break
    pytest.fail(f"{text!r} was not said:\n{''.join(lines)}")


def _interrupt(process):
    """Do what a terminal does at Ctrl-C: tell the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def test_an_interrupt_reaches_the_children_once_and_the_launch_ends_well(start):
    process = start(f"python({CHILD!r}, name='child'),")
    _wait_for(process, "waits")
    _interrupt(process)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert output.count("[child-1] interrupted") == 1
    assert "[INFO] [child-1]: process has finished cleanly" in output
    assert process.returncode == 0


def test_a_child_that_ignores_the_interrupt_is_terminated_and_killed(start):
    code = (
        "import signal, time; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]; "
        "print('waits'); time.sleep(1000)"
    )
    process = start(
        f"python({code!r}, name='child', sigterm_timeout='0.3', sigkill_timeout='0.3'),"
    )
    _wait_for(process, "waits")
    _interrupt(process)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert "failed to terminate '0.3' seconds after receiving 'SIGINT'" in output
    assert "escalating to 'SIGKILL'" in output
    assert "exit code -9" in output
