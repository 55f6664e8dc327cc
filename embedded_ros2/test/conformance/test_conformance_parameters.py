# SPDX-License-Identifier: Apache-2.0
import pytest
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    LoggerLevel,
    ParameterDescriptor,
    ParameterEvent,
    SetParametersResult,
)
from rcl_interfaces.srv import (
    DescribeParameters,
    GetLoggerLevels,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetLoggerLevels,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient


def test_a_parameter_has_its_default(node):
    assert node.declare_parameter("gain", 1.5).value == 1.5
    assert node.get_parameter("gain").value == 1.5
    assert node.get_parameter("gain").type_ == Parameter.Type.DOUBLE


def test_an_undeclared_parameter_cannot_be_read_or_set(node):
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter("gain")
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter("gain", value=1.0)])


def test_a_parameter_is_declared_once(node):
    node.declare_parameter("gain", 1.0)
    with pytest.raises(ParameterAlreadyDeclaredException):
        node.declare_parameter("gain", 2.0)


def test_a_parameter_keeps_its_type(node):
    node.declare_parameter("gain", 1.0)
    (result,) = node.set_parameters([Parameter("gain", value=2)])
    assert not result.successful
    assert node.get_parameter("gain").value == 1.0


def test_dynamic_typing_lets_the_type_change(node):
    node.declare_parameter("any", 1.0, ParameterDescriptor(dynamic_typing=True))
    assert node.set_parameters([Parameter("any", value="text")])[0].successful
    assert node.get_parameter("any").value == "text"


def test_a_type_without_a_value_must_be_set_before_it_is_read(node):
    node.declare_parameter("names", Parameter.Type.STRING_ARRAY)
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter("names")
    assert node.get_parameter_or("names", Parameter("names", value=["x"])).value == ["x"]
    assert node.set_parameters([Parameter("names", value=["a"])])[0].successful
    assert node.get_parameter("names").value == ["a"]


def test_a_value_without_a_type_is_refused(node):
    with pytest.raises(ValueError, match="NOT_SET"):
        node.declare_parameter("nothing", None, ParameterDescriptor())


@pytest.mark.parametrize(
    ("value", "accepted"), [(0, True), (10, True), (4, True), (5, False), (11, False)]
)
def test_an_integer_stays_in_its_range_and_steps(node, value, accepted):
    limits = IntegerRange(from_value=0, to_value=10, step=2)
    node.declare_parameter("n", 2, ParameterDescriptor(integer_range=[limits]))
    assert node.set_parameters([Parameter("n", value=value)])[0].successful is accepted


@pytest.mark.parametrize(
    ("value", "accepted"), [(0.0, True), (1.0, True), (0.3, True), (0.35, False), (1.1, False)]
)
def test_a_float_stays_in_its_range_and_steps(node, value, accepted):
    limits = FloatingPointRange(from_value=0.0, to_value=1.0, step=0.1)
    node.declare_parameter("x", 0.5, ParameterDescriptor(floating_point_range=[limits]))
    assert node.set_parameters([Parameter("x", value=value)])[0].successful is accepted


def test_not_a_number_is_in_no_range(node):
    limits = FloatingPointRange(from_value=0.0, to_value=1.0)
    node.declare_parameter("x", 0.5, ParameterDescriptor(floating_point_range=[limits]))
    assert not node.set_parameters([Parameter("x", value=float("nan"))])[0].successful


def test_a_default_out_of_range_is_refused(node):
    limits = IntegerRange(from_value=0, to_value=10)
    with pytest.raises(InvalidParameterValueException):
        node.declare_parameter("n", 11, ParameterDescriptor(integer_range=[limits]))


def test_a_read_only_parameter_never_changes(node):
    node.declare_parameter("fixed", 1, ParameterDescriptor(read_only=True))
    assert not node.set_parameters([Parameter("fixed", value=2)])[0].successful
    with pytest.raises(ParameterImmutableException):
        node.undeclare_parameter("fixed")


def test_all_or_nothing_is_set(node):
    node.declare_parameters("", [("a", 1), ("b", 2, ParameterDescriptor(read_only=True))])
    result = node.set_parameters_atomically([Parameter("a", value=5), Parameter("b", value=5)])
    assert not result.successful
    assert node.get_parameter("a").value == 1


def test_callbacks_change_refuse_and_follow(node):
    node.declare_parameter("a", 1)
    followed = []
    node.add_pre_set_parameters_callback(
        lambda changes: [Parameter(item.name, value=item.value + 1) for item in changes]
    )
    node.add_on_set_parameters_callback(
        lambda changes: SetParametersResult(successful=changes[0].value < 10, reason="too much")
    )
    node.add_post_set_parameters_callback(lambda changes: followed.append(changes[0].value))
    assert node.set_parameters([Parameter("a", value=5)])[0].successful
    assert node.get_parameter("a").value == 6
    refused = node.set_parameters([Parameter("a", value=9)])[0]
    assert (refused.successful, refused.reason) == (False, "too much")
    assert followed == [6]


def test_prefixes_make_groups(node):
    node.declare_parameters("limits", [("low", 1), ("high", 2), ("fine.step", 3)])
    group = node.get_parameters_by_prefix("limits")
    assert {name: item.value for name, item in group.items()} == {
        "low": 1,
        "high": 2,
        "fine.step": 3,
    }
    listed = node.list_parameters(["limits"], 1)
    assert sorted(listed.names) == ["limits.high", "limits.low"]
    assert listed.prefixes == ["limits"]
    assert "limits.fine.step" in node.list_parameters(["limits"], 0).names


def test_a_parameter_event_tells_of_a_change(node, spin_until):
    events = []
    node.create_subscription(ParameterEvent, "/parameter_events", events.append, 100)
    node.declare_parameter("gain", 1.0)
    spin_until(node, lambda: node.count_subscribers("/parameter_events"))
    node.set_parameters([Parameter("gain", value=2.0)])
    spin_until(node, lambda: any(event.changed_parameters for event in events))
    (changed,) = next(event for event in events if event.changed_parameters).changed_parameters
    assert (changed.name, changed.value.double_value) == ("gain", 2.0)


@pytest.fixture
def ask(node, peer, call):
    """Return a function that calls a parameter service of the peer."""
    peer("parameters", "--ros-args", "-p", "gain:=2.5", "-p", "names:=['x', 'y', 'z']")

    def ask(kind, name, **fields):
        client = node.create_client(kind, f"/parameters/{name}")
        assert client.wait_for_service(timeout_sec=60)
        return call(node, client.call_async(kind.Request(**fields)))

    return ask


def test_parameters_of_another_process_can_be_read(ask):
    values = ask(GetParameters, "get_parameters", names=["gain", "names", "offsets"]).values
    assert [parameter_value_to_python(value) for value in values] == [
        2.5,
        ["x", "y", "z"],
        [0.5, 1.5],
    ]
    types = ask(GetParameterTypes, "get_parameter_types", names=["gain", "names"]).types
    assert list(types) == [Parameter.Type.DOUBLE.value, Parameter.Type.STRING_ARRAY.value]


def test_parameters_of_another_process_can_be_set_where_they_allow_it(ask):
    results = ask(
        SetParameters,
        "set_parameters",
        parameters=[
            Parameter("gain", value=3.0).to_parameter_msg(),
            Parameter("gain", value=11.0).to_parameter_msg(),
            Parameter("gain", value="high").to_parameter_msg(),
            Parameter("fixed", value="else").to_parameter_msg(),
            Parameter("even", value=3).to_parameter_msg(),
            Parameter("unknown", value=3).to_parameter_msg(),
        ],
    ).results
    assert [result.successful for result in results] == [True] + 5 * [False]
    assert results[4].reason == "must be even"
    (value,) = ask(GetParameters, "get_parameters", names=["gain"]).values
    assert value.double_value == 3.0


def test_parameters_of_another_process_are_set_all_or_none(ask):
    changes = [Parameter("gain", value=4.0), Parameter("even", value=5)]
    response = ask(
        SetParametersAtomically,
        "set_parameters_atomically",
        parameters=[change.to_parameter_msg() for change in changes],
    )
    assert not response.result.successful
    (value,) = ask(GetParameters, "get_parameters", names=["gain"]).values
    assert value.double_value == 2.5


def test_parameters_of_another_process_can_be_listed_and_described(ask):
    names = ask(ListParameters, "list_parameters").result.names
    assert {"gain", "fixed", "names", "use_sim_time"} <= set(names)
    gain, fixed = ask(
        DescribeParameters, "describe_parameters", names=["gain", "fixed"]
    ).descriptors
    assert gain.floating_point_range[0].to_value == 10.0
    assert fixed.read_only


def test_a_parameter_file_reaches_the_nodes_it_names(ros, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text(
        """
/**:
  ros__parameters:
    everywhere: 1
    nested: {speed: 1e-3, list: [1.0, 2.5]}
/arm/driver:
  ros__parameters:
    everywhere: 2
    name: "7"
other:
  ros__parameters:
    everywhere: 3
"""
    )
    node = ros.create_node(
        "driver",
        namespace="/arm",
        cli_args=["--ros-args", "--params-file", str(path)],
        automatically_declare_parameters_from_overrides=True,
    )
    values = {name: item.value for name, item in node.get_parameters_by_prefix("").items()}
    node.destroy_node()
    assert values["everywhere"] == 2
    assert values["name"] == "7"
    assert values["nested.speed"] == 0.001
    assert list(values["nested.list"]) == [1.0, 2.5]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1.", 1.0),
        ("1e-3", 0.001),
        ("010", 8),
        ("08", 8.0),
        ("0xFF", 255),
        ("'1'", "1"),
        ("y", True),
        ("Off", False),
        ("tRue", "tRue"),
        ("~", "~"),
        ("a b", "a b"),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("9999999999999999999", 1e19),
        ("[1, 2]", [1, 2]),
        ("[0.5, 1e3]", [0.5, 1000.0]),
        ("[a, b]", ["a", "b"]),
    ],
)
def test_values_on_the_command_line_are_read_as_rcl_reads_them(ros, text, value):
    node = ros.create_node(
        "driver",
        cli_args=["--ros-args", "-p", f"x:={text}"],
        automatically_declare_parameters_from_overrides=True,
    )
    read = node.get_parameter("x").value
    assert (list(read) if isinstance(value, list) else read) == value
    assert type(read) is type(value) or isinstance(value, list)
    node.destroy_node()


_GENERAL_FIRST = "/**: {ros__parameters: {a: 1}}\narm: {ros__parameters: {a: 2}}"
_GENERAL_LAST = "arm: {ros__parameters: {a: 2}}\n/**: {ros__parameters: {a: 1}}"


@pytest.mark.parametrize(
    ("content", "arguments", "value"),
    [
        (_GENERAL_FIRST, [], 2),
        (_GENERAL_LAST, [], 1),
        # One pattern is one section, and it stands where it came first.
        (_GENERAL_FIRST, ["-p", "a:=3"], 2),
        (_GENERAL_LAST, ["-p", "a:=3"], 3),
        (_GENERAL_FIRST, ["-p", "arm:a:=3"], 3),
        (_GENERAL_LAST, ["-p", "arm:a:=3"], 1),
    ],
)
def test_sections_of_a_parameter_file_go_over_one_another_in_order(
    ros, tmp_path, content, arguments, value
):
    path = tmp_path / "parameters.yaml"
    path.write_text(content)
    node = ros.create_node("arm", cli_args=["--ros-args", "--params-file", str(path), *arguments])
    assert node.declare_parameter("a", 0).value == value
    node.destroy_node()


def test_a_value_of_the_wrong_type_from_outside_is_refused(ros):
    node = ros.create_node("driver", cli_args=["--ros-args", "-p", "gain:=text"])
    with pytest.raises(InvalidParameterTypeException, match="expecting type 'DOUBLE'"):
        node.declare_parameter("gain", 1.0)
    node.destroy_node()


def test_constructor_overrides_go_over_arguments(ros):
    node = ros.create_node(
        "driver",
        cli_args=["--ros-args", "-p", "gain:=2.0"],
        parameter_overrides=[Parameter("gain", value=3.0)],
    )
    assert node.declare_parameter("gain", 1.0).value == 3.0
    assert node.declare_parameter("other", 1.0).value == 1.0
    node.destroy_node()


def test_a_parameter_client_asks_another_node(node, peer, call):
    peer("parameters")
    client = AsyncParameterClient(node, "/parameters")
    assert client.wait_for_services(timeout_sec=60)
    results = call(node, client.set_parameters([Parameter("gain", value=2.0)])).results
    assert results[0].successful
    (value,) = call(node, client.get_parameters(["gain"])).values
    assert value.double_value == 2.0
    assert "gain" in call(node, client.list_parameters()).result.names
    assert not call(node, client.delete_parameters(["gain"])).results[0].successful


def test_a_parameter_client_loads_what_a_file_has_for_any_node(node, peer, call, tmp_path):
    peer("parameters")
    client = AsyncParameterClient(node, "/parameters")
    assert client.wait_for_services(timeout_sec=60)
    file = tmp_path / "parameters.yaml"
    file.write_text("/somebody_else:\n  ros__parameters:\n    gain: 3.0\n")
    assert [
        one.successful for one in call(node, client.load_parameter_file(str(file))).results
    ] == [True]
    (value,) = call(node, client.get_parameters(["gain"])).values
    assert value.double_value == 3.0


def test_logger_levels_can_be_read_and_set_from_outside(ros, call):
    node = ros.create_node("tester", enable_logger_service=True)
    setter = node.create_client(SetLoggerLevels, "/tester/set_logger_levels")
    assert setter.wait_for_service(timeout_sec=60)
    request = SetLoggerLevels.Request(
        levels=[LoggerLevel(name="a.b", level=10), LoggerLevel(name="a.b", level=7)]
    )
    results = call(node, setter.call_async(request)).results
    assert [result.successful for result in results] == [True, False]
    getter = node.create_client(GetLoggerLevels, "/tester/get_logger_levels")
    assert getter.wait_for_service(timeout_sec=60)
    (level,) = call(node, getter.call_async(GetLoggerLevels.Request(names=["a.b"]))).levels
    assert (level.name, level.level) == ("a.b", 10)
    node.destroy_node()
