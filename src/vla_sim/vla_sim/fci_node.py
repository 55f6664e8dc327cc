# SPDX-License-Identifier: Apache-2.0
"""The simulation with a Franka arm behind libfranka's wire in it, instead of the world's own.

Controllers and graph are those of `vla_sim`. Each millisecond the arm controller's command goes
through libfranka to a simulated arm with the reflexes of the real one; where that ends the motion,
the node ends.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from node_kit.parameters import ParameterError, parameter
from node_kit.run import run
from vla_contract.robot import Robot, RobotConfigError
from vla_sim.core.simulation import SimulatedJoints
from vla_sim.fci.joints import FciJoints
from vla_sim.fci.reflexes import FILE, JOINTS
from vla_sim.node import SimulationNode
from vla_sim.params import SimParameters
from vla_sim.world import RenderError, WorldError

RATE_HZ = 1000


@dataclass(frozen=True)
class FciParameters(SimParameters):
    """All parameters are read once, at the start."""

    controller_rate_hz: int = parameter(
        RATE_HZ, "Rate of the controllers, which is the arm's.", "Hz", RATE_HZ, RATE_HZ
    )
    host: str = parameter("127.0.0.1", "Loopback address at which the simulated arm answers.")
    command_loss: float = parameter(
        0.0, "Share of the commands that do not arrive, as on a bad network.", "", 0.0, 1.0
    )


class FciNode(SimulationNode):
    """The simulation, whose arm is at the end of a wire."""

    parameters = FciParameters

    def _plant(self, parameters: SimParameters, robot: Robot) -> SimulatedJoints:
        assert isinstance(parameters, FciParameters)
        file = Path(parameters.robot_file)
        if not file.with_name(FILE).is_file():
            raise ParameterError(
                f"parameter robot_file: there is no {FILE} beside {file}, which says what the "
                "arm's control allows; the folders of Franka's arms in config/robots have one"
            )
        try:
            from vla_sim.fci.bridge import FciBridge
        except ImportError as error:
            raise ParameterError(f"{error}; pip install franky-sim pylibfranka") from None
        home = robot.home_position[:JOINTS]
        try:
            self._bridge = FciBridge(
                file, home, host=parameters.host, loss=parameters.command_loss
            ).__enter__()
        except RuntimeError as error:
            raise ParameterError(f"the simulated arm did not start: {error}") from None
        return FciJoints(self._world, self._bridge)

    def destroy_node(self) -> None:
        """End the threads, the wire and the node."""
        super().destroy_node()
        self._bridge.__exit__(None, None, None)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 1 after a failure, 2 when the configuration is wrong.
    """
    errors = (ParameterError, RobotConfigError, WorldError, RenderError)
    return run("vla_sim", FciNode, errors, args)


if __name__ == "__main__":
    sys.exit(main())
