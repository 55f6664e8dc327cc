# SPDX-License-Identifier: Apache-2.0
"""Bytes of anybody's become a message, or an error, and never the end of the process."""

import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from node_kit.messages import read_message

LONGER_THAN_IT_IS = b"\x00\x01\x00\x00" + b"\xff" * 8


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01\x00", LONGER_THAN_IT_IS])
def test_bytes_that_are_no_message_are_an_error(data):
    with pytest.raises(Exception, match=r"."):
        read_message(data, JointState)


def test_a_message_is_what_it_was():
    said = JointState(name=["a", "b"], position=[1.0, 2.0])
    assert read_message(serialize_message(said), JointState) == said
    assert read_message(bytearray(serialize_message(said)), JointState) == said
