# SPDX-License-Identifier: Apache-2.0
"""Move as a policy does, attack, and come back from the stop, in a running graph."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import numpy as np
from rclpy.executors import SingleThreadedExecutor
from std_srvs.srv import Trigger
from vla_msgs.msg import MonitorStatus

from node_kit.messages import trajectory_to
from smooth_motion import Chunk, MotionError, Plan, overlap, splice_ns, track
from smooth_motion.messages import Trajectory
from smoothness_monitor.core.controller_tracker import ControllerTracker
from smoothness_monitor.core.gripper import GripperTracker
from verification.fuzz.gate_attacks import ATTACKS, Attacker
from verification.fuzz.live_graph import LiveGraph
from verification.fuzz.runs import MS, Result

WAY_NS = 40 * MS
SPARES_MS = (0, 40, 80, 120, 200)


class Live(Attacker):
    """The attacker of a running graph."""

    def __init__(
        self,
        graph: LiveGraph,
        executor: SingleThreadedExecutor,
        seed: int,
        *,
        overlap_ns: int,
        lenient: bool,
    ) -> None:
        super().__init__()
        self.graph, self.executor, self.lenient = graph, executor, lenient
        self.rng = np.random.default_rng([seed, 77])
        self.robot, self.limits = graph.robot, graph.robot.limits
        # What comes too late for its way through a real graph says nothing about anything else.
        self.overlap_ns = overlap_ns + WAY_NS
        self.result = Result(counts=graph.counts)
        self.now = graph.now_ns()

    @property
    def tracker(self) -> ControllerTracker:
        return self.graph.tracker

    @property
    def gripper_tracker(self) -> GripperTracker:
        return self.graph.gripper

    @property
    def state(self) -> int:
        return int(self.graph.safety.state)

    def wait(self, seconds: float) -> None:
        """Let the graph go on for a time; in simulated time where that is the graph's."""
        begun_ns, begun_s = self.graph.now_ns(), time.monotonic()
        while True:
            gone = (self.graph.now_ns() - begun_ns) * 1e-9
            self.executor.spin_once(timeout_sec=max(0.0, min(0.02, seconds - gone)))
            # Simulated time may stand.
            gone = (self.graph.now_ns() - begun_ns) * 1e-9
            if gone >= seconds or time.monotonic() - begun_s > 20.0 * seconds + 1.0:
                break
        self.now = self.graph.now_ns()

    def until(self, done: Any, seconds: float, what: str) -> None:
        due = time.monotonic() + seconds
        while not done():
            if time.monotonic() > due:
                waits = "; ".join(self.graph.safety.waiting_for)
                raise TimeoutError(f"{what}: not within {seconds} s ({waits})")
            self.wait(0.01)

    def give(self, name: str, trajectory: Trajectory) -> None:
        """Publish a trajectory for the arm."""
        counts = self.graph.counts
        try:
            message = trajectory_to(trajectory)
        except (AssertionError, ValueError, OverflowError):
            counts["not to be put into a message"] += 1
            return
        counts["trajectories"] += 1
        counts[name] += 1
        if self.state == MonitorStatus.READY:
            counts["while READY"] += 1
            counts[f"{name}: while READY"] += 1
        self.sent.append(trajectory)
        self.graph.by_stamp[trajectory.stamp_ns] = name
        self.graph.plans.publish(message)

    def hand_to_gripper(self, trajectory: Trajectory) -> None:
        with suppress(AssertionError, ValueError, OverflowError):
            self.graph.gripper_plans.publish(trajectory_to(trajectory))

    def policy(self) -> Plan | None:
        """Return what a sound policy sends: it continues the newest plan it heard of."""
        rng, tracker = self.rng, self.graph.tracker
        if tracker.running is None:
            return None
        running = tracker.may_run[-1]
        spare = int(rng.choice(SPARES_MS)) * MS
        splice = splice_ns(running, self.now + self.overlap_ns + spare)
        try:
            state = running.state(splice)
            low, high = self.limits.position_lower, self.limits.position_upper
            goal = rng.uniform(low, high) * 0.9
            if rng.random() < 0.5:
                goal = state.position + rng.normal(0.0, 0.3, low.size)
            rows = np.linspace(state.position, np.clip(goal, low, high), int(rng.integers(4, 14)))
            chunk = Chunk(self.limits.joint_names, splice, 50 * MS, rows)
            tail = track(chunk, state, self.limits, start_ns=splice)
            plan = overlap(running, tail, cut_ns=max(self.now - 20 * MS, running.start_ns))
        except MotionError:
            self.graph.counts["without a plan"] += 1
            return None
        self.bases.append(plan)
        return plan

    def attack(self) -> None:
        """Send some of what is nearly right, or a flood of it."""
        count = int(self.rng.choice([1, 2, 3, 8, 30], p=[0.45, 0.25, 0.2, 0.07, 0.03]))
        base = self.fresh()
        for _ in range(count):
            attack = ATTACKS[self.rng.integers(len(ATTACKS))]
            trajectory = attack(self, base)
            if trajectory is not None:
                self.give(attack.__name__, trajectory)
                self.wait(0.001 if count > 3 else 0.01)

    def round(self) -> None:
        """Move for a while as a policy does it, attack, and come back from the stop."""
        rng = self.rng
        for _ in range(int(rng.integers(2, 12 if self.lenient else 50))):
            if self.state != MonitorStatus.READY:
                break
            plan = self.policy()
            if plan is not None:
                self.give("policy", Trajectory.of(plan))
            if rng.random() < 0.2:
                self.give_gripper()
            self.wait(float(rng.uniform(0.02, 0.08)))
        if rng.random() < 0.15:
            self.graph.counts["stops"] += 1
            self.graph.stop.call_async(Trigger.Request())
        for _ in range(int(rng.integers(1, 5))):
            self.attack()
            self.wait(0.02)
        self.wait(0.05)
        if self.state != MonitorStatus.READY:
            self.come_back()

    def come_back(self) -> None:
        """Attack what is being stopped, then reset as a person would."""
        graph = self.graph
        over = (MonitorStatus.STOPPED_LATCHED, MonitorStatus.FAULT)
        due = time.monotonic() + 20.0
        while self.state not in over:
            if time.monotonic() > due:
                raise TimeoutError("the stop does not end")
            self.attack()
            self.wait(0.1)
        graph.counts["gave up (FAULT)"] += self.state == MonitorStatus.FAULT
        self.attack()
        due = time.monotonic() + 60.0
        while self.state != MonitorStatus.READY:
            if time.monotonic() > due:
                raise TimeoutError(f"no reset: {'; '.join(graph.safety.waiting_for)}")
            self.wait(0.05)
            if graph.safety.waiting_for and self.state == MonitorStatus.STOPPED_LATCHED:
                continue
            future = graph.reset.call_async(Trigger.Request())
            graph.counts["resets asked for"] += 1
            with suppress(TimeoutError):
                self.until(future.done, 8.0, "an answer to ~/reset")
            self.wait(0.1)
        graph.counts["resets"] += 1
        # A person gives it a moment.
        self.wait(0.1)
