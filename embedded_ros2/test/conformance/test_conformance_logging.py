# SPDX-License-Identifier: Apache-2.0
import re

import pytest
from rcl_interfaces.msg import Log
from rclpy.clock import Clock
from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.logging import get_logger, set_logger_level
from rclpy.qos import DurabilityPolicy, QoSProfile


def test_a_log_line_has_severity_time_name_and_text(node, capfd):
    node.get_logger().warning("mind the gap")
    line = capfd.readouterr().err.strip()
    assert re.fullmatch(r"\[WARN\] \[\d+\.\d{9}\] \[tester\]: mind the gap", line)


def test_messages_below_the_level_are_dropped(node, capfd):
    logger = get_logger("levels")
    logger.set_level(LoggingSeverity.ERROR)
    assert not logger.warning("no")
    assert logger.error("yes")
    assert logger.get_child("below").get_effective_level() == LoggingSeverity.ERROR
    set_logger_level("levels.below", LoggingSeverity.DEBUG)
    assert logger.get_child("below").debug("also")
    text = capfd.readouterr().err
    assert "no" not in text.replace("[ERROR]", "")
    assert "yes" in text
    assert "also" in text


def test_once_skip_first_and_throttle_filter(capfd):
    logger, clock = get_logger("filters"), Clock()
    for number in range(4):
        logger.info(f"once {number}", once=True)
        logger.info(f"skip {number}", skip_first=True)
        logger.info(f"throttle {number}", throttle_duration_sec=60.0)
        logger.info(
            f"clocked {number}", throttle_duration_sec=60.0, throttle_time_source_type=clock
        )
    text = capfd.readouterr().err
    assert re.findall(r"once \d", text) == ["once 0"]
    assert re.findall(r"skip \d", text) == ["skip 1", "skip 2", "skip 3"]
    assert re.findall(r"throttle \d", text) == ["throttle 0"]
    assert re.findall(r"clocked \d", text) == ["clocked 0"]


def test_a_place_in_the_code_keeps_its_severity_and_filters():
    logger = get_logger("places")

    def log(severity, **options):
        logger.log("text", severity, **options)

    log(LoggingSeverity.INFO)
    with pytest.raises(ValueError, match="severity"):
        log(LoggingSeverity.WARN)
    with pytest.raises(ValueError, match="filter"):
        log(LoggingSeverity.INFO, once=True)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError):
        get_logger("options").info("text", sometimes=True)


def test_messages_arrive_on_rosout_even_late(node, spin_until):
    node.get_logger().error("trouble")
    received = []
    profile = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(Log, "/rosout", received.append, profile)
    spin_until(node, lambda: any(item.msg == "trouble" for item in received))
    log = next(item for item in received if item.msg == "trouble")
    assert (log.name, log.level) == ("tester", 40)
    assert log.function == "test_messages_arrive_on_rosout_even_late"
    assert log.file.endswith("test_conformance_logging.py")


def test_a_log_call_after_the_end_does_not_raise(node, ros, capfd):
    ros.shutdown()
    assert node.get_logger().error("late")
    assert "late" in capfd.readouterr().err
