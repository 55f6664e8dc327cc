# SPDX-License-Identifier: Apache-2.0
"""The processes around the monitor under load, each a role: `monitor_load.py` starts them."""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import sys
import threading
import time

import numpy as np

# The floor is measured with real rclpy too, where the suite need not be installed.
with contextlib.suppress(ImportError):
    from franka import FER

    from node_kit.messages import trajectory_from, trajectory_to
    from smooth_motion import Chunk, Plan, overlap, splice_ns, track
    from smooth_motion.messages import Trajectory

S = 1_000_000_000
MS = 1_000_000
PERIOD_NS = MS
HOME = (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785)
JOINTS = tuple(f"panda_joint{i}" for i in range(1, 8))
FINGERS = ("panda_finger_joint1", "panda_finger_joint2")
TICKS_PER_TURN = 1_638_400
SETTLE_S = 4.0
PLAN_S = 1 / 3
OVERLAP_NS = 250 * MS
CUT_NS = 20 * MS
# rad: swing of each joint about its home.
SWING = 0.3
TRIP_S = 1.2
# A bad message that has stopped nothing after so long did not arrive.
MISSED_NS = 2 * S


def _node(name):
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    rclpy.init(args=[])
    node = rclpy.create_node(name)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    return rclpy, node, executor


def _reliable(depth, **changes):
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        **changes,
    )


def _transient(depth=1):
    from rclpy.qos import DurabilityPolicy

    return _reliable(depth, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class CycleMessages:
    """The two messages of a control cycle, full as the real ones are."""

    def __init__(self, node):
        from control_msgs.msg import JointTrajectoryControllerState
        from rclpy.serialization import serialize_message
        from sensor_msgs.msg import JointState

        self._serialize = serialize_message
        self._joints = node.create_publisher(JointState, "joint_states", _reliable(10))
        self._state = node.create_publisher(
            JointTrajectoryControllerState, "arm_controller/controller_state", _reliable(10)
        )
        zero = [0.0] * len(JOINTS)
        self._joint_state = JointState(
            name=[*JOINTS, *FINGERS], velocity=[0.0] * 9, effort=[0.1] * 9
        )
        self._controller_state = JointTrajectoryControllerState(joint_names=list(JOINTS))
        for part in ("reference", "feedback", "error", "output"):
            point = getattr(self._controller_state, part)
            point.positions, point.velocities, point.accelerations = zero, zero, zero

    def heard(self):
        """Return whether somebody listens to both."""
        publishers = (self._joints, self._state)
        return all(publisher.get_subscription_count() for publisher in publishers)

    def publish(self, stamp_ns, since_ns, reference, measured):
        """Publish a cycle; return when each of its messages left, ns."""
        position, velocity, acceleration = reference
        joints, state = self._joint_state, self._controller_state
        for stamp in (joints.header.stamp, state.header.stamp):
            stamp.sec, stamp.nanosec = divmod(stamp_ns, S)
        joints.position = [*measured, 0.04, 0.04]
        since = state.reference.time_from_start
        since.sec, since.nanosec = divmod(since_ns, S)
        state.reference.positions = position
        state.reference.velocities = velocity
        state.reference.accelerations = acceleration
        state.feedback.positions = measured
        # Both leave at the end of the cycle, one right after the other, as a controller manager's.
        joints, state = self._serialize(joints), self._serialize(state)
        first_ns = time.time_ns()
        self._joints.publish(joints)
        second_ns = time.time_ns()
        self._state.publish(state)
        return first_ns, second_ns


class IdealController:
    """A controller that holds at home, or follows the trajectory that it received last."""

    def __init__(self):
        zero = [0.0] * len(JOINTS)
        self.start_ns = time.time_ns() // PERIOD_NS * PERIOD_NS
        self._table = self._hold = [(list(HOME), zero, zero)]
        self._from_ns = self.start_ns
        self._next = None
        self._past = [list(HOME)] * 3

    def receive(self, plan, now_ns):
        """Take a trajectory; what it commands is computed at once, for the cycles to come."""
        first_ns = -(-now_ns // PERIOD_NS) * PERIOD_NS
        last_ns = max(first_ns, plan.end_ns) + 2 * PERIOD_NS
        times = np.arange(first_ns, last_ns, PERIOD_NS)
        sample = plan.sample(times)
        rows = (sample.position.tolist(), sample.velocity.tolist(), sample.acceleration.tolist())
        self._next = plan.start_ns, first_ns, list(zip(*rows, strict=True))

    def cycle(self, stamp_ns):
        """Return the time since the trajectory's start, the reference and where the joints are."""
        if self._next is not None and stamp_ns >= self._next[1]:
            (self.start_ns, self._from_ns, self._table), self._next = self._next, None
        row = min((stamp_ns - self._from_ns) // PERIOD_NS, len(self._table) - 1)
        reference = self._table[max(row, 0)]
        self._past = [*self._past[1:], reference[0]]
        tick = 2 * np.pi / TICKS_PER_TURN
        measured = [round(value / tick) * tick for value in self._past[0]]
        return stamp_ns - self.start_ns, reference, measured


def plant(options):
    """Publish at 1 kHz; with trips, break a limit now and then and reset."""
    from std_srvs.srv import Trigger
    from trajectory_msgs.msg import JointTrajectory
    from vla_msgs.msg import MonitorStatus

    rclpy, node, executor = _node("plant")
    stream, arm = CycleMessages(node), IdealController()
    states, plans, sent = queue.SimpleQueue(), [], []

    def follow(message):
        now_ns = time.time_ns()
        plan = trajectory_from(message).plan()
        arm.receive(plan, now_ns)
        plans.append((now_ns, len(plan.times_ns)))

    def note(message):
        states.put((time.time_ns(), message.state, message.first_cause))

    node.create_subscription(
        JointTrajectory, "arm_controller/joint_trajectory", follow, _reliable(1)
    )
    node.create_subscription(MonitorStatus, "smoothness_monitor/state", note, _transient())
    reset = node.create_client(Trigger, "smoothness_monitor/reset")
    threading.Thread(target=executor.spin, daemon=True).start()

    trips = TripSchedule(reset) if options.trips else None
    state, cause, begun_s = MonitorStatus.STARTUP, "", time.monotonic()
    next_ns, late = time.time_ns() // PERIOD_NS * PERIOD_NS, 0
    while time.monotonic() < begun_s + options.seconds:
        next_ns += PERIOD_NS
        left_ns = next_ns - time.time_ns()
        if left_ns > 0:
            time.sleep(left_ns * 1e-9)
        late += left_ns < -PERIOD_NS
        since_ns, reference, measured = arm.cycle(next_ns)
        while not states.empty():
            at_ns, state, cause = states.get()
            if trips is not None:
                trips.heard(at_ns, state, plans)
        bad = trips is not None and trips.due(state)
        if bad:
            reference = (reference[0], [9.0] * len(JOINTS), reference[2])
        left = stream.publish(next_ns, since_ns, reference, measured)
        if bad:
            trips.sent_ns = left[1]
        sent.append((next_ns, *left))
    print(
        json.dumps(
            {
                "late": late,
                "cycles": len(sent),
                "state": int(state),
                "cause": cause,
                "plans": len(plans),
                "knots": float(np.median([knots for _, knots in plans])) if plans else 0.0,
                "trips": [] if trips is None else trips.times_ns,
                "missed": 0 if trips is None else trips.missed,
                "others": 0 if trips is None else trips.others,
            }
        ),
        flush=True,
    )
    if options.sent:
        np.save(options.sent, np.array(sent[int(SETTLE_S * S / PERIOD_NS) :]))
    executor.shutdown()
    rclpy.try_shutdown()


class TripSchedule:
    """When a limit is broken, what came of it, and the reset after it.

    Attributes:
        times_ns: When each bad message left, and when its brake came.
        missed: Bad messages after which nothing stopped.
        others: Stops that nobody here asked for, as on a busy host.
    """

    def __init__(self, reset):
        from std_srvs.srv import Trigger

        self._reset, self._request = reset, Trigger.Request()
        self._next_s = time.monotonic() + SETTLE_S
        self._reset_s = float("inf")
        self.sent_ns = None
        self.times_ns = []
        self.missed = self.others = 0

    def due(self, state):
        """Return whether the next cycle breaks a limit; ask for a reset when it is time."""
        now_s = time.monotonic()
        if now_s > self._reset_s:
            self._reset.call_async(self._request)
            self._reset_s = now_s + TRIP_S / 4
        if self.sent_ns is not None and time.time_ns() - self.sent_ns > MISSED_NS:
            self.missed += 1
            self.sent_ns = None
        if now_s < self._next_s or self.sent_ns is not None or state != 1:
            return False
        self._next_s = now_s + TRIP_S * (1.0 + 0.2 * np.random.default_rng().random())
        return True

    def heard(self, at_ns, state, plans):
        """Take in a state of the monitor, and the trajectories that came up to now."""
        if state == 1:
            self._reset_s = float("inf")
        elif self.sent_ns is not None and state in (2, 3):
            # The state follows the brake, and nothing is forwarded in between.
            brakes = [when for when, _ in plans[-3:] if self.sent_ns < when <= at_ns]
            self.times_ns.append((self.sent_ns, max(brakes, default=at_ns)))
            self.sent_ns = None
            self._reset_s = time.monotonic() + 0.4
        elif state in (2, 3, 4) and self._reset_s == float("inf"):
            self.others += 1
            self._reset_s = time.monotonic() + 0.4


def policy(options):
    """Send a plan three times a second that continues what was forwarded last."""
    from trajectory_msgs.msg import JointTrajectory
    from vla_msgs.msg import MonitorStatus, PolicyStatus

    rclpy, node, executor = _node("vla_policy_node")
    random = np.random.default_rng(1)
    seen = {"plan": Plan.hold(JOINTS, HOME, time.time_ns()), "permit": False}

    def follow(message):
        seen["plan"] = trajectory_from(message).plan()

    def note(message):
        seen["permit"] = message.permit

    def send():
        if not seen["permit"]:
            return
        now_ns, running = time.time_ns(), seen["plan"]
        splice = splice_ns(running, now_ns + OVERLAP_NS)
        t = splice * 1e-9 % 1e4 + np.arange(50)[:, None] / 30.0
        phase = np.arange(len(JOINTS)) + 0.3 * random.standard_normal()
        rows = np.array(HOME) + SWING * np.sin(2.0 * t + phase)
        chunk = Chunk(JOINTS, splice, S // 30, rows)
        tail = track(chunk, running.state(splice), FER, start_ns=splice)
        plan = overlap(running, tail, cut_ns=max(now_ns - CUT_NS, running.start_ns))
        publisher.publish(trajectory_to(Trajectory.of(plan)))

    publisher = node.create_publisher(JointTrajectory, "arm/plan", _reliable(1))
    status = node.create_publisher(PolicyStatus, "~/status", _transient())
    node.create_subscription(
        JointTrajectory, "arm_controller/joint_trajectory", follow, _reliable(1)
    )
    node.create_subscription(MonitorStatus, "smoothness_monitor/state", note, _transient())
    node.create_timer(PLAN_S, send)

    def tell():
        message = PolicyStatus(state=PolicyStatus.RUNNING)
        message.header.stamp = node.get_clock().now().to_msg()
        status.publish(message)

    node.create_timer(0.1, tell)
    _spin_for(executor, options.seconds)
    rclpy.try_shutdown()


def listener(options):
    """Receive what the monitor receives at 1 kHz, and do nothing with it."""
    from control_msgs.msg import JointTrajectoryControllerState
    from sensor_msgs.msg import JointState

    rclpy, node, executor = _node("listener")
    counts = [0, 0]

    def hear(index):
        def count(message):
            counts[index] += 1

        return count

    node.create_subscription(JointState, "joint_states", hear(0), _reliable(10))
    node.create_subscription(
        JointTrajectoryControllerState,
        "arm_controller/controller_state",
        hear(1),
        _reliable(10),
    )
    _spin_for(executor, options.seconds)
    print(json.dumps({"received": sum(counts)}), flush=True)
    rclpy.try_shutdown()


def source(options):
    """Publish the plant's messages and nothing else, for the floor."""
    rclpy, node, _ = _node("plant")
    stream, arm = CycleMessages(node), IdealController()
    end_s = time.monotonic() + options.seconds
    next_ns = time.time_ns() // PERIOD_NS * PERIOD_NS
    while time.monotonic() < end_s:
        next_ns += PERIOD_NS
        time.sleep(max(0.0, (next_ns - time.time_ns()) * 1e-9))
        stream.publish(next_ns, *arm.cycle(next_ns))
    rclpy.try_shutdown()


def watched(options):
    """Run the node with a stopwatch behind the methods that judge its 1 kHz inputs."""
    from smoothness_monitor import node
    from smoothness_monitor.core.monitor import Monitor
    from smoothness_monitor.core.state_machine import StateMachine

    seen = {"on_joint_states": [], "on_controller_state": []}
    for name, times in seen.items():
        judge = getattr(Monitor, name)

        def timed(self, message, now, judge=judge, times=times):
            outputs = judge(self, message, now)
            times.append((message.stamp_ns, time.time_ns()))
            return outputs

        setattr(Monitor, name, timed)
    trips, trip = [], StateMachine.trip

    def noted(self, *args):
        trips.append(time.time_ns())
        return trip(self, *args)

    StateMachine.trip = noted
    code = node.main(["monitor", *options.rest])
    joints, states = (np.array(times).reshape(-1, 2) for times in seen.values())
    np.savez(options.seen, joints=joints, states=states, trips=np.array(trips))
    return code


def _spin_for(executor, seconds):
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left_s)
    executor.shutdown()


ROLES = {role.__name__: role for role in (plant, policy, listener, source, watched)}


def main():
    """Play one role."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=list(ROLES), required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--sent")
    parser.add_argument("--seen")
    parser.add_argument("--trips", action="store_true")
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args()
    return ROLES[options.role](options) or 0


if __name__ == "__main__":
    sys.exit(main())
