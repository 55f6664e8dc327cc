# SPDX-License-Identifier: Apache-2.0
"""The cameras' pictures: heard only while a page is open, and made small one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from node_kit import qos
from node_kit.messages import read_message, to_ns
from vla_contract.images import ImageError, decompressed, to_rgb
from vla_operator.core import told
from vla_operator.core.picture import jpeg
from vla_operator.core.viewers import ShownPicture
from vla_operator.params import OperatorParams, listed

MOST_CAMERAS = 4
# As bytes: how many they are is looked at before anything is made of them.
_MOST_BYTES = 1 << 26
_KINDS: dict[str, Any] = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
}


@dataclass
class _Camera:
    name: str
    kind: Any
    subscription: Subscription | None = None
    newest: bytes | None = None
    stamp_ns: int = 0
    note: str = "no picture has come yet"
    shown_s: float = float("-inf")


class Cameras:
    """Hears cameras and makes pictures for the page."""

    def __init__(self, node: Node, params: OperatorParams) -> None:
        """Begin without any."""
        self._node, self._params = node, params
        self._wanted = [node.resolve_topic_name(name) for name in listed(params.cameras)]
        self._all: dict[str, _Camera] = {}

    def look(self, watched: bool) -> None:
        """Hear cameras that are there, as long as somebody looks, and forget those that went."""
        topics = self._topics() if watched else {}
        for topic in [topic for topic in self._all if topic not in topics]:
            gone = self._all.pop(topic)
            self._node.destroy_subscription(gone.subscription)
        for topic, kind in topics.items():
            if topic not in self._all:
                camera = self._all[topic] = _Camera(self._shown_name(topic), _KINDS[kind])
                hear = partial(self._hear, camera)
                camera.subscription = self._node.create_subscription(
                    camera.kind, topic, hear, qos.IMAGE, raw=True
                )

    def pictures(
        self, now_ns: int, now_s: float, show: Callable[[str, ShownPicture], None]
    ) -> None:
        """Show what is new and due.

        Args:
            now_ns: ROS time.
            now_s: A steady clock, s.
            show: Takes a camera's name and its picture.
        """
        for camera in self._all.values():
            due = now_s - camera.shown_s >= 0.95 / self._params.picture_rate_hz
            data = camera.newest
            if data is None or not due:
                continue
            camera.newest, camera.shown_s = None, now_s
            made = self._made(camera, data)
            if made is not None:
                age_s = (now_ns - camera.stamp_ns) * 1e-9
                show(camera.name, ShownPicture(camera.name, age_s, now_s, made))

    def told(self, now_ns: int) -> list[dict[str, Any]]:
        """Return each camera's name, the age of its newest picture, and what is wrong with it."""
        return [
            {
                "name": each.name,
                "age_s": told.number((now_ns - each.stamp_ns) * 1e-9) if each.stamp_ns else None,
                "note": each.note,
            }
            for each in self._all.values()
        ]

    def _topics(self) -> dict[str, str]:
        """Return the topics to show, with their types."""
        there = {
            name: kinds[0]
            for name, kinds in self._node.get_topic_names_and_types()
            if len(kinds) == 1 and kinds[0] in _KINDS
        }
        if self._wanted:
            return {name: there[name] for name in self._wanted if name in there}
        own = self._node.get_namespace().rstrip("/") + "/"
        found = {
            name: kind
            for name, kind in sorted(there.items())
            # image_transport offers the same picture once more, compressed.
            if name.startswith(own) and name.rpartition("/")[0] not in there
        }
        # Those whose publisher has gone stay in the graph for as long as somebody subscribes.
        alive = [name for name in found if self._node.count_publishers(name)]
        return {name: found[name] for name in alive[:MOST_CAMERAS]}

    def _shown_name(self, topic: str) -> str:
        own = self._node.get_namespace().rstrip("/") + "/"
        return told.text(topic.removeprefix(own).removesuffix("/image_raw").strip("/"))

    def _hear(self, camera: _Camera, data: bytes) -> None:
        camera.newest = data

    def _made(self, camera: _Camera, data: bytes) -> bytes | None:
        if not len(data) <= _MOST_BYTES:
            camera.note = f"a picture of {len(data)} bytes is not shown"
            return None
        try:
            msg = read_message(data, camera.kind)
        # Anybody may publish there, and whatever it is that reads bytes has errors of its own.
        except Exception as error:
            camera.note = f"not a picture ({type(error).__name__})"
            return None
        camera.stamp_ns = to_ns(msg.header.stamp)
        try:
            if camera.kind is CompressedImage:
                pixels = decompressed(bytes(msg.data))
            else:
                size = int(msg.height), int(msg.width), int(msg.step)
                pixels = to_rgb(bytes(msg.data), msg.encoding, *size, "bgr8")
            made = jpeg(pixels, self._params.picture_width, self._params.picture_bytes)
        except ImageError as error:
            camera.note = told.text(error)
            return None
        camera.note = "" if made is not None else "the picture is too large to be shown"
        return made
