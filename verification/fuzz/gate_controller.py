# SPDX-License-Identifier: Apache-2.0
"""An emulated controller behind the gate: what it was sent, and what it commanded."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from smooth_motion.messages import ControllerState, Trajectory
from verification.fuzz.runs import MS
from vla_sim.core import trajectory as jtc
from vla_sim.core.trajectory_controller import ControllerConfig, Goal, TrajectoryController

# How far the joints are behind their reference.
LAG_NS = 30 * MS


class FuzzedController:
    """An emulated controller, what it was sent, and its references."""

    def __init__(self, names: tuple[str, ...], home: np.ndarray, period_ns: int, config: Any):
        self.names, self.period_ns, self.config = names, period_ns, config
        self.active = True
        self.segments: list[list[np.ndarray]] = []
        self.position = home
        self.past: deque[np.ndarray] = deque([home], maxlen=LAG_NS // period_ns + 1)
        self.goals = 0
        self.begin()

    def begin(self) -> None:
        """Activate it, at its last command."""
        config = ControllerConfig(self.names, self.period_ns, **self.config)
        self.emulated = TrajectoryController(config, self.position, 0.0 * self.position)
        self.active = True
        self.segments.append([])

    def receive(self, trajectory: Trajectory, now_ns: int, as_goal: bool) -> bool:
        """Take a trajectory from the topic, or as an action goal; return whether it is taken."""
        points = tuple(
            jtc.TrajectoryPoint(
                p.time_from_start_ns, *(np.array(values, float) for values in p[1:])
            )
            for p in trajectory.points
        )
        message = jtc.JointTrajectory(trajectory.stamp_ns, trajectory.joint_names, points)
        if not self.active:
            return False
        if not as_goal:
            return self.emulated.receive(message, now_ns) is None
        if self.emulated.check(message, now_ns) is not None:
            return False
        self.goals += 1
        self.emulated.accept(Goal(self.goals, message))
        return True

    def cycle(self, now_ns: int) -> ControllerState | None:
        """Run a cycle; the joints are where the reference was `LAG_NS` ago."""
        self.past.append(self.position)
        if not self.active:
            return None
        measured = self.past[0]
        state = self.emulated.update(now_ns, self.period_ns, measured, 0.0 * measured).state
        reference = state.reference
        self.position = reference.positions
        self.segments[-1].append(reference.positions)
        return ControllerState(
            now_ns,
            reference.time_from_start_ns,
            self.names,
            reference.positions.tolist(),
            reference.velocities.tolist(),
            reference.accelerations.tolist() or [0.0] * len(self.names),
        )
