# SPDX-License-Identifier: Apache-2.0
"""Read the messages of a ROS 1 bag."""

from __future__ import annotations

from pathlib import Path

from rosbags.rosbag1 import Reader

from vla_recording.report.errors import ReportError
from vla_recording.report.files import (
    Channel,
    Findings,
    Messages,
    one_line,
)


def read_ros1(
    path: Path, wanted: frozenset[str], findings: Findings, scratch: Path, packed: bool
) -> Messages:
    """Yield the messages of the wanted types, in the order of their reception."""
    reader = Reader(path)
    try:
        reader.open()
    except Exception as error:
        # What a damaged file makes a library raise is not its interface.
        raise ReportError(
            f"{path}: cannot be read: {one_line(error)}; `rosbag reindex` may help"
        ) from None
    try:
        channels = {}
        for connection in reader.connections:
            text = str(connection.msgdef.data)
            channel = Channel(connection.topic, connection.msgtype, "ros1", text, "msg")
            findings.channels[channel.topic] = channel
            findings.messages.setdefault(channel.topic, 0)
            if channel.msgtype in wanted:
                channels[connection.id] = channel
        chosen = [c for c in reader.connections if c.id in channels]
        if not chosen:
            return
        try:
            for connection, received, data in reader.messages(chosen):
                channel = channels[connection.id]
                findings.messages[channel.topic] += 1
                if len(data) <= findings.largest_message:
                    yield channel, received, bytes(data)
        except Exception as error:
            findings.lost(f"{path.name}: it is damaged, the rest was left out: {one_line(error)}")
    finally:
        reader.close()
