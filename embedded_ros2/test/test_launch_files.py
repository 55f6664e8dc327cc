# SPDX-License-Identifier: Apache-2.0
"""Arguments, conditions, scopes, includes and events, run within this process."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded_ros2 import fallback

fallback.install()

from launch import LaunchContext, LaunchDescription, LaunchService  # noqa: E402
from launch import logging as launch_logging  # noqa: E402
from launch.actions import (  # noqa: E402
    AppendEnvironmentVariable,
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    SetLaunchConfiguration,
    Shutdown,
    TimerAction,
    UnsetEnvironmentVariable,
    UnsetLaunchConfiguration,
)
from launch.conditions import (  # noqa: E402
    IfCondition,
    UnlessCondition,
)
from launch.event_handlers import (  # noqa: E402
    OnExecutionComplete,
    OnProcessExit,
    OnProcessStart,
    OnShutdown,
)
from launch.events import matches_action  # noqa: E402
from launch.events.process import ShutdownProcess, SignalProcess  # noqa: E402
from launch.launch_description_sources import (  # noqa: E402
    AnyLaunchDescriptionSource,
    PythonLaunchDescriptionSource,
)
from launch.substitutions import (  # noqa: E402
    EnvironmentVariable,
    LaunchConfiguration,
    ThisLaunchFile,
    ThisLaunchFileDir,
)

Run = Callable[..., tuple[int, list[str]]]
VALUE = LaunchConfiguration


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Launch some actions; return the exit code and what LogInfo and processes have said."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    before = os.environ.copy()

    def launch(*entities, **arguments: str) -> tuple[int, list[str]]:
        source = LaunchDescription(
            [*(SetLaunchConfiguration(*item) for item in arguments.items()), *entities]
        )
        service = LaunchService()
        service.include_launch_description(source)
        code = service.run()
        lines = capsys.readouterr().out.splitlines()
        prefix = "[INFO] [launch.user]: "
        said = [
            line.removeprefix(prefix)
            for line in lines
            if line.startswith((prefix, "[ERROR] [launch]: ")) or line.startswith("[said-")
        ]
        return code, said

    yield launch
    launch_logging.reset()
    os.environ.clear()
    os.environ.update(before)


def say(*parts) -> LogInfo:
    return LogInfo(msg=list(parts))


def test_a_declared_argument_has_its_default_unless_given(run: Run) -> None:
    actions = (DeclareLaunchArgument("a", default_value=["x", "y"]), say(VALUE("a")))
    assert run(*actions) == (0, ["xy"])
    assert run(*actions, a="z") == (0, ["z"])


def test_a_missing_required_argument_is_named(run: Run) -> None:
    code, said = run(DeclareLaunchArgument("robot", description="Which one."), say("never"))
    assert code == 1
    assert said == [
        "[ERROR] [launch]: Caught exception in launch (see debug for traceback): Required launch "
        "argument 'robot' was not provided (description: 'Which one.'); add robot:=<value>"
    ]


def test_an_argument_outside_its_choices_is_refused_with_the_choices(run: Run) -> None:
    code, said = run(DeclareLaunchArgument("mode", choices=["a", "b"]), mode="c")
    assert code == 1
    assert said[0].endswith(
        "Argument 'mode' provided value 'c' is not valid. Valid options are: ['a', 'b']"
    )


def test_a_default_outside_the_choices_is_refused_when_it_is_declared() -> None:
    with pytest.raises(RuntimeError, match="default value 'c' is not one of"):
        DeclareLaunchArgument("mode", default_value="c", choices=["a", "b"])


@pytest.mark.parametrize(("value", "holds"), [("true", True), ("1", True), ("False", False)])
def test_conditions_read_true_and_false(run: Run, value: str, holds: bool) -> None:
    _, said = run(
        LogInfo(msg="if", condition=IfCondition(VALUE("v"))),
        LogInfo(msg="unless", condition=UnlessCondition(VALUE("v"))),
        v=value,
    )
    assert said == (["if"] if holds else ["unless"])


def test_a_condition_that_is_no_bool_ends_the_launch(run: Run) -> None:
    code, said = run(LogInfo(msg="x", condition=IfCondition("maybe")))
    assert code == 1
    assert "expected one of [true, 1, false, 0] but got 'maybe'" in said[0]


def test_a_group_keeps_its_configurations_and_environment_to_itself(run: Run) -> None:
    inside = [
        SetLaunchConfiguration("a", "inner"),
        SetEnvironmentVariable("E", "inner"),
        say(VALUE("a"), " ", EnvironmentVariable("E")),
    ]
    after = say(VALUE("a"), " ", EnvironmentVariable("E", default_value="unset"))
    assert run(GroupAction(inside), after, a="outer") == (0, ["inner inner", "outer unset"])
    assert run(GroupAction(inside, scoped=False), after, a="outer") == (0, ["inner inner"] * 2)


def test_a_group_that_does_not_forward_sees_only_what_it_is_given(run: Run) -> None:
    inside = [say(VALUE("a", default="none"), " ", VALUE("kept"))]
    group = GroupAction(inside, forwarding=False, launch_configurations={"kept": VALUE("a")})
    assert run(group, say(VALUE("a")), a="outer") == (0, ["none outer", "outer"])


def test_environment_actions_change_what_follows(run: Run) -> None:
    code, said = run(
        SetEnvironmentVariable("E", "b"),
        AppendEnvironmentVariable("E", "c"),
        AppendEnvironmentVariable("E", "a", prepend=True, separator="-"),
        say(EnvironmentVariable("E")),
        UnsetEnvironmentVariable("E"),
        say(EnvironmentVariable("E", default_value="unset")),
        UnsetLaunchConfiguration("v"),
        say(VALUE("v", default="gone")),
        v="here",
    )
    assert (code, said) == (0, ["a-b:c", "unset", "gone"])


@pytest.fixture
def inner_file(tmp_path: Path) -> Path:
    path = tmp_path / "inner" / "inner.launch.py"
    path.parent.mkdir()
    path.write_text(
        "from launch import LaunchDescription\n"
        "from launch.actions import *\n"
        "from launch.substitutions import *\n"
        "def generate_launch_description():\n"
        "    return LaunchDescription([\n"
        "        DeclareLaunchArgument('who'),\n"
        "        LogInfo(msg=[LaunchConfiguration('who'), ' ', ThisLaunchFileDir()]),\n"
        "        LogInfo(msg=[ThisLaunchFile()]),\n"
        "    ])\n"
    )
    return path


def test_an_included_file_gets_its_arguments_and_knows_where_it_is(run, inner_file) -> None:
    outer = inner_file.parent.parent / "outer.launch.py"
    outer.write_text(
        "from launch import LaunchDescription\n"
        "from launch.actions import *\n"
        "from launch.substitutions import *\n"
        "def generate_launch_description():\n"
        "    inner = PathJoinSubstitution([ThisLaunchFileDir(), 'inner', 'inner.launch.py'])\n"
        "    return LaunchDescription([\n"
        "        IncludeLaunchDescription(inner, launch_arguments={'who': 'me'}.items()),\n"
        "        LogInfo(msg=[ThisLaunchFile()]),\n"
        "    ])\n"
    )
    source = PythonLaunchDescriptionSource([str(outer.parent), "/outer.launch.py"])
    code, said = run(IncludeLaunchDescription(source))
    assert code == 0
    assert said == [f"me {inner_file.parent}", str(inner_file), str(outer)]


def test_an_include_without_a_required_argument_is_refused(run: Run, inner_file: Path) -> None:
    code, said = run(IncludeLaunchDescription(str(inner_file)))
    assert code == 1
    assert "is missing required argument 'who'" in said[0]


def test_arguments_of_included_files_are_declared_too(inner_file: Path) -> None:
    description = LaunchDescription(
        [
            DeclareLaunchArgument("own", default_value="1"),
            IncludeLaunchDescription(AnyLaunchDescriptionSource(str(inner_file))),
        ]
    )
    assert [argument.name for argument in description.get_launch_arguments()] == ["own", "who"]


@pytest.mark.parametrize(("name", "kind"), [("a.launch.xml", "XML"), ("a.launch.yaml", "YAML")])
def test_xml_and_yaml_launch_files_are_refused_by_name(tmp_path, name: str, kind: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(NotImplementedError, match=f"{kind} launch files are not offered.*{name}"):
        AnyLaunchDescriptionSource(str(tmp_path / name)).get_launch_description(LaunchContext())


def test_a_launch_file_outside_of_a_file_has_no_folder(run: Run) -> None:
    code, said = run(say(ThisLaunchFileDir(), ThisLaunchFile()))
    assert code == 1
    assert "ThisLaunchFileDir used outside of a launch file" in said[0]


def test_an_opaque_function_sees_the_context_and_may_return_actions(run: Run) -> None:
    def function(context, greeting, *, who):
        return [say(greeting, " ", who, " ", VALUE("a").perform(context))]

    action = OpaqueFunction(function=function, args=["hello"], kwargs={"who": "you"})
    assert run(action, a="b") == (0, ["hello you b"])


def test_what_is_no_action_is_refused_with_the_name_of_the_culprit(run: Run) -> None:
    code, said = run(OpaqueFunction(function=lambda context: ["text"]))
    assert code == 1
    assert "returned 'text' of type 'str'; return launch actions or None" in said[0]


def test_a_timer_runs_its_actions_in_the_scope_in_which_it_was_started(run: Run) -> None:
    timer = TimerAction(period=0.02, actions=[say("late")])
    assert run(timer, say("early")) == (0, ["early", "late"])


def test_a_cancelled_timer_does_nothing(run: Run) -> None:
    timer = TimerAction(period=100.0, actions=[say("never")])
    cancel = TimerAction(
        period=0.02, actions=[OpaqueFunction(function=lambda context: timer.cancel())]
    )
    assert run(timer, cancel) == (0, [])


def test_the_end_of_the_launch_cancels_timers(run: Run) -> None:
    code, said = run(
        TimerAction(period=1000.0, actions=[say("never")]),
        RegisterEventHandler(OnShutdown(on_shutdown=lambda event, _: [say(event.reason)])),
        Shutdown(reason="enough"),
    )
    assert (code, said) == (0, ["enough"])


def test_handlers_of_a_process_see_its_start_and_its_exit_code(run: Run) -> None:
    process = ExecuteProcess(cmd=["sh", "-c", "exit 3"], name="said")
    code, said = run(
        RegisterEventHandler(
            OnProcessStart(target_action=process, on_start=lambda event, _: say(event.cmd[0]))
        ),
        RegisterEventHandler(
            OnProcessExit(
                target_action=process, on_exit=lambda event, _: [say(f"code {event.returncode}")]
            )
        ),
        RegisterEventHandler(
            OnExecutionComplete(target_action=process, on_completion=[say("complete")])
        ),
        process,
    )
    assert code == 0
    assert said == ["sh", "code 3", "complete"]
    assert process.return_code == 3


def test_processes_can_follow_one_another(run: Run) -> None:
    first = ExecuteProcess(cmd=["echo", "first"], name="said", output="screen")
    second = ExecuteProcess(cmd=["echo", "second"], name="said", output="screen")
    _, said = run(
        RegisterEventHandler(OnProcessExit(target_action=first, on_exit=[second])), first
    )
    assert [line.split("] ")[1] for line in said] == ["first", "second"]


def test_the_handler_registered_last_goes_first_and_may_handle_once(run: Run) -> None:
    once = OnExecutionComplete(
        target_action=lambda action: isinstance(action, SetLaunchConfiguration),
        on_completion=lambda *_: [say("once")],
        handle_once=True,
    )
    always = OnExecutionComplete(
        target_action=lambda action: isinstance(action, SetLaunchConfiguration),
        on_completion=lambda *_: [say("always")],
    )
    _, said = run(
        RegisterEventHandler(always),
        RegisterEventHandler(once),
        SetLaunchConfiguration("a", "1"),
        SetLaunchConfiguration("a", "2"),
    )
    assert said == ["once", "always", "always"]


def test_processes_end_by_event(run: Run) -> None:
    first = ExecuteProcess(cmd=["sleep", "1000"])
    second = ExecuteProcess(cmd=["sleep", "1000"])
    code, _ = run(
        RegisterEventHandler(
            OnProcessStart(
                target_action=first,
                on_start=[EmitEvent(event=ShutdownProcess(process_matcher=matches_action(first)))],
            )
        ),
        RegisterEventHandler(
            OnProcessStart(
                target_action=second,
                on_start=[
                    EmitEvent(
                        event=SignalProcess(
                            signal_number=signal.SIGTERM, process_matcher=matches_action(second)
                        )
                    )
                ],
            )
        ),
        first,
        second,
    )
    assert code == 0
    assert first.return_code == -signal.SIGINT
    assert second.return_code == -signal.SIGTERM


def test_the_output_of_a_process_can_be_kept(run: Run) -> None:
    process = ExecuteProcess(cmd=["sh", "-c", "echo out; echo err >&2"], cached_output=True)
    run(process)
    assert (process.get_stdout(), process.get_stderr()) == ("out\n", "err\n")


def test_an_action_cannot_run_twice(run: Run) -> None:
    process = ExecuteProcess(cmd=["true"])
    code, said = run(process, process)
    assert code == 1
    assert "was executed more than once" in said[0]


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("launch.actions.declare_launch_argument", DeclareLaunchArgument),
        ("launch.conditions.if_condition", IfCondition),
        ("launch.events.process.signal_process", SignalProcess),
        ("launch.substitutions.launch_configuration", LaunchConfiguration),
    ],
)
def test_the_longer_import_paths_lead_to_the_same_classes(module: str, kind: type) -> None:
    assert getattr(importlib.import_module(module), kind.__name__) is kind
