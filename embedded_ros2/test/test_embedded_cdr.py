# SPDX-License-Identifier: Apache-2.0
"""CDR against bytes written down by hand, against rosbags, and against noise."""

import contextlib
import copy
import pickle
import struct
from array import array

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedded_ros2.interfaces import cdr, classes, hashes, layouts, registry
from embedded_ros2.interfaces.parse import ARRAY, INTEGER_RANGES, SINGLE

TYPES = (
    "std_msgs/msg/Empty",
    "std_msgs/msg/ByteMultiArray",
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/PointCloud2",
    "nav_msgs/msg/OccupancyGrid",
    "trajectory_msgs/msg/MultiDOFJointTrajectory",
    "diagnostic_msgs/msg/DiagnosticArray",
    "rcl_interfaces/msg/ParameterEvent",
    "visualization_msgs/msg/Marker",
    "control_msgs/msg/JointTrajectoryControllerState",
    "control_msgs/action/FollowJointTrajectory_SendGoal_Request",
    "rcl_interfaces/srv/SetParameters_Request",
    "type_description_interfaces/srv/GetTypeDescription_Response",
)


def _scalars(field_type):
    base = field_type.base
    if base in INTEGER_RANGES:
        return st.integers(*INTEGER_RANGES[base])
    primitives = {
        "bool": st.booleans(),
        "byte": st.binary(min_size=1, max_size=1),
        "float32": st.floats(width=32, allow_nan=False),
        "float64": st.floats(allow_nan=False),
        "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
            lambda text: "\0" not in text
        ),
    }
    return primitives[base] if base in primitives else messages(base)


def messages(name):
    """Return a strategy for messages of a type."""

    def values(field):
        scalars = _scalars(field.type)
        if field.type.shape == SINGLE:
            return scalars
        size = field.type.size
        if field.type.shape == ARRAY:
            return st.lists(scalars, min_size=size, max_size=size)
        return st.lists(scalars, max_size=min(size or 3, 3))

    structure = registry.structure(name)
    return st.builds(
        classes.message_class(name), **{field.name: values(field) for field in structure.fields}
    )


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_is_read_back(name, data):
    message = data.draw(messages(name))
    assert cdr.deserialize(bytes(cdr.serialize(message)), type(message)) == message


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_reader_for_one_layout_reads_that_one_and_no_other(name, data):
    one, other = data.draw(messages(name)), data.draw(messages(name))
    payload = bytes(cdr.serialize(one))
    read = layouts.make_reader(name, payload)
    if read is None:
        return  # more values than that is good for
    assert read(payload) == one
    foreign = bytes(cdr.serialize(other))
    with contextlib.suppress(struct.error):
        assert read(foreign) in (None, other)


def test_a_stream_whose_layout_changes_is_read_all_the_same():
    joint_state = classes.message_class("sensor_msgs/msg/JointState")
    for i in range(400):
        names = [f"{'abc'[i // 100 % 3]}{k}" for k in range(7)]
        # From here on the lengths are others, in a payload of the same size.
        position, velocity = ([0.5 * i] * 7, []) if i < 200 else ([], [0.5 * i] * 7)
        message = joint_state(name=names, position=position, velocity=velocity)
        message.header.stamp.sec, message.header.frame_id = i, "xyz"[i % 3] * 4
        assert cdr.deserialize(bytes(cdr.serialize(message)), joint_state) == message


def _controller_state(sec):
    cls = classes.message_class("control_msgs/msg/JointTrajectoryControllerState")
    message = cls(joint_names=["a", "b"])
    message.header.stamp.sec = sec
    for k, name in enumerate(("reference", "feedback", "error", "output")):
        point = getattr(message, name)
        point.positions, point.velocities = [sec + 0.1 * k, 2.0], [0.5, -0.5]
        point.time_from_start.sec = k
    return message


def test_a_message_of_many_makes_the_others_when_they_are_asked_for():
    sent = _controller_state(7)
    read = layouts.make_reader(sent._structure.name, bytes(cdr.serialize(sent)))
    got = read(bytes(cdr.serialize(_controller_state(8))))
    expected = _controller_state(8)
    assert got.header.stamp.sec == 8
    assert list(got.reference.positions) == [8.0, 2.0]
    assert got.reference is got.reference
    got.reference.positions[0] = 3.0  # is the message's own
    assert got.reference.positions[0] == 3.0
    got.error = expected.output  # before it was made
    assert got.error is expected.output
    expected.error, expected.reference.positions[0] = expected.output, 3.0
    assert cdr.serialize(got) == cdr.serialize(expected)
    assert got == expected
    with pytest.raises(AttributeError, match="has no attribute 'errors'"):
        got.errors  # noqa: B018
    assert not hasattr(_controller_state(1), "errors")


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_message_of_many_can_be_copied_before_it_was_read(copied):
    payload = bytes(cdr.serialize(_controller_state(7)))
    read = layouts.make_reader("control_msgs/msg/JointTrajectoryControllerState", payload)
    assert copied(read(payload)) == _controller_state(7)
    assert copied(_controller_state(7)) == _controller_state(7)


def _twin(message, store):
    """Return rosbags' message with the same content."""
    structure = message._structure
    values = {}
    for field in structure.fields:
        base, value = field.type.base, getattr(message, field.name)

        def convert(item, base=base, field=field):
            if base == "byte":
                return item[0]
            return (
                item
                if base in ("string", "bool") or field.type.is_primitive
                else _twin(item, store)
            )

        if field.type.shape == SINGLE:
            values[field.name] = convert(value)
        else:
            items = [convert(item) for item in value]
            if field.type.is_primitive and base != "string":
                kind = {"byte": "uint8", "bool": "bool", "char": "uint8"}.get(base, base)
                items = np.array(items, kind)
            values[field.name] = items
    if not structure.fields:
        values[hashes.EMPTY_MEMBER] = 0
    return store.types[structure.name](**values)


@pytest.mark.parametrize(
    "name", [name for name in TYPES if "/msg/" in name and "control" not in name]
)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_bytes_are_those_that_rosbags_writes(name, data):
    rosbags = pytest.importorskip("rosbags.typesys")
    store = rosbags.get_typestore(rosbags.Stores.ROS2_JAZZY)
    message = data.draw(messages(name))
    if name == "diagnostic_msgs/msg/DiagnosticArray":
        for status in message.status:
            status.level = bytes((status.level[0] & 0x7F,))  # rosbags takes a byte for signed
    expected = bytes(store.serialize_cdr(_twin(message, store), name))
    # rosbags fills up to a multiple of four at the end.
    written = bytes(cdr.serialize(message))
    assert expected[: len(written)] == written
    assert len(expected) - len(written) < 4


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_noise_gives_a_message_or_an_error_of_its_own(name, data):
    payload = bytearray(cdr.serialize(data.draw(messages(name))))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(4, max(4, len(payload) - 1)))
        if position < len(payload):
            payload[position] = data.draw(st.integers(0, 255))
    del payload[data.draw(st.integers(0, len(payload))) :]
    cls = classes.message_class(name)
    with contextlib.suppress(cdr.CdrError):
        assert isinstance(cdr.deserialize(bytes(payload), cls), cls)


def test_a_length_beyond_the_end_is_refused_before_memory_is_taken():
    payload = cdr.HEADER + bytes(8) + b"\x01\x00\x00\x00\x00" + bytes(3) + b"\xff\xff\xff\x7f"
    with pytest.raises(cdr.CdrError):
        cdr.deserialize(payload, classes.message_class("sensor_msgs/msg/JointState"))


def test_a_bound_is_kept_when_reading():
    cls = classes.message_class("rcl_interfaces/msg/ParameterDescriptor")
    message = cls()
    limits = classes.message_class("rcl_interfaces/msg/IntegerRange")
    message._integer_range = [limits(), limits()]  # past the check of assignment
    with pytest.raises(cdr.CdrError, match="too long"):
        cdr.deserialize(bytes(cdr.serialize(message)), cls)


@pytest.mark.parametrize("header", [b"\x00\x00\x00\x00", b"\x00\x03\x00\x00", b"", b"\x00"])
def test_other_representations_are_refused(header):
    with pytest.raises(cdr.CdrError, match="little-endian"):
        cdr.deserialize(header + bytes(8), classes.message_class("std_msgs/msg/Int64"))


def test_known_bytes():
    joint_state = classes.message_class("sensor_msgs/msg/JointState")
    message = joint_state(name=["ab"], position=[1.0], velocity=[])
    message.header.stamp.sec, message.header.stamp.nanosec = 1, 2
    message.header.frame_id = "x"
    assert bytes(cdr.serialize(message)) == bytes.fromhex(
        "00010000"  # little-endian CDR
        "01000000 02000000"  # stamp
        "02000000 7800 0000"  # frame_id "x", then padding
        "01000000 03000000 616200 00"  # name ["ab"], then padding
        "01000000 000000000000f03f"  # position [1.0]
        "00000000 00000000"  # velocity [], effort []
    )


def test_a_structure_without_fields_is_one_byte():
    assert (
        bytes(cdr.serialize(classes.message_class("std_msgs/msg/Empty")())) == cdr.HEADER + b"\0"
    )


def test_an_image_is_read_into_an_array():
    image = classes.message_class("sensor_msgs/msg/Image")
    message = image(data=bytes(range(256)))
    read = cdr.deserialize(bytes(cdr.serialize(message)), image)
    assert isinstance(read.data, array)
    assert read.data.tobytes() == bytes(range(256))
