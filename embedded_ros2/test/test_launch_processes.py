# SPDX-License-Identifier: Apache-2.0
"""Launch files run by the command line: output, exit codes, signals, and what is left behind."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENT_S = 60.0

HEADER = """
import sys
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import *
from launch.event_handlers import *
from launch.events.process import *
from launch.substitutions import *

def python(code, **more):
    more.setdefault("output", "screen")
    more.setdefault("name", "child")
    return ExecuteProcess(cmd=[sys.executable, "-u", "-c", code], **more)

def generate_launch_description():
    return LaunchDescription([
"""

# A child that says what it receives; it ends at the signal named last.
LISTENER = """
import os, signal, sys, time
def say(text):
    os.write(1, f"{text}\\n".encode())  # at once, so that no signal can come in between
def on(name):
    def handler(*_):
        say(f"got {name}")
        if name == sys.argv[1]:
            sys.exit(0)
    return handler
signal.signal(signal.SIGINT, on("SIGINT"))
signal.signal(signal.SIGTERM, on("SIGTERM"))
say(f"pid {os.getpid()}")
open("up", "w").close()
while True:
    time.sleep(0.05)
"""


class Launch:
    """A launch in a process of its own, with its output as it comes."""

    def __init__(self, path: Path, arguments: tuple[str, ...], cwd: Path) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "embedded_ros2.cli", "launch", str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        end = time.monotonic() + PATIENT_S
        while time.monotonic() < end:
            found = re.findall(pattern, self.text)
            if len(found) >= count:
                return found
            time.sleep(0.01)
        raise AssertionError(f"no {pattern!r} ({count}x) in:\n{self.text}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        code = self.process.wait(timeout=PATIENT_S)
        self._reader.join(timeout=PATIENT_S)
        return code


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    (tmp_path / "listener.py").write_text(LISTENER)
    running: list[Launch] = []

    def start(body: str, *arguments: str) -> Launch:
        path = tmp_path / "some.launch.py"
        path.write_text(HEADER + textwrap.dedent(body) + "\n])\n")
        running.append(Launch(path, arguments, tmp_path))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(timeout=PATIENT_S)
            one.process.kill()


def listener(ends_at: str) -> str:
    return (
        f"ExecuteProcess(cmd=[sys.executable, 'listener.py', '{ends_at}'], name='child', "
        "output='screen', sigterm_timeout='2.0', sigkill_timeout='2.0')"
    )


def gone(pid: int) -> bool:
    """Return whether a process has ended; a zombie has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def all_gone(pids: list[str], within_s: float = PATIENT_S) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if all(gone(int(pid)) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def test_each_line_of_a_process_is_prefixed_with_its_name(launch) -> None:
    one = launch("""python("print('one'); print('two', end='')"),""")
    assert one.end() == 0
    assert "[child-1] one" in one.lines
    assert "[child-1] two" in one.lines
    assert any(
        re.match(r"\[INFO\] \[child-1\]: process started with pid \[\d+\]", line)
        for line in one.lines
    )
    assert any(
        re.match(r"\[INFO\] \[child-1\]: process has finished cleanly \[pid \d+\]", line)
        for line in one.lines
    )


def test_output_log_shows_stderr_only_and_writes_both_to_the_log_file(launch, tmp_path) -> None:
    one = launch("""
        python("import sys; print('to stdout'); print('to stderr', file=sys.stderr)",
               output="log"),
    """)
    assert one.end() == 0
    assert "[child-1] to stderr" in one.lines
    assert "[child-1] to stdout" not in one.lines
    logged = (tmp_path / "log" / "latest" / "launch.log").read_text()
    assert "[child-1] to stdout" in logged
    assert "[child-1] to stderr" in logged


def test_emulate_tty_gives_the_process_a_terminal(launch) -> None:
    one = launch("""
        python("import sys; print(sys.stdout.isatty(), sys.stderr.isatty())", emulate_tty=True),
        python("import sys; print(sys.stdout.isatty(), sys.stderr.isatty())"),
    """)
    assert one.end() == 0
    assert "[child-1] True True" in one.lines
    assert "[child-2] False False" in one.lines


def test_the_exit_code_is_zero_even_if_a_required_process_fails_as_in_ros(launch) -> None:
    one = launch("""
        python("raise SystemExit(3)", on_exit=[Shutdown()]),
        python("import time; time.sleep(60)"),
    """)
    assert one.end() == 0
    assert "exit code 3" in one.text
    assert "process[child-1] was required: shutting down launched system" in one.text
    assert "sending signal 'SIGINT' to process[child-2]" in one.text


def test_an_error_in_an_action_ends_the_launch_with_code_one(launch) -> None:
    one = launch("""
        python("import time; time.sleep(60)"),
        TimerAction(period=0.3, actions=[LogInfo(msg=LaunchConfiguration("absent"))]),
    """)
    assert one.end() == 1
    assert "launch configuration 'absent' does not exist" in one.text
    assert "sending signal 'SIGINT' to process[child-1]" in one.text


def test_a_program_that_does_not_exist_gives_one_clear_line_and_code_one(launch) -> None:
    one = launch("""ExecuteProcess(cmd=["no-such-program", "x"]),""")
    assert one.end() == 1
    lines = [line for line in one.lines if "ERROR" in line]
    assert lines == [
        "[ERROR] [no-such-program-1]: cannot start 'no-such-program x': "
        "No such file or directory: no-such-program"
    ]


def test_sigint_reaches_each_process_once_and_ends_the_launch_with_code_zero(launch) -> None:
    one = launch(f"{listener('SIGINT')}, {listener('SIGINT')},")
    one.wait_for(r"pid (\d+)", 2)
    one.send(signal.SIGINT)
    assert one.end() == 0
    assert one.text.count("got SIGINT") == 2
    assert "user interrupted with ctrl-c (SIGINT)" in one.text
    assert "SIGTERM" not in one.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_launch_ends_its_processes_with_sigint_first(launch, number) -> None:
    one = launch(listener("SIGINT"))
    pids = one.wait_for(r"\] pid (\d+)")
    one.send(number)
    assert one.end() == 1
    assert one.text.count("got SIGINT") == 1
    assert all_gone(pids)


def test_a_launch_started_with_nohup_outlives_its_terminal(launch, monkeypatch) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the launch inherits
    try:
        one = launch(listener("SIGINT"))
    finally:
        signal.signal(signal.SIGHUP, previous)
    one.wait_for(r"\] pid (\d+)")
    one.send(signal.SIGHUP)
    one.send(signal.SIGINT)
    assert one.end() == 0
    assert "SIGHUP" not in one.text
    assert one.text.count("got SIGINT") == 1


def test_a_process_that_ignores_sigint_gets_sigterm_and_then_sigkill(launch) -> None:
    one = launch(f"{listener('SIGTERM')}, {listener('never')},")
    pids = one.wait_for(r"\] pid (\d+)", 2)
    one.send(signal.SIGINT)
    assert one.end() == 0
    assert one.text.count("got SIGINT") == 2
    assert one.text.count("got SIGTERM") == 2
    assert one.text.count("escalating to 'SIGTERM'") == 2
    assert one.text.count("escalating to 'SIGKILL'") == 1
    assert "exit code -9" in one.text
    assert all_gone(pids)


def test_a_second_and_a_third_ctrl_c_are_more_insistent(launch) -> None:
    body = listener("never").replace("'2.0'", "'100'")
    one = launch(body)
    one.wait_for(r"\] pid (\d+)")
    one.send(signal.SIGINT)
    one.wait_for("got SIGINT")
    one.send(signal.SIGINT)
    one.wait_for("got SIGTERM")
    one.send(signal.SIGINT)
    assert one.end() == 0
    assert "exit code -9" in one.text


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_no_process_outlives_a_launch_that_was_killed(launch) -> None:
    one = launch(f"""
        {listener("SIGINT")},
        ExecuteProcess(cmd=["{sys.executable} listener.py SIGINT & echo up; wait"], shell=True,
                       name="shell", output="screen"),
    """)
    pids = one.wait_for(r"\] pid (\d+)", 2)
    one.wait_for("up")
    one.send(signal.SIGKILL)
    one.process.wait(timeout=PATIENT_S)
    assert all_gone(pids)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_process_left_in_the_background_ends_with_the_launch(launch) -> None:
    one = launch(f"""
        ExecuteProcess(cmd=["setsid {sys.executable} listener.py SIGINT & "
                            "until test -e up; do sleep 0.1; done"], shell=True,
                       name="shell", output="screen"),
    """)
    pids = one.wait_for(r"\] pid (\d+)")
    assert one.end() == 0
    assert all_gone(pids, within_s=5.0)


def test_a_process_is_respawned_until_the_launch_ends(launch) -> None:
    one = launch("""
        python("print('here')", respawn=True, respawn_delay=0.05),
    """)
    one.wait_for(r"\[child-1\] here", 3)
    one.send(signal.SIGINT)
    assert one.end() == 0


def test_respawn_stops_after_the_given_number_of_times(launch) -> None:
    one = launch("""
        python("print('here')", respawn=TextSubstitution(text="true"), respawn_max_retries=2),
    """)
    assert one.end() == 0
    assert one.text.count("[child-1] here") == 3


def test_a_process_that_respawns_after_a_delay_does_not_hold_up_the_end(launch) -> None:
    one = launch("""
        python("print('here')", respawn=True, respawn_delay=1000.0),
    """)
    one.wait_for("finished cleanly")
    one.send(signal.SIGINT)
    assert one.end() == 0


def test_a_signal_event_reaches_only_the_process_that_is_meant(launch) -> None:
    one = launch("""
        RegisterEventHandler(OnProcessIO(on_stdout=lambda event: {
            ("a-1", True): ExecuteProcess(cmd=[sys.executable, "listener.py", "SIGINT"], name="b",
                                          output="screen"),
            ("b-2", True): EmitEvent(event=SignalProcess(
                signal_number="SIGTERM", process_matcher=matches_name("a-1"))),
        }.get((event.process_name, b"pid" in event.text)))),
        ExecuteProcess(cmd=[sys.executable, "listener.py", "SIGTERM"], name="a", output="screen",
                       on_exit=[Shutdown()]),
    """)
    assert one.end() == 0
    assert "[a-1] got SIGTERM" in one.lines
    assert "[b-2] got SIGTERM" not in one.lines
    assert "[b-2] got SIGINT" in one.lines


def test_the_working_folder_and_the_environment_are_those_given(launch, tmp_path) -> None:
    (tmp_path / "below").mkdir()
    one = launch(f"""
        SetEnvironmentVariable("A", "outer"),
        python("import os; print(os.getcwd(), os.environ['A'], os.environ['B'])",
               cwd="{tmp_path}/below", additional_env={{"B": ["in", "ner"]}}),
    """)
    assert one.end() == 0
    assert f"[child-1] {tmp_path}/below outer inner" in one.lines


def test_a_command_behind_a_launch_prefix_runs_within_it(launch) -> None:
    one = launch("""python("print('here')"),""", "launch-prefix:=env MARK=1")
    assert one.end() == 0
    assert "[child-1] here" in one.lines
    assert "cannot start" not in one.text


def test_an_output_that_nobody_reads_does_not_keep_the_launch_from_an_orderly_end(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    (tmp_path / "listener.py").write_text(LISTENER)
    (tmp_path / "some.launch.py").write_text(HEADER + listener("SIGINT") + "])")
    process = subprocess.Popen(
        [sys.executable, "-m", "embedded_ros2.cli", "launch", "some.launch.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"\] pid (\d+)", line):
            break
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENT_S) == 0
    assert found
    assert all_gone([found[1]])


def test_a_launch_argument_that_nobody_declares_is_reported_with_the_closest_one(launch) -> None:
    one = launch("""DeclareLaunchArgument("policy", default_value="x"),""", "polcy:=y")
    assert one.end() == 0
    warnings = [line for line in one.lines if "WARNING" in line]
    assert warnings == [
        "[WARNING] [launch]: some.launch.py declares no launch argument 'polcy': "
        "did you mean 'policy'?"
    ]


def test_a_launch_argument_that_only_an_opaque_function_declares_is_known(launch) -> None:
    one = launch(
        """
        DeclareLaunchArgument("policy", default_value="x"),
        OpaqueFunction(function=lambda context: [DeclareLaunchArgument("late")]),
        """,
        "late:=y",
        "polcy:=y",
    )
    assert one.end() == 0
    (warning,) = [line for line in one.lines if "WARNING" in line]
    assert "'polcy'" in warning


def test_show_args_lists_the_arguments_and_launches_nothing(launch) -> None:
    one = launch(
        """
        DeclareLaunchArgument("rate", default_value="30", description="Frames a second."),
        DeclareLaunchArgument("mode", choices=["a", "b"]),
        GroupAction(
            [DeclareLaunchArgument("inner", default_value=["x", LaunchConfiguration("y")])],
            condition=IfCondition("true")),
        python("print('launched')"),
        """,
        "--show-args",
    )
    assert one.end() == 0
    assert one.lines == [
        "Arguments (pass arguments as '<name>:=<value>'):",
        "",
        "    'rate':",
        "        Frames a second.",
        "        (default: '30')",
        "",
        "    'mode':",
        "        One of: ['a', 'b']",
        "",
        "    'inner':*",
        "        no description given",
        "        (default: 'x' + LaunchConfig('y'))",
        "",
        "* argument(s) which are only used if specific conditions occur",
    ]


def test_print_shows_the_tree_and_launches_nothing(launch) -> None:
    one = launch(
        """
        LogInfo(msg=["rate ", LaunchConfiguration("rate")]),
        ExecuteProcess(cmd=["echo", "launched"]),
        RegisterEventHandler(OnShutdown(on_shutdown=[])),
        """,
        "--print",
    )
    assert one.end() == 0
    assert "├── LogInfo('rate ' + LaunchConfig('rate'))" in one.lines
    tree = "├── ExecuteProcess(cmd=['echo', 'launched'], cwd=None, env=None, shell=False)"
    assert tree in one.lines


def test_a_launch_file_that_raises_names_its_error_and_line(launch) -> None:
    one = launch("""LogInfo(msg=1 / 0),""")
    assert one.end() == 1
    errors = [line for line in one.lines if "[ERROR]" in line]
    assert len(errors) == 1
    assert "ZeroDivisionError: division by zero" in errors[0]
    assert re.search(r"some\.launch\.py:\d+\)$", errors[0])
