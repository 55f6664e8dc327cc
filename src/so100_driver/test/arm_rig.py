# SPDX-License-Identifier: Apache-2.0
"""A simulated arm under the driver's own loop, at a time that is given."""

from __future__ import annotations

from direct_wire import DirectWire

from so100_driver.connection import kept_by
from so100_driver.control_loop import ControlLoop
from so100_driver.core.arm import Arm
from so100_driver.core.calibration import JOINTS
from so100_driver.core.description import RANGES_RAD
from so100_driver.core.orders import ArmLimits
from so100_driver.core.scale import scales_of
from so100_driver.sim_bus.arm import simulated_so101, so101_calibration

PERIOD_S = 0.01
LIFT, ELBOW, GRIPPER = 1, 2, 5
# The upper arm a little behind upright, the forearm level: every joint has room.
POSE = (0.0, -0.4, 0.4, 0.3, 0.0, 0.5)


class Rig:
    """An arm in the driver's hands."""

    def __init__(self, pose=POSE, limits: ArmLimits | None = None, seed=0, *, torque_by_goal=True):
        self.bus = simulated_so101(pose, seed=seed)
        for servo in self.bus.servos:
            servo.torque_by_goal = torque_by_goal
        self.plant = self.bus.plant
        self.wire = DirectWire(self.bus)
        self._limits = limits
        self.now_s = 0.0
        self.anew()
        self.events = []
        self.complete = 0

    def anew(self):
        """Let a driver that was just started take the bus."""
        calibration = so101_calibration()
        zeros = dict.fromkeys(JOINTS, 2048.0)
        self.arm = Arm(scales_of(calibration, RANGES_RAD, zeros), self._limits)
        self.cycle = ControlLoop(self.wire, self.arm, kept_by(calibration))
        return self

    def step(self):
        """Run one cycle of 10 ms."""
        self.now_s += PERIOD_S
        self.bus.advance(self.now_s)
        self.wire.now_s = self.now_s
        self.complete += self.cycle.step(self.now_s).whole
        self.events += self.arm.take_events()

    def run(self, seconds, each=None):
        for _ in range(round(seconds / PERIOD_S)):
            if each is not None:
                each(self)
            self.step()
        return self

    def until(self, condition, within_s=60.0):
        """Run until a condition holds; return how long that took."""
        began_s = self.now_s
        while not condition(self):
            assert self.now_s - began_s < within_s, self.words
            self.step()
        return self.now_s - began_s

    def held(self):
        """Hold the arm, at rest."""
        self.run(0.05)
        assert self.arm.torque_on(self.now_s) == ""
        return self.run(0.5)

    def send(self, **offsets):
        """Command where the arm is now, but for these joints, rad."""
        target = {**self.arm.measured_rad}
        target.update({name: target[name] + offset for name, offset in offsets.items()})
        return self.arm.command(list(target), list(target.values()), self.now_s)

    def moving(self, joint, speed_rad_s):
        """Return what sends commands that move one joint on, from where the arm is now."""
        target = dict(self.arm.measured_rad)

        def each(rig):
            target[joint] += speed_rad_s * PERIOD_S
            rig.last = rig.arm.command(list(target), list(target.values()), rig.now_s)

        return each

    @property
    def angles(self):
        return self.plant.encoder.copy()

    @property
    def torque(self):
        return [servo.get("Torque_Enable") for servo in self.bus.servos]

    @property
    def words(self):
        return "\n".join(event.text for event in self.events)
