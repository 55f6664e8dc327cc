# SPDX-License-Identifier: Apache-2.0
"""Hears the topics that go into an episode's bag, each as its publishers offer it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from node_kit.clock import MotionClock
from vla_recording.black_box.definitions import message_class
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.recorder import EpisodeRecorder
from vla_recording.subscribing import bag_topic, is_latched, profile_for

LOOK_S = 0.5
# Messages of a topic that wait while the node is at something else: 1 s of pictures, of others 5.
DEPTH_IMAGES, DEPTH = 30, 500
# What no row is made of, and what tells later why the arm moved as it did.
BESIDES = (
    "arm/action_chunk",
    "vla_policy_node/action_chunk",
    "vla_policy_node/instruction",
    "smoothness_monitor/state",
)


class TopicListener:
    """Subscribes to topics once they have a publisher."""

    def __init__(
        self, node: Node, recorder: EpisodeRecorder, motion: MotionClock, more: Sequence[str]
    ) -> None:
        """Begin to look for them.

        Args:
            node: That hears them.
            recorder: That they are for.
            motion: Tells the time.
            more: Names of topics that are recorded besides.
        """
        self._node, self._recorder, self._motion = node, recorder, motion
        self._wanted: dict[str, tuple[str | None, str]] = {}
        sources = recorder.sources
        for name, kind in sources.topics.items():
            self._wanted[node.resolve_topic_name(name)] = name, kind
        controllers = sources.robot.arm_controller, sources.robot.gripper.controller
        commands = [f"{controller}/joint_trajectory" for controller in controllers]
        for name in (*commands, *BESIDES, *filter(None, more)):
            self._wanted.setdefault(node.resolve_topic_name(name), (None, ""))
        self._heard: set[str] = set()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(LOOK_S, self._look, clock=steady)

    def _look(self) -> None:
        for topic, (name, wanted) in self._wanted.items():
            if topic in self._heard:
                continue
            infos = self._node.get_publishers_info_by_topic(topic)
            if not infos:
                continue
            kind, offers = infos[0].topic_type, [info.qos_profile for info in infos]
            if wanted and kind != wanted:
                text = f"{topic} is a {kind}; the contract says {wanted}"
                self._node.get_logger().error(text, throttle_duration_sec=10.0)
                continue
            self._heard.add(topic)
            try:
                cls, told = message_class(kind), bag_topic(kind, offers)
                self._recorder.add_topic(topic, told, name, latched=is_latched(offers))
            except (ImportError, AttributeError, EpisodeError) as error:
                self._node.get_logger().error(f"{topic} is not recorded: {error}")
                continue
            self._subscribe(
                cls, topic, profile_for(offers, DEPTH_IMAGES if "Image" in kind else DEPTH)
            )

    def _subscribe(self, cls: Any, topic: str, profile: Any) -> None:
        hear = partial(self._hear, topic)
        more: dict[str, Any] = {}
        # Humble has it elsewhere; what cannot tell of lost messages is heard all the same.
        with contextlib.suppress(ImportError):
            from rclpy.event_handler import SubscriptionEventCallbacks

            lost = partial(self._on_lost, topic)
            more = {"event_callbacks": SubscriptionEventCallbacks(message_lost=lost)}
        try:
            self._node.create_subscription(cls, topic, hear, profile, raw=True, **more)
        except Exception as error:
            if not more or type(error).__name__ != "UnsupportedEventTypeError":
                raise
            self._node.create_subscription(cls, topic, hear, profile, raw=True)

    def _hear(self, topic: str, data: bytes) -> None:
        self._recorder.hear(topic, bytes(data), *self._motion.now())

    def _on_lost(self, topic: str, info: Any) -> None:
        self._recorder.lose(topic, info.total_count_change)
        if self._recorder.current is not None:
            text = f"{topic}: {info.total_count_change} messages were lost on their way here"
            self._node.get_logger().warning(text, throttle_duration_sec=5.0)
