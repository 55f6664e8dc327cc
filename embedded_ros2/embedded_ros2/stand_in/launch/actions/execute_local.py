# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  (methods that override say nothing new)
"""Child processes, from their start to their end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
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
from ._process import OutputProtocol, ProcessProtocol, spawn

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

    Attributes:
        process_description: What is run.
        shell: Whether a shell reads the command line.
        emulate_tty: Whether the process shall believe that it writes to a terminal.
        sigterm_timeout: Seconds from SIGINT to SIGTERM.
        sigkill_timeout: Seconds from SIGTERM to SIGKILL.
        output: Where the output goes.
        process_details: Name, cmd, cwd, env and pid of the process; None before it is prepared.
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
        self.process_description = process_description
        self.shell = shell
        self.sigterm_timeout = normalize_to_list_of_substitutions(sigterm_timeout)
        self.sigkill_timeout = normalize_to_list_of_substitutions(sigkill_timeout)
        self.emulate_tty = emulate_tty
        self.output: Mapping[str, Any] | list[Substitution]
        chosen = os.environ.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT", output)
        if isinstance(chosen, Mapping):
            self.output = chosen
        else:
            self.output = normalize_to_list_of_substitutions(chosen)
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
        self.process_details: dict[str, Any] | None = None
        self.__process: asyncio.SubprocessTransport | None = None
        self.__completed: asyncio.Future[None] | None = None
        self.__ending: asyncio.Event | None = None
        self.__escalation: asyncio.Task[None] | None = None
        self.__timeouts_s = (5.0, 5.0)
        self.__logger: logging.Logger = logging.getLogger("launch")

    @property
    def return_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return None if self.__process is None else self.__process.get_returncode()

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
        self.process_description.prepare(context, self)
        self.process_details = {
            "action": self,
            "name": self.process_description.final_name,
            "cmd": self.process_description.final_cmd,
            "cwd": self.process_description.final_cwd,
            "env": self.process_description.final_env,
        }
        self.__respawn = perform_typed_substitution(context, self.__respawn, bool)
        if "emulate_tty" in context.launch_configurations:
            text = normalize_to_list_of_substitutions(context.launch_configurations["emulate_tty"])
            self.emulate_tty = evaluate_condition_expression(context, text)
        # Read now: a timeout set within a group is gone when the launch ends.
        self.__timeouts_s = (
            float(perform_substitutions(context, self.sigterm_timeout)),
            float(perform_substitutions(context, self.sigkill_timeout)),
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
        assert self.process_details is not None
        name = self.process_details["name"]
        self.__logger = get_logger(name)
        output = self.output
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
        assert self.__ending is not None
        assert self.process_details is not None
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
        assert self.__ending is not None
        assert self.process_details is not None
        details = self.process_details
        shown = " ".join(part for part in details["cmd"] if part.strip())
        if self.__log_cmd:
            self.__logger.info("process details: cmd='%s', cwd='%s'", shown, details["cwd"])
        supervisor = _supervisor(context)
        outputs = {
            number: OutputProtocol(
                functools.partial(self.__take, context, kind), self.__log(logger)
            )
            for number, kind, logger in ((1, ProcessStdout, stdout), (2, ProcessStderr, stderr))
        }

        def started(process: asyncio.SubprocessTransport) -> None:
            # Called before any output arrives.
            self.__process = process
            details["pid"] = process.get_pid()
            supervisor.started(details["pid"])
            self.__logger.info("process started with pid [%d]", details["pid"])
            context.emit_event_sync(ProcessStarted(**details))

        protocol = ProcessProtocol(outputs, started)
        try:
            process = await spawn(
                details, protocol, supervisor, shell=self.shell, in_terminal=self.emulate_tty
            )
        except OSError as error:
            what = error.filename if error.filename is not None else details["cmd"][0]
            self.__logger.error("cannot start '%s': %s: %s", shown, error.strerror, what)
            context._failed = True
            return False
        if self.__ending.is_set():
            self.__begin_end()  # the launch ended while the process was being started
        await protocol.exited
        pid = process.get_pid()
        supervisor.ended(pid)
        if self.__escalation is not None:
            self.__escalation.cancel()
        await asyncio.wait([output.closed for output in outputs.values()], timeout=_DRAIN_S)
        for output in outputs.values():
            output.flush()
        returncode = process.get_returncode()
        assert returncode is not None
        process.close()
        if returncode == 0:
            self.__logger.info("process has finished cleanly [pid %d]", pid)
        else:
            self.__logger.error(
                "process has died [pid %d, exit code %d, cmd '%s'].", pid, returncode, shown
            )
        context.emit_event_sync(ProcessExited(returncode=returncode, **details))
        return True

    def __take(
        self,
        context: LaunchContext,
        event_type: type[ProcessStdout] | type[ProcessStderr],
        data: bytes,
    ) -> None:
        """Emit and keep what the process has written."""
        assert self.process_details is not None
        event = event_type(text=data, **self.process_details)
        if context.would_handle_event(event):
            context.emit_event_sync(event)
        if self.__cached is not None:
            source = "stdout" if event_type is ProcessStdout else "stderr"
            self.__cached[source].append(data.decode(errors="replace"))

    def __log(self, logger: logging.Logger) -> Callable[[str], None]:
        return lambda line: logger.info(self.__output_format.format(line=line, this=self))

    # End.

    def _request(self, event: Event) -> None:
        """Take a request that may be meant for this process."""
        if isinstance(event, Shutdown) or (
            isinstance(event, ShutdownProcess) and event.process_matcher(self)
        ):
            self.__end()
        elif isinstance(event, SignalProcess) and event.process_matcher(self):
            number = event.signal
            if isinstance(number, str):
                number = signal.Signals[number]
            self.__signal(number)
        elif isinstance(event, ProcessStdin) and event.action is self:
            stdin = self.__process and self.__process.get_pipe_transport(0)
            if stdin is not None:
                stdin.write(event.text)  # type: ignore[attr-defined]

    def __end(self) -> None:
        if self.__ending is None or self.__ending.is_set():
            return
        self.__ending.set()
        self.__begin_end()

    def __begin_end(self) -> None:
        if self.__escalation is not None or self.__process is None:
            return
        if self.__process.get_returncode() is None:
            self.__signal(signal.SIGINT)
            self.__escalation = asyncio.ensure_future(self.__escalate())

    async def __escalate(self) -> None:
        assert self.process_details is not None
        steps = ((signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGKILL))
        for timeout_s, (sent, next_number) in zip(self.__timeouts_s, steps, strict=True):
            await asyncio.sleep(timeout_s)
            self.__logger.error(
                "process[%s] failed to terminate '%g' seconds after receiving '%s', "
                "escalating to '%s'",
                self.process_details["name"],
                timeout_s,
                sent.name,
                next_number.name,
            )
            self.__signal(next_number)

    def __signal(self, number: signal.Signals) -> None:
        if self.__process is None or self.__process.get_returncode() is not None:
            return
        assert self.process_details is not None
        self.__logger.info(
            "sending signal '%s' to process[%s]", number.name, self.process_details["name"]
        )
        with contextlib.suppress(ProcessLookupError):
            signal_group(self.__process.get_pid(), number)


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
