# SPDX-License-Identifier: Apache-2.0
"""The world with simulated servos in the arm, which are another package's, and no controllers.

For a driver that is to be tried with everything but the metal: it drives the servos as it drives
real ones, and controllers of its own stand behind it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from node_kit.parameters import ParameterError, parameter
from node_kit.run import run
from vla_contract.robot import Robot, RobotConfigError
from vla_sim.core.simulation import MOVING_RAD_S
from vla_sim.params import FAST_PHYSICS_RATE_HZ, SimParameters
from vla_sim.world import RenderError, World, WorldError
from vla_sim.world_node import START_NS, WorldNode

# Packages register a `ServosOf` under this entry point group.
GROUP = "vla_sim_servos"


class SimulatedServos(Protocol):
    """Servos in the joints of a world."""

    def advance(self, elapsed_s: float) -> None:
        """Push the joints, and let the world reach this time after its beginning."""

    def close(self) -> None:
        """End what was opened."""


# Called with the world, whose own servos were taken out, and a folder for what a driver needs.
ServosOf = Callable[[World, Path], SimulatedServos]


@dataclass(frozen=True)
class ServoSimParameters(SimParameters):
    """All parameters are read once, at the start."""

    servos: str = parameter(
        "", "Which servos: a name under the entry points vla_sim_servos.", required=True
    )
    folder: str = parameter(
        "", "Folder into which they put what a driver of theirs needs.", required=True
    )

    @property
    def physics_rate_hz(self) -> int:
        """Servos close their loops faster than the world's own, which are part of the solver."""
        return FAST_PHYSICS_RATE_HZ


def servos_called(name: str) -> ServosOf:
    """Return what makes the servos of this name.

    Raises:
        ParameterError: Nothing is registered so, or more than one thing.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in known:
        there = ", ".join(sorted(known)) or "none; install the package that brings them"
        raise ParameterError(f"parameter servos: there is no {name!r}; there is {there}")
    return cast(ServosOf, known[name].load())


class ServoWorldNode(WorldNode):
    """The world, with servos that somebody else drives."""

    parameters = ServoSimParameters

    def _connect(self, parameters: SimParameters, robot: Robot, period_ns: int) -> None:
        assert isinstance(parameters, ServoSimParameters)
        make = servos_called(parameters.servos)
        # The driver reads the servos when it hears the time: they must not be further then.
        self.lead_ns = period_ns
        self._world.take_out_servos()
        self._servos = make(self._world, Path(parameters.folder))

    def destroy_node(self) -> None:
        """End the threads, the servos and the node."""
        super().destroy_node()
        self._servos.close()

    def _tick(self, tick_ns: int) -> None:
        with self._lock:
            self._servos.advance((tick_ns - START_NS) * 1e-9)
        super()._tick(tick_ns)

    def _advance(self, tick_ns: int) -> None:
        """Do nothing: the servos and the world reach a tick when it comes, and not before."""

    def _moving(self) -> str:
        _, velocity = self._world.joint_truth()
        fastest = int(np.argmax(np.abs(velocity)))
        if abs(velocity[fastest]) > MOVING_RAD_S:
            return f"{self._world.joint_names[fastest]} moves at {velocity[fastest]:.2f} rad/s"
        return ""


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to end.

    Returns:
        0 after a shutdown, 1 after a failure, 2 when the configuration is wrong.
    """
    errors = (ParameterError, RobotConfigError, WorldError, RenderError)
    return run("vla_sim_servos", ServoWorldNode, errors, args)


if __name__ == "__main__":
    sys.exit(main())
