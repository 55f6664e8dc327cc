# SPDX-License-Identifier: Apache-2.0
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml

from node_kit.parameters import ParameterError, check
from smoothness_monitor.params import ConfigError, MonitorConfig, NodeParams, load_config

SO101 = Path(__file__).resolve().parents[3] / "config" / "robots" / "so101" / "monitor.yaml"


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        content = yaml.safe_load(SO101.read_text(encoding="utf-8"))
        for key, value in changes.items():
            content.pop(key, None)
            if value is not ...:
                content[key] = value
        path = tmp_path / "monitor.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


def problem(path):
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


@pytest.mark.parametrize(
    ("namespace", "written", "read"),
    [
        ("/", "so100_driver", "so100_driver"),
        ("/left", "so100_driver", "left/so100_driver"),
        ("/left", "/servo bus", "servo bus"),
        ("/left", "", ""),
    ],
)
def test_of_two_arms_each_hears_its_own_servos(write, namespace, written, read):
    assert load_config(write(servo_status=written), namespace).servo_status == read


def test_no_threshold_has_a_default():
    assert all(item.default is MISSING for item in fields(MonitorConfig))


@pytest.mark.parametrize("key", [item.name for item in fields(MonitorConfig)])
def test_a_missing_threshold_is_an_error_that_names_it(write, key):
    """H15."""
    assert f"{key}: missing" in problem(write(**{key: ...}))


def test_an_unknown_key_is_an_error_that_names_it(write):
    """H15."""
    assert "stop_overlap: unknown" in problem(write(stop_overlap=0.1))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stop_overlap_s", 0.0),
        ("stop_overlap_s", float("nan")),
        ("stop_overlap_s", float("inf")),
        ("stop_overlap_s", "0.1"),
        ("stop_overlap_s", True),
        ("stop_overlap_s", None),
        ("measured_jerk_window", 14),
        ("measured_jerk_window", 15.0),
        ("measured_jerk_count", 6),
        ("tracking_error_count", 4),
        ("command_tolerance", -0.001),
        ("measured_jerk_estimator", "median"),
        ("driver_states_topic", None),
        ("driver_hold_service", 3),
        ("stop_goal_s", 0.2),
        ("overrun_count", 51),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_key(write, key, value):
    """H15."""
    assert f"{key}: " in problem(write(**{key: value}))


def test_a_threshold_written_twice_is_an_error_that_names_it(write):
    """H15."""
    path = write()
    path.write_text(path.read_text("utf-8") + "stop_overlap_s: 0.4\n", encoding="utf-8")
    assert "'stop_overlap_s' is written twice" in problem(path)


def test_a_file_that_is_no_mapping_or_is_missing_is_an_error(tmp_path):
    for text in ("", "[1, 2]", "a: b: c"):
        path = tmp_path / "monitor.yaml"
        path.write_text(text, encoding="utf-8")
        problem(path)
    problem(tmp_path / "nowhere.yaml")


def test_a_parameter_without_a_path_is_an_error_that_names_it():
    with pytest.raises(ParameterError, match="monitor_file: is not set"):
        check(NodeParams, {"robot_file": "robot.yaml", "monitor_file": ""})
