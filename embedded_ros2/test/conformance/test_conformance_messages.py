# SPDX-License-Identifier: Apache-2.0
import array
import copy

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Pose, Quaternion
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Byte, ByteMultiArray, Char, Empty, Header, String, UInt8
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory
from unique_identifier_msgs.msg import UUID


def test_fields_have_the_defaults_of_the_definition():
    assert Quaternion() == Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)
    assert Pose().orientation.w == 1.0
    assert Quaternion.W__DEFAULT == 1.0
    assert JointState().name == []


def test_constants_belong_to_class_and_instance():
    assert GoalStatus.STATUS_SUCCEEDED == GoalStatus().STATUS_SUCCEEDED == 4
    assert DiagnosticStatus.ERROR == b"\x02"
    assert FollowJointTrajectory.Result.PATH_TOLERANCE_VIOLATED == -4


def test_sequences_of_numbers_are_arrays_and_fixed_ones_numpy():
    message = JointState(position=[1.0, 2.0])
    assert isinstance(message.position, array.array)
    assert message.position.typecode == "d"
    assert not JointState().position
    info = CameraInfo()
    assert isinstance(info.k, np.ndarray)
    assert (info.k.dtype, info.k.shape) == (np.float64, (9,))
    info.k = [float(number) for number in range(9)]
    assert info.k[8] == 8.0
    assert isinstance(UUID().uuid, np.ndarray)


def test_bytes_fill_a_sequence_of_uint8():
    image = Image(data=b"\x01\x02\xff")
    assert image.data == array.array("B", [1, 2, 255])


def test_byte_is_bytes_and_char_a_number():
    assert Byte().data == b"\x00"
    assert ByteMultiArray(data=[b"\x01"]).data == [b"\x01"]
    assert Char(data=200).data == 200


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (String, {"data": 5}),
        (String, {"data": None}),
        (UInt8, {"data": 256}),
        (UInt8, {"data": -1}),
        (UInt8, {"data": 1.0}),
        (Quaternion, {"w": 1}),
        (JointState, {"position": 1.0}),
        (JointState, {"position": [None]}),
        (JointState, {"name": "abc"}),
        (JointState, {"name": [1]}),
        (JointState, {"header": String()}),
        (JointTrajectory, {"points": [Header()]}),
        (CameraInfo, {"k": [1.0]}),
        (CameraInfo, {"k": np.zeros(8)}),
        (CameraInfo, {"k": np.zeros((3, 3))}),
        (Byte, {"data": b""}),
        (SetBool.Request, {"data": 1}),
        (String, {"text": "no such field"}),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(cls, fields):
    with pytest.raises((AssertionError, TypeError)):
        cls(**fields)


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        (String(), "data", 5),
        (Quaternion(), "w", 1),
        (JointState(), "position", [1]),
        (JointState(), "position", np.zeros(2)),
        (JointState(), "position", array.array("f", [1.0])),
        (CameraInfo(), "k", np.zeros(9, np.float32)),
        (CameraInfo(), "k", [0] * 9),
    ],
)
def test_assignment_is_stricter_than_construction(message, field, value):
    with pytest.raises(AssertionError):
        setattr(message, field, value)


def test_construction_makes_arrays_of_what_is_like_them():
    assert JointState(position=[1, 2]).position == array.array("d", [1.0, 2.0])
    assert JointState(position=np.array([0.5, 1.5])).position == array.array("d", [0.5, 1.5])
    assert JointState(position=np.array([0.5], np.float32)).position[0] == 0.5
    assert CameraInfo(k=np.zeros(9, np.float32)).k.dtype == np.float64


def test_a_field_that_does_not_exist_cannot_be_assigned():
    with pytest.raises(AttributeError):
        String().text = "no such field"


def test_messages_compare_by_content():
    one, two = JointState(name=["a"], position=[1.0]), JointState(name=["a"], position=[1.0])
    assert one == two
    two.position[0] = 1.5
    assert one != two
    assert String(data="a") != Header(frame_id="a")
    assert CameraInfo() == CameraInfo()


def test_a_copy_is_deep_when_it_says_so():
    one = JointState(name=["a"], position=[1.0])
    two = copy.deepcopy(one)
    two.position[0] = 2.0
    two.header.frame_id = "x"
    assert (one.position[0], one.header.frame_id) == (1.0, "")


def test_a_message_shows_its_content():
    assert repr(String(data="x")) == "std_msgs.msg.String(data='x')"
    assert "position=[1.0]" in repr(JointState(position=[1.0]))


def test_fields_and_their_types_can_be_asked_for():
    assert JointState.get_fields_and_field_types() == {
        "header": "std_msgs/Header",
        "name": "sequence<string>",
        "position": "sequence<double>",
        "velocity": "sequence<double>",
        "effort": "sequence<double>",
    }
    assert CameraInfo.get_fields_and_field_types()["k"] == "double[9]"
    assert Byte.get_fields_and_field_types() == {"data": "octet"}


def test_a_service_has_parts_and_no_instances():
    assert SetBool.Request(data=True).data is True
    assert SetBool.Response().message == ""
    with pytest.raises(NotImplementedError):
        SetBool()


def test_an_action_has_parts():
    goal = FollowJointTrajectory.Goal()
    assert goal.trajectory.points == []
    request = FollowJointTrajectory.Impl.SendGoalService.Request(goal=goal)
    assert len(request.goal_id.uuid) == 16


@pytest.mark.parametrize(
    "message",
    [
        Empty(),
        String(data="x" * 100),
        JointState(name=["a", "bcd"], position=[1.0], effort=[float("inf")]),
        CameraInfo(d=[0.5], distortion_model="plumb_bob"),
        ByteMultiArray(data=[b"\x00", b"\xff"]),
    ],
    ids=lambda message: type(message).__name__,
)
def test_serialization_keeps_a_message(message):
    assert deserialize_message(serialize_message(message), type(message)) == message


def test_the_serialized_form_is_little_endian_cdr():
    data = serialize_message(String(data="hi"))
    assert data[:4] == b"\x00\x01\x00\x00"
    assert data[4:11] == b"\x03\x00\x00\x00hi\x00"
