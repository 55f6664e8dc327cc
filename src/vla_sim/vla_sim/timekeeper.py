# SPDX-License-Identifier: Apache-2.0
"""Simulated time on the graph: `/clock`, who is waited for, and pause."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock as ClockMsg
from std_msgs.msg import Header
from std_srvs.srv import Empty

from node_kit import qos
from node_kit.messages import to_ns, to_time
from node_kit.parameters import ParameterError
from vla_sim.core.pace import Lockstep, Pace
from vla_sim.params import SimParameters
from vla_sim.workers import ControlWorker

# How far time may run ahead of a node that lives in it: two of its cycles.
LEAD_NS = 20_000_000
GRAPH_S = 0.2
# A simulation that finds another at work within this time of its own start makes way for it.
NEWCOMER_S = 10.0
# So many times of its own are known again when they come back.
_OWN_TIMES = 1000
_WARNING_S = 5.0


class Timekeeper:
    """Publishes `/clock`, and lets time go on when everybody is done with what was.

    Attributes:
        worker: The thread that makes the ticks.
    """

    def __init__(
        self,
        node: Node,
        parameters: SimParameters,
        start_ns: int,
        period_ns: int,
        tick: Callable[[int], None],
        on_failure: Callable[[Exception], None],
        lead_ns: int = LEAD_NS,
    ) -> None:
        """Connect; `worker` is to be started when all else is ready.

        Make it after the subscriptions to commands: what a node sent is taken in before its word
        that it is done.

        Args:
            node: Whose publisher, subscription and services they are.
            parameters: Real-time factor and patience.
            start_ns: Time of the first tick.
            period_ns: Time between ticks.
            tick: Called with the time of each tick, in the worker's thread.
            on_failure: Called with what a tick raised, in that thread.
            lead_ns: How far time may run ahead of a node that lives in it.
        """
        self._node = node
        self._clock = node.create_publisher(ClockMsg, "/clock", qos.CLOCK)
        self._began_s = time.monotonic()
        self._warned_s = -_WARNING_S
        # Times that were told, once somebody else publishes them too.
        self._told: deque[int] = deque(maxlen=_OWN_TIMES)
        self._others: Subscription | None = None
        self.worker = ControlWorker(
            start_ns,
            period_ns,
            Pace(period_ns, parameters.real_time_factor),
            Lockstep(lead_ns, round(parameters.lockstep_timeout_s * 1e9)),
            tick,
            self.announce,
            self._on_left_out,
            on_failure,
        )
        self._acknowledgements = node.create_subscription(
            Header, "clock_acknowledgement", self._on_acknowledgement, qos.EACH
        )
        node.create_service(Empty, "~/pause_physics", self._on_pause)
        node.create_service(Empty, "~/unpause_physics", self._on_unpause)
        node.create_timer(GRAPH_S, self._on_graph, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def announce(self, now_ns: int) -> None:
        """Tell the time."""
        self._told.append(now_ns)
        self._clock.publish(ClockMsg(clock=to_time(now_ns)))

    def _on_acknowledgement(self, msg: Header) -> None:
        self.worker.heard(msg.frame_id, to_ns(msg.stamp))

    def _on_graph(self) -> None:
        """Find out whether a node that is waited for has ended, and who else tells the time."""
        self._look_for_others()
        if not self.worker.waits:
            return
        publishers = self._node.get_publishers_info_by_topic(self._acknowledgements.topic_name)
        self.worker.keep(
            {f"{each.node_namespace.rstrip('/')}/{each.node_name}" for each in publishers}
        )

    def _look_for_others(self) -> None:
        alone = self._node.count_publishers(self._clock.topic_name) < 2
        if alone and self._others is not None:
            self._node.destroy_subscription(self._others)
            self._others = None
        elif not alone and self._others is None:
            self._others = self._node.create_subscription(
                ClockMsg, "/clock", self._on_clock, qos.CLOCK
            )

    def _on_clock(self, msg: ClockMsg) -> None:
        """Take in a time that was told; the graph alone shows those who have ended for a while."""
        now_s = time.monotonic()
        if to_ns(msg.clock) in self._told:
            return
        topic = self._clock.topic_name
        listed = self._node.get_publishers_info_by_topic(topic)
        names = sorted(f"{each.node_namespace.rstrip('/')}/{each.node_name}" for each in listed)
        said = f"somebody else tells the time on {topic}; its publishers are {', '.join(names)}"
        # No simulation tells a time before 1970: what does is broken, and no reason to make way.
        if msg.clock.sec >= 0 and now_s - self._began_s <= NEWCOMER_S:
            raise ParameterError(
                f"{said}; this simulation makes way: end the other, or give this one a namespace "
                "or another ROS_DOMAIN_ID"
            )
        if now_s - self._warned_s >= _WARNING_S:
            self._warned_s = now_s
            self._node.get_logger().error(f"{said}; every node that follows it jumps to and fro")

    def _on_left_out(self, names: tuple[str, ...]) -> None:
        text = f"time goes on without {', '.join(names)}: ended, or silent for too long"
        self._node.get_logger().warning(text)

    def _on_pause(self, _: Empty.Request, response: Empty.Response) -> Empty.Response:
        self.worker.paused = True
        return response

    def _on_unpause(self, _: Empty.Request, response: Empty.Response) -> Empty.Response:
        self.worker.paused = False
        return response
