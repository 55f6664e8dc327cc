# SPDX-License-Identifier: Apache-2.0
"""A simulated hand that moves a leader arm's joints."""

from __future__ import annotations

import math
import random
import threading
import time

import numpy as np

from so100_driver.core.calibration import JOINTS
from so100_driver.sim_bus.plant import FreeShafts
from so100_driver.sim_bus.port import SimulatedPort
from verification.so101_in_host_time import MIDDLE

# Each joint of the hand swings about the middle by this much, rad.
SWING = np.array([0.5, 0.25, 0.25, 0.3, 0.6, 0.4])
HAND_S = 0.01


class Hand:
    """Moves the leader's joints: each swings with a period of its own, rad and s."""

    def __init__(self, generator: random.Random) -> None:
        self._periods_s = np.array([generator.uniform(2.0, 5.0) for _ in JOINTS])
        self._phases = np.array([generator.uniform(0.0, math.tau) for _ in JOINTS])

    def at(self, time_s: float) -> np.ndarray:
        """Return where the joints are, (J,), rad."""
        angles = math.tau * time_s / self._periods_s + self._phases
        return np.asarray(MIDDLE + SWING * np.sin(angles))


class HeldShafts(FreeShafts):
    """Joints in a hand: they are where they were put."""

    def put(self, angles: np.ndarray) -> None:
        """Put them there, rad."""
        self._angle = np.array(angles)

    def step(self, torque_nm: np.ndarray, dt_s: float) -> None:
        """Stay."""


class HostHand:
    """Moves the leader's joints in the host's time, from a thread of its own."""

    def __init__(self, port: SimulatedPort, shafts: HeldShafts, hand: Hand) -> None:
        self._port, self._shafts, self._hand = port, shafts, hand
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._move, daemon=True)
        self._thread.start()

    def _move(self) -> None:
        while not self._ends.wait(HAND_S):
            with self._port.bus():
                self._shafts.put(self._hand.at(time.monotonic()))

    def end(self) -> None:
        """Let go."""
        self._ends.set()
        self._thread.join()
