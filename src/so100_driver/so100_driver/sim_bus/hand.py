# SPDX-License-Identifier: Apache-2.0
"""The person's hand at a simulated arm: what they type moves its joints and plugs its servos."""

from __future__ import annotations

import math
from collections.abc import Mapping

from so100_driver.core.calibration import JOINTS
from so100_driver.core.description import RANGES_RAD, REST_RAD

from .bus import SimulatedBus
from .plant import FreeShafts

HELP = """\
You are the arm's hands: type what they do, and Enter.
  shoulder_pan -45   turn this joint by so many degrees, and hold it there
  middle, rest       take every joint to the middle of its range, or fold the arm onto its rest
  sweep              take every joint but wrist_roll to both of its ends
  let go             hold nothing any more
  new                the servos are as from the box: each has the id 1
  alone gripper      connect this servo alone; `chain` connects all of them"""
# "Half open", in the words of `so101 calibrate`.
_GRIPPER_RAD = 0.7
_FURTHEST_DEG = 360.0


class ArmHand:
    """Does to a simulated arm what a person does to theirs.

    Args:
        bus: An arm of `simulated_so101`. While a port serves it, call within its `bus()` only.
    """

    def __init__(self, bus: SimulatedBus) -> None:
        assert isinstance(bus.plant, FreeShafts)
        self._bus, self._shafts = bus, bus.plant

    def do(self, line: str) -> str:
        """Do what a line says; return what was done, or how it would have been understood."""
        words = line.split()
        match words:
            case []:
                return ""
            case ["middle"]:
                self._hold(dict.fromkeys(JOINTS, 0.0) | {"gripper": _GRIPPER_RAD})
                return "the joints go to the middle, and are held"
            case ["rest"]:
                self._hold(REST_RAD)
                return "the arm is folded onto its rest, and held"
            case ["sweep"]:
                return self._sweep()
            case ["let", "go"]:
                self._shafts.way_rad.clear()
                return "nothing is held"
            case ["new"]:
                for servo in self._bus.servos:
                    servo.keep("ID", 1)
                    servo.restart()
                return "each servo has the id 1"
            case ["chain"]:
                self._bus.alone = None
                return "all servos are connected"
            case ["alone", name] if name in JOINTS:
                self._bus.alone = JOINTS.index(name)
                return f"the servo of {name} is connected alone"
            case [name, angle] if name in JOINTS:
                return self._turn(name, angle)
        return HELP

    def _hold(self, angles_rad: Mapping[str, float]) -> None:
        for index, name in enumerate(JOINTS):
            self._shafts.way_rad[index] = [angles_rad[name]]

    def _sweep(self) -> str:
        for index, name in enumerate(JOINTS):
            here = float(self._shafts.encoder[index])
            ends = [] if name == "wrist_roll" else list(RANGES_RAD[name])
            self._shafts.way_rad[index] = [*ends, here]
        return "every joint goes to both of its ends and back, and is held"

    def _turn(self, name: str, angle: str) -> str:
        try:
            degrees = float(angle)
        except ValueError:
            return HELP
        if not abs(degrees) <= _FURTHEST_DEG:
            return HELP
        index = JOINTS.index(name)
        goal = float(self._shafts.encoder[index]) + math.radians(degrees)
        self._shafts.way_rad[index] = [goal]
        return f"{name} turns by {degrees:+g} degrees, and is held"
