# SPDX-License-Identifier: Apache-2.0
"""The node: hears every topic, and writes a bag when the monitor trips or falls silent."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger
from vla_msgs.msg import MonitorStatus

from node_kit.clock import MotionClock
from node_kit.declare import declare
from node_kit.messages import distinct, read_message, to_ns
from node_kit.parameters import ParameterError
from node_kit.run import run
from vla_recording.black_box.definitions import message_class
from vla_recording.black_box.params import BlackBoxParams
from vla_recording.black_box.ring import Ring
from vla_recording.black_box.watch import Watch
from vla_recording.black_box.writer import Cause, Topic, try_directory, write_bag
from vla_recording.subscribing import bag_topic, is_latched, profile_for

LOOK_S = 0.5
TICK_S = 0.1
DIAGNOSTICS_S = 1.0
# After a stop this much more belongs to it.
SETTLED_S = 0.3
POLL_S = 0.05
CLOSE_S = 5.0
STANDS_S = 20.0
# Of the thread that writes: whatever else runs on this computer goes first.
NICENESS = 10
MEGABYTE = 2**20


class BlackBox(Node):
    """Remembers, and writes when it matters."""

    def __init__(self) -> None:
        """Read the parameters and begin.

        Raises:
            ParameterError: A parameter is wrong, or the folder cannot be made or written to.
        """
        super().__init__("black_box")
        self._params = declare(self, BlackBoxParams)
        self._directory = Path(self._params.directory).expanduser()
        try:
            try_directory(self._directory)
        except OSError as error:
            raise ParameterError(
                f"parameter directory: in {self._directory} no bag can be written "
                f"({error.strerror}); choose another"
            ) from None
        self._ring = Ring(self._params.seconds, round(self._params.max_megabytes * MEGABYTE))
        self._watch = Watch(self._params.silent_s, self._params.seconds)
        self._topics: dict[str, Topic] = {}
        self._left_out: set[str] = set()
        self._motion = MotionClock(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._state_topic = self.resolve_topic_name("smoothness_monitor/state")
        self._newest = ("no bag was due", DiagnosticStatus.OK)
        self._causes: queue.SimpleQueue[tuple[Cause, int] | None] = queue.SimpleQueue()
        self._closing = False
        self._writer = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self._writer.start()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_service(Trigger, "~/save", self._on_save)
        self.create_timer(LOOK_S, self._look, clock=steady)
        self.create_timer(TICK_S, self._on_tick, clock=self._motion.timers)
        self.create_timer(DIAGNOSTICS_S, self._on_diagnostics, clock=steady)
        self.get_logger().info(
            f"remembering {self._params.seconds:g} s; bags go to {self._directory}"
        )

    def destroy_node(self) -> None:
        """Finish the bag that is being written, if one is, and write no more."""
        self._closing = True
        self._causes.put(None)
        self._writer.join(CLOSE_S)
        super().destroy_node()

    def survive(self, error: Exception) -> None:
        """Take in what escaped from a callback: the memory must outlive it."""
        text = f"internal error: {type(error).__name__}: {str(error)[:300]}"
        self._newest = (text, DiagnosticStatus.ERROR)
        self.get_logger().error(text, throttle_duration_sec=10.0)

    # -- what it hears ---------------------------------------------------------------------------

    def _look(self) -> None:
        """Subscribe to topics that are new."""
        for name, types in self.get_topic_names_and_types():
            if name in self._topics or name in self._left_out or "/_" in name:
                continue  # known, or hidden: the inner topics of actions
            if len(types) == 1 and types[0] not in self._params.exclude_types:
                self._subscribe(name, types[0])
            else:
                self._left_out.add(name)

    def _subscribe(self, name: str, type_name: str) -> None:
        offers = [info.qos_profile for info in self.get_publishers_info_by_topic(name)]
        if not offers:
            return
        try:
            kind, topic = message_class(type_name), bag_topic(type_name, offers)
        except (ImportError, AttributeError) as error:
            self._left_out.add(name)
            self.get_logger().warning(f"{name} is not recorded: {error}")
            return
        self._topics[name] = topic
        profile, latched = profile_for(offers, 100), is_latched(offers)
        hear: Callable[[bytes], None] = partial(self._hear, name, latched)
        if name == self._state_topic:
            hear = partial(self._hear_monitor, name)
        self.create_subscription(kind, name, hear, profile, raw=True)

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _hear(self, name: str, latched: bool, data: bytes) -> None:
        self._ring.add(
            self._now_ns(), name, bytes(data), self._motion.elapsed_ns(), latched=latched
        )

    def _hear_monitor(self, name: str, data: bytes) -> None:
        now_ns = self._now_ns()
        self._ring.add(now_ns, name, bytes(data), self._motion.elapsed_ns(), latched=True)
        try:
            msg = read_message(data, MonitorStatus)
        except Exception as error:
            # Anybody may publish there. It is recorded as it came, and no word of the monitor's.
            text = f"{name}: a message cannot be read: {type(error).__name__}: {error}"
            self.get_logger().warning(text, throttle_duration_sec=10.0)
            return
        stopping, trip_ns = msg.state == MonitorStatus.STOPPING, to_ns(msg.trip_stamp)
        told = (stopping, msg.first_cause, msg.first_cause_detail, trip_ns)
        self._write(self._watch.heard(*told, now_ns, self._motion.now().steady_ns))

    def _on_tick(self) -> None:
        self._write(self._watch.tick(*self._motion.now()))

    def _on_save(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._write(Cause("save", "~/save was called", self._now_ns()))
        response.success, response.message = True, f"a bag will be in {self._directory}"
        return response

    # -- what it writes --------------------------------------------------------------------------

    def _write(self, cause: Cause | None) -> None:
        if cause is not None:
            self.get_logger().warning(f"{cause.name}: {cause.detail}: writing a bag")
            self._causes.put((cause, time.time_ns()))

    def _write_all(self) -> None:
        # A sandbox may not allow it; a bag is worth more.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (asked := self._causes.get()) is not None:
            cause, wall_ns = asked
            began_s = time.monotonic()
            wait = partial(self._wait, began_s, self._motion.now().steady_ns)
            try:
                path = write_bag(self._directory, cause, wall_ns, self._topics, self._ring, wait)
            except Exception as error:  # the memory must outlive a bag that fails
                text = f"no bag of {cause.name}: {type(error).__name__}: {error}"
                self._newest = (text, DiagnosticStatus.ERROR)
                self.get_logger().error(text)
            else:
                took_s = time.monotonic() - began_s
                self._newest = (f"wrote {path}", DiagnosticStatus.OK)
                self.get_logger().warning(f"wrote {path} within {took_s:.2f} s")

    def _wait(self, began_s: float, began_ns: int) -> bool:
        """Wait for more to come; return False once the stop is over or was waited for enough."""
        since_s = (self._motion.now().steady_ns - began_ns) * 1e-9
        if time.monotonic() - began_s >= STANDS_S + self._params.after_s:
            return False  # simulated time stands, and may for ever
        if self._closing:
            return False
        if since_s >= self._params.after_s or (since_s >= SETTLED_S and not self._watch.stopping):
            return False
        time.sleep(POLL_S)
        return True

    def _on_diagnostics(self) -> None:
        text, level = self._newest
        if level == DiagnosticStatus.OK and not self._watch.hears:
            text = f"the monitor is not heard on {self._state_topic}; {text}"
            level = DiagnosticStatus.WARN
        status = DiagnosticStatus(
            level=level,
            name=f"{distinct(self.get_namespace(), self.get_name())}: black box",
            message=text,
            hardware_id=distinct(self.get_namespace(), "") or "none",
            values=[
                KeyValue(key="topics", value=str(len(self._topics))),
                KeyValue(key="in memory, MB", value=f"{self._ring.size / MEGABYTE:.1f}"),
                KeyValue(key="forgotten early", value=str(self._ring.dropped_early)),
            ],
        )
        msg = DiagnosticArray(status=[status])
        msg.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(msg)


def main() -> int:
    """Run the node; return 2 if its configuration cannot be used."""
    return run("black_box", BlackBox, (ParameterError,))


if __name__ == "__main__":
    sys.exit(main())
