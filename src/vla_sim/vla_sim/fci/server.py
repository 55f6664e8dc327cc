# SPDX-License-Identifier: Apache-2.0
"""A simulated arm at the other end of libfranka's wire, which aborts as the real Control does.

    python -m vla_sim.fci.server --robot-file FILE --position 0 -0.785 0 -2.356 0 1.571 0.785

Wire, states and MuJoCo's arm are franky-sim's (PyPI), which has no reflexes of its own; those are
`vla_sim.fci.reflexes`. Time is the client's: during a motion a millisecond passes when the
command for it has come. It prints its address, and ends with its standard input.
"""

from __future__ import annotations

import argparse
import re
import select
import signal
import sys
from pathlib import Path

import numpy as np
from franky_sim.franka_robot_protocol import (
    BaseCommand,
    MoveCommandControllerMode,
    MoveCommandMotionGeneratorMode,
    MoveStatus,
    RobotCommand,
    RobotMode,
    UDPCommand,
)
from franky_sim.franka_robot_server import FrankaRobotServer
from franky_sim.franka_robot_state import FrankaRobotState
from franky_sim.mujoco_simulator import MUJOCO_DEFAULT_KP, MujocoSimulator

from vla_sim.fci.reflexes import Array, FciError, FciLimits, Reflexes, published

ERRORS = 41  # on the wire
# The real arm is within some 15 ms of its reference; franky-sim's own damping lets it lag 100 ms.
LAG_S = 0.015
IDLE_S = 0.004


class ReflexServer(FrankaRobotServer):
    """franky-sim's server, with an end to motions that break the rules."""

    def __init__(self, robot: object, hosts: list[str], limits: FciLimits, loss: float) -> None:
        """Serve a robot.

        Args:
            robot: franky-sim's.
            hosts: Addresses to try, in this order.
            limits: Beyond which a motion ends.
            loss: Share of the commands that are lost on their way.
        """
        self._limits, self._loss = limits, loss
        self._random = np.random.default_rng(0)
        self._reflexes: Reflexes | None = None
        self._came: Array | None = None
        # The millisecond in which a motion begins has no command yet.
        self._begins = False
        self._errors: tuple[FciError, ...] = ()
        super().__init__(robot, hosts)

    @property
    def moving(self) -> bool:
        """Whether a command must come every millisecond."""
        return self._reflexes is not None

    def start_motion(
        self,
        controller_mode: MoveCommandControllerMode,
        motion_generator_mode: MoveCommandMotionGeneratorMode,
        motion_id: int,
    ) -> None:
        """Begin at rest at what was commanded last."""
        if motion_generator_mode != MoveCommandMotionGeneratorMode.kJointPosition:
            raise ValueError("joint positions only")
        super().start_motion(controller_mode, motion_generator_mode, motion_id)
        self._errors, self._came, self._begins = (), None, True
        self._reflexes = Reflexes(self._limits, np.array(self.robot.state.q_d))

    def stop_motion(self, send_preemption_signal: bool = True) -> None:
        """Hold."""
        super().stop_motion(send_preemption_signal)
        self._reflexes = None

    def _bind_children(self, hostname: str) -> None:
        """Serve no hand: the wire here carries none, and looking for its client costs time."""

    def _reset_state(self) -> None:
        super()._reset_state()
        self._reflexes = None

    def wait(self) -> bool:
        """Wait for the next command of a motion; return whether somebody is there.

        Its time is the client's, so it is as patient as a busy host asks for; a client that has
        ended has closed the standard input.
        """
        udp, tcp = self._FrankaServer__udp_socket, self._tcp_socket
        if udp is None or tcp is None:  # the client has gone
            return True
        ready, _, _ = select.select([udp, tcp, sys.stdin], [], [])
        return sys.stdin not in ready

    def _handle_udp_command(self, command_data: bytes) -> None:
        command = UDPCommand.from_bytes(command_data)
        over = command.motion_generation_finished
        if not over and self._loss and self._random.uniform() < self._loss:
            self._came = None
            return
        super()._handle_udp_command(command_data)
        if not over:
            self._came = np.array(command.q_c)

    def _post_process_commands(self) -> None:
        begins, self._begins = self._begins, False
        if self._reflexes is not None and not begins:
            came, self._came = self._came, None
            errors = self._reflexes.take(came)
            if errors:
                self._abort(errors)
        super()._post_process_commands()

    def _abort(self, errors: tuple[FciError, ...]) -> None:
        self._errors = errors
        motion = self.current_motion_id
        self.stop_motion(send_preemption_signal=False)
        self.reset_current_motion_id()
        status = MoveStatus.kReflexAborted
        BaseCommand.send_response(self._tcp_socket, RobotCommand.kMove, motion, status)

    @property
    def robot_state(self) -> FrankaRobotState:
        """The state, with what the reflexes say."""
        state = super().robot_state
        if self._reflexes is not None:
            return state.replace(
                q_d=tuple(self._reflexes.position),
                dq_d=tuple(self._reflexes.velocity),
                ddq_d=tuple(self._reflexes.acceleration),
            )
        if not self._errors:
            return state
        flags = tuple(number in self._errors for number in range(ERRORS))
        return state.replace(robot_mode=RobotMode.kReflex, errors=flags, reflex_reason=flags)


def serve(limits: FciLimits, position: list[float], host: str, loss: float) -> None:
    """Serve until standard input ends."""
    damping = tuple(LAG_S * stiffness for stiffness in MUJOCO_DEFAULT_KP)
    with MujocoSimulator() as simulator:
        robot = simulator.add_robot(initial_q=tuple(position), kv=damping)
        server = ReflexServer(robot, [host], limits, loss)
        server.init()
        simulator.start()
        # It is an FR3. What is in front of it may have another arm's ranges.
        for joint in map(robot.model.joint, range(robot.model.njnt)):
            found = re.search(r"(?<!finger)_joint([1-7])$", joint.name)
            if found:
                number = int(found[1]) - 1
                joint.range = limits.lower[number], limits.upper[number]
        print(server.hostname, flush=True)
        try:
            while True:
                server.process_commands()
                simulator.step()
                server.send_state()
                if server.moving:
                    if not server.wait():
                        return
                elif select.select([sys.stdin], [], [], IDLE_S)[0]:
                    return
        finally:
            server.cleanup()


def main() -> None:
    """Serve one arm."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--robot-file", type=Path, required=True)
    parser.add_argument("--position", type=float, nargs=7, required=True, metavar="RAD")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--loss", type=float, default=0.0, help="share of the commands")
    given = parser.parse_args()
    # Ctrl-C in a terminal reaches it too; it ends with its client, once that has stopped.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(published(given.robot_file), given.position, given.host, given.loss)


if __name__ == "__main__":
    main()
