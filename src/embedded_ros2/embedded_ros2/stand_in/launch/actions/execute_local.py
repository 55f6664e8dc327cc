# SPDX-License-Identifier: Apache-2.0
"""Child processes."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import os
import pty
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._supervisor import Supervisor, signal_group
from ..action import Action
from ..condition import Condition
from ..conditions import evaluate_condition_expression
from ..descriptions import Executable
from ..event import Event
from ..event_handler import BaseEventHandler
from ..event_handlers import OnProcessExit
from ..events import Shutdown
from ..events.process import (
    ProcessExited,
    ProcessStarted,
    ProcessStderr,
    ProcessStdin,
    ProcessStdout,
    ShutdownProcess,
    SignalProcess,
)
from ..launch_description_entity import LaunchDescriptionEntity
from ..logging import get_logger, get_output_loggers
from ..some_entities_type import SomeEntitiesType
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..substitutions import LaunchConfiguration
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions
from ..utilities.type_utils import normalize_typed_substitution, perform_typed_substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

# How long to read on after a process has ended: its output may still be in the pipe, but a
# grandchild that lives on may hold the pipe open for ever.
_DRAIN_S = 0.5


class ExecuteLocal(Action):
    """Runs a process, shows its output, and ends it when the launch ends.

    Args:
        process_description: What to run.
        shell: Whether a shell reads the command line.
        sigterm_timeout: Seconds from SIGINT to SIGTERM.
        sigkill_timeout: Seconds from SIGTERM to SIGKILL.
        emulate_tty: Whether the process shall believe that it writes to a terminal.
        output: Where its output goes: ``screen``, ``log``, ``both``, ``own_log``, ``full``, or
            a dict of these for stdout and stderr.
        output_format: The form of an output line.
        cached_output: Whether to keep the output for ``get_stdout`` and ``get_stderr``.
        log_cmd: Whether to log the command line.
        on_exit: What to do when the process ends.
        respawn: Whether to start the process again when it ends.
        respawn_delay: Seconds to wait before that.
        respawn_max_retries: How often; negative for ever.
        condition: The condition under which the process is run.
    """

    def __init__(
        self,
        *,
        process_description: Executable,
        shell: bool = False,
        sigterm_timeout: SomeSubstitutionsType = LaunchConfiguration(  # noqa: B008
            "sigterm_timeout", default=5
        ),
        sigkill_timeout: SomeSubstitutionsType = LaunchConfiguration(  # noqa: B008
            "sigkill_timeout", default=5
        ),
        emulate_tty: bool = False,
        output: SomeSubstitutionsType | Mapping[str, Any] = "log",
        output_format: str = "[{this.process_description.final_name}] {line}",
        cached_output: bool = False,
        log_cmd: bool = False,
        on_exit: SomeEntitiesType
        | Callable[[ProcessExited, LaunchContext], SomeEntitiesType | None]
        | None = None,
        respawn: bool | SomeSubstitutionsType = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        condition: Condition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.__description = process_description
        self.__shell = shell
        self.__sigterm_timeout = normalize_to_list_of_substitutions(sigterm_timeout)
        self.__sigkill_timeout = normalize_to_list_of_substitutions(sigkill_timeout)
        self.__emulate_tty = emulate_tty
        self.__output: Mapping[str, Any] | list[Substitution]
        chosen = os.environ.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT", output)
        if isinstance(chosen, Mapping):
            self.__output = chosen
        else:
            self.__output = normalize_to_list_of_substitutions(chosen)
        self.__output_format = output_format
        self.__log_cmd = log_cmd
        self.__on_exit = on_exit
        self.__respawn = normalize_typed_substitution(respawn, bool)
        self.__respawn_delay_s = respawn_delay or 0.0
        self.__respawn_retries_left = respawn_max_retries
        self.__cached: dict[str, list[str]] | None = (
            {"stdout": [], "stderr": []} if cached_output else None
        )

        self.__executed = False
        self.__details: dict[str, Any] | None = None
        self.__process: asyncio.subprocess.Process | None = None
        self.__completed: asyncio.Future[None] | None = None
        self.__ending: asyncio.Event | None = None
        self.__escalation: asyncio.Task[None] | None = None
        self.__timeouts_s = (5.0, 5.0)
        self.__logger: logging.Logger = logging.getLogger("launch")

    @property
    def process_description(self) -> Executable:
        """What is run."""
        return self.__description

    @property
    def shell(self) -> bool:
        """Whether a shell reads the command line."""
        return self.__shell

    @property
    def emulate_tty(self) -> bool:
        """Whether the process shall believe that it writes to a terminal."""
        return self.__emulate_tty

    @property
    def sigterm_timeout(self) -> list[Substitution]:
        """Seconds from SIGINT to SIGTERM."""
        return self.__sigterm_timeout

    @property
    def sigkill_timeout(self) -> list[Substitution]:
        """Seconds from SIGTERM to SIGKILL."""
        return self.__sigkill_timeout

    @property
    def output(self) -> object:
        """Where the output goes."""
        return self.__output

    @property
    def process_details(self) -> dict[str, Any] | None:
        """Name, cmd, cwd, env and pid of the process; None before it is prepared."""
        return self.__details

    @property
    def return_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return None if self.__process is None else self.__process.returncode

    def get_stdout(self) -> str:
        """Return what the process has written to its standard output."""
        return self.__cached_text("stdout")

    def get_stderr(self) -> str:
        """Return what the process has written to its error output."""
        return self.__cached_text("stderr")

    def __cached_text(self, source: str) -> str:
        if self.__cached is None:
            raise RuntimeError(f"set cached_output=True to be able to get {source}")
        return "".join(self.__cached[source])

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        if isinstance(self.__on_exit, LaunchDescriptionEntity):
            return [self.__on_exit]
        return list(self.__on_exit) if isinstance(self.__on_exit, Iterable) else []

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        return self.__completed

    # Start.

    def prepare(self, context: LaunchContext) -> None:
        """Perform all substitutions of what is run."""
        self.__description.prepare(context, self)
        self.__details = {
            "action": self,
            "name": self.__description.final_name,
            "cmd": self.__description.final_cmd,
            "cwd": self.__description.final_cwd,
            "env": self.__description.final_env,
        }
        self.__respawn = perform_typed_substitution(context, self.__respawn, bool)
        if "emulate_tty" in context.launch_configurations:
            text = normalize_to_list_of_substitutions(context.launch_configurations["emulate_tty"])
            self.__emulate_tty = evaluate_condition_expression(context, text)
        # Read now: a timeout set within a group is gone when the launch ends.
        self.__timeouts_s = (
            float(perform_substitutions(context, self.__sigterm_timeout)),
            float(perform_substitutions(context, self.__sigkill_timeout)),
        )

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Start the process in the background of the launch.

        Raises:
            RuntimeError: If this action was executed before.
        """
        if self.__executed:
            raise RuntimeError(
                f"action '{self.describe()}' was executed more than once: "
                "make one action for each process"
            )
        self.__executed = True
        self.prepare(context)
        if context.is_shutdown:
            return None
        assert self.__details is not None
        name = self.__details["name"]
        self.__logger = get_logger(name)
        output = self.__output
        loggers = get_output_loggers(
            name, output if isinstance(output, Mapping) else perform_substitutions(context, output)
        )
        if self.__on_exit is not None:
            context.register_event_handler(
                OnProcessExit(target_action=self, on_exit=self.__on_exit)
            )
        context.register_event_handler(_Requests(self))
        self.__completed = context.asyncio_loop.create_future()
        self.__ending = asyncio.Event()
        task = context.asyncio_loop.create_task(self.__run(context, *loggers))
        task.add_done_callback(self.__finish)
        return None

    def __finish(self, task: asyncio.Task[None]) -> None:
        assert self.__completed is not None
        if self.__completed.done():
            return
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.__completed.set_exception(error)
        else:
            self.__completed.set_result(None)

    # Run.

    async def __run(
        self, context: LaunchContext, stdout: logging.Logger, stderr: logging.Logger
    ) -> None:
        assert self.__ending is not None and self.__details is not None
        while not self.__ending.is_set():
            if not await self.__run_once(context, stdout, stderr):
                return
            if not self.__respawn or self.__ending.is_set() or self.__respawn_retries_left == 0:
                return
            self.__respawn_retries_left -= 1
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.__ending.wait(), self.__respawn_delay_s)

    async def __run_once(
        self, context: LaunchContext, stdout: logging.Logger, stderr: logging.Logger
    ) -> bool:
        """Run the process to its end; return whether it could be started."""
        assert self.__ending is not None and self.__details is not None
        details = self.__details
        shown = " ".join(part for part in details["cmd"] if part.strip())
        if self.__log_cmd:
            self.__logger.info("process details: cmd='%s', cwd='%s'", shown, details["cwd"])
        supervisor = _supervisor(context)
        try:
            process, readers = await self.__spawn(supervisor)
        except OSError as error:
            what = error.filename if error.filename is not None else details["cmd"][0]
            self.__logger.error("cannot start '%s': %s: %s", shown, error.strerror, what)
            context._failed = True
            return False
        self.__process = process
        details["pid"] = process.pid
        supervisor.started(process.pid)
        self.__logger.info("process started with pid [%d]", process.pid)
        context.emit_event_sync(ProcessStarted(**details))
        pumps = [
            asyncio.ensure_future(self.__pump(context, readers[0], stdout, ProcessStdout)),
            asyncio.ensure_future(self.__pump(context, readers[1], stderr, ProcessStderr)),
        ]
        if self.__ending.is_set():
            self.__begin_end()  # the launch ended while the process was being started
        returncode = await process.wait()
        supervisor.ended(process.pid)
        if self.__escalation is not None:
            self.__escalation.cancel()
        _, unfinished = await asyncio.wait(pumps, timeout=_DRAIN_S)
        for pump in unfinished:
            pump.cancel()
        if returncode == 0:
            self.__logger.info("process has finished cleanly [pid %d]", process.pid)
        else:
            self.__logger.error(
                "process has died [pid %d, exit code %d, cmd '%s'].",
                process.pid,
                returncode,
                shown,
            )
        context.emit_event_sync(ProcessExited(returncode=returncode, **details))
        return True

    async def __spawn(
        self, supervisor: Supervisor
    ) -> tuple[asyncio.subprocess.Process, list[asyncio.StreamReader]]:
        """Start the process as leader of a session of its own.

        So a Ctrl-C in the terminal reaches the launch only, which passes it on once.
        """
        assert self.__details is not None
        cmd, cwd = _with_program(self.__details["cmd"]), self.__details["cwd"]
        supervisor.start()
        env = supervisor.environment(self.__details["env"])
        terminals = [pty.openpty(), pty.openpty()] if self.__emulate_tty else []
        options: dict[str, Any] = {
            "stdin": asyncio.subprocess.PIPE,
            "stdout": terminals[0][1] if terminals else asyncio.subprocess.PIPE,
            "stderr": terminals[1][1] if terminals else asyncio.subprocess.PIPE,
            "cwd": cwd,
            "env": env,
            "start_new_session": True,
        }
        try:
            if self.__shell:
                process = await asyncio.create_subprocess_shell(" ".join(cmd), **options)
            else:
                process = await asyncio.create_subprocess_exec(*cmd, **options)
        except BaseException:
            for ours, _ in terminals:
                os.close(ours)
            raise
        finally:
            for _, its in terminals:
                os.close(its)
        if terminals:
            return process, [await _reader(ours) for ours, _ in terminals]
        assert process.stdout is not None and process.stderr is not None
        return process, [process.stdout, process.stderr]

    async def __pump(
        self,
        context: LaunchContext,
        reader: asyncio.StreamReader,
        logger: logging.Logger,
        event_type: type[ProcessStdout] | type[ProcessStderr],
    ) -> None:
        """Log what the process writes, line by line, until it closes the stream."""
        assert self.__details is not None
        details = dict(self.__details)
        source = "stdout" if event_type is ProcessStdout else "stderr"
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        rest = ""
        try:
            while data := await _read(reader):
                event = event_type(text=data, **details)
                if context.would_handle_event(event):
                    context.emit_event_sync(event)
                text = decoder.decode(data)
                if self.__cached is not None:
                    self.__cached[source].append(text)
                *lines, rest = (rest + text).split("\n")
                for line in lines:
                    self.__log_line(logger, line)
        finally:
            rest += decoder.decode(b"", final=True)
            if rest:
                self.__log_line(logger, rest)

    def __log_line(self, logger: logging.Logger, line: str) -> None:
        logger.info(self.__output_format.format(line=line.rstrip("\r"), this=self))

    # End.

    def _request(self, event: Event) -> None:
        """Take a request that may be meant for this process."""
        if isinstance(event, Shutdown):
            self.__end()
        elif isinstance(event, ShutdownProcess) and event.process_matcher(self):
            self.__end()
        elif isinstance(event, SignalProcess) and event.process_matcher(self):
            number = event.signal
            if isinstance(number, str):
                number = signal.Signals[number]
            self.__signal(number)
        elif isinstance(event, ProcessStdin) and event.action is self:
            if self.__process is not None and self.__process.stdin is not None:
                self.__process.stdin.write(event.text)

    def __end(self) -> None:
        if self.__ending is None or self.__ending.is_set():
            return
        self.__ending.set()
        self.__begin_end()

    def __begin_end(self) -> None:
        if self.__process is not None and self.__process.returncode is None:
            self.__signal(signal.SIGINT)
            self.__escalation = asyncio.ensure_future(self.__escalate())

    async def __escalate(self) -> None:
        assert self.__details is not None
        steps = ((signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGKILL))
        for timeout_s, (sent, next_number) in zip(self.__timeouts_s, steps):
            await asyncio.sleep(timeout_s)
            self.__logger.error(
                "process[%s] failed to terminate '%g' seconds after receiving '%s', "
                "escalating to '%s'",
                self.__details["name"],
                timeout_s,
                sent.name,
                next_number.name,
            )
            self.__signal(next_number)

    def __signal(self, number: signal.Signals) -> None:
        if self.__process is None or self.__process.returncode is not None:
            return
        assert self.__details is not None
        self.__logger.info(
            "sending signal '%s' to process[%s]", number.name, self.__details["name"]
        )
        with contextlib.suppress(ProcessLookupError):
            signal_group(self.__process.pid, number)


class _Requests(BaseEventHandler):
    """Passes on to an action what is asked of its process."""

    def __init__(self, action: ExecuteLocal) -> None:
        kinds = (Shutdown, ShutdownProcess, SignalProcess, ProcessStdin)
        super().__init__(matcher=lambda event: isinstance(event, kinds))
        self.__action = action

    def handle(self, event: Event, context: LaunchContext) -> None:
        super().handle(event, context)
        self.__action._request(event)


def _supervisor(context: LaunchContext) -> Supervisor:
    if context._supervisor is None:
        context._supervisor = Supervisor()
    return context._supervisor


def _with_program(cmd: list[str]) -> list[str]:
    """Return the command line with ``ros2`` replaced where there is no such program."""
    if cmd[0] == "ros2" and shutil.which("ros2") is None:
        return [sys.executable, "-m", "embedded_ros2.cli", *cmd[1:]]
    return cmd


async def _reader(fd: int) -> asyncio.StreamReader:
    """Return a reader of a terminal."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    return reader


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return what has arrived; nothing at the end."""
    try:
        return await reader.read(65536)
    except OSError:
        return b""  # how Linux reports that the last user of a terminal has closed it


class ExecuteProcess(ExecuteLocal):
    """Runs a command line; see ExecuteLocal for the further arguments.

    Args:
        cmd: The program and its arguments.
        prefix: What to put the command line behind.
        name: The name in the log instead of the program's.
        cwd: The working folder.
        env: The environment instead of that of the launch.
        additional_env: What to add to the environment.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        prefix: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        additional_env: Mapping[SomeSubstitutionsType, SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        description = Executable(
            cmd=cmd, prefix=prefix, name=name, cwd=cwd, env=env, additional_env=additional_env
        )
        super().__init__(process_description=description, **kwargs)

    @property
    def name(self) -> Any:
        """The name in the log, or the name given."""
        return self.process_description.final_name or self.process_description.name

    @property
    def cmd(self) -> Any:
        """The command line."""
        return self.process_description.final_cmd or self.process_description.cmd

    @property
    def cwd(self) -> Any:
        """The working folder."""
        return self.process_description.final_cwd or self.process_description.cwd

    @property
    def env(self) -> Any:
        """The environment."""
        return self.process_description.final_env or self.process_description.env

    @property
    def additional_env(self) -> Any:
        """What is added to the environment."""
        return self.process_description.additional_env
