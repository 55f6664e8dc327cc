# SPDX-License-Identifier: Apache-2.0
"""Every public name of the real packages is either there or refused in one clear line."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from embedded_ros2 import refusals

_SPEC = importlib.util.spec_from_file_location(
    "upstream_names", Path(__file__).parent / "upstream" / "names.py"
)
names = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(names)
LISTED = names.listed()


@pytest.mark.parametrize("module", sorted(LISTED))
def test_every_name_of_the_real_package_is_there_or_refused(module):
    assert [name for name in LISTED[module] if names.state(module, name) == "missing"] == []


def test_most_of_rclpy_is_there():
    every = [
        (module, name)
        for module in LISTED
        if module.startswith("rclpy")
        for name in LISTED[module]
    ]
    offered = [one for one in every if names.state(*one) == "offered"]
    assert len(every) > 700
    assert len(offered) > 0.75 * len(every)


def test_nothing_that_is_there_is_listed_as_refused():
    for module, refused in refusals.table().items():
        for name in refused:
            assert names.state(module, name) not in ("offered", "missing"), f"{module}:{name}"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import launch_xml", "launch_xml"),
        ("import launch.frontend.parser", "launch.frontend.parser"),
        ("from launch.frontend import Parser", "launch.frontend.Parser"),
        ("import launch.frontend; launch.frontend.parser", "launch.frontend.parser"),
        ("from rclpy.impl import implementation_singleton", "rclpy.impl.implementation_singleton"),
        ("from rclpy.waitable import NumberOfEntities", "rclpy.waitable.NumberOfEntities"),
        ("from tf2_ros import Buffer", "tf2_ros"),
        ("from tf2_ros.buffer import Buffer", "tf2_ros"),
        ("from cv_bridge import CvBridge", "cv_bridge"),
        ("import message_filters", "message_filters"),
        ("from launch_ros.actions import LifecycleNode", "launch_ros.actions.LifecycleNode"),
        ("from launch_ros.events.lifecycle import ChangeState", "launch_ros.events"),
        ("from rclpy.wait_for_message import wait_for_message", "rclpy.wait_for_message"),
        ("from sensor_msgs_py import point_cloud2", "sensor_msgs_py"),
        ("from rclpy.clock import Clock; Clock().handle", "Clock.handle"),
        ("from launch.actions import LogInfo; LogInfo.parse", "LogInfo.parse"),
        (
            "from launch_ros.actions import ComposableNodeContainer",
            "launch_ros.actions.ComposableNodeContainer",
        ),
    ],
)
def test_what_is_refused_is_a_not_implemented_error_of_one_line_with_its_name(code, name):
    with pytest.raises(NotImplementedError, match="not offer") as caught:
        exec(code, {})
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_program_that_can_do_without_finds_out_as_elsewhere():
    try:
        import tf2_ros
    except ImportError:
        tf2_ros = None
    assert tf2_ros is None
    from rclpy.clock import Clock

    assert not hasattr(Clock, "handle")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import rclpy.nothing", ModuleNotFoundError),
        ("from rclpy.timer import Nothing", ImportError),
        ("import rclpy; rclpy.nothing", AttributeError),
        ("import rclpy; rclpy.node.nothing", AttributeError),
    ],
)
def test_names_that_are_nowhere_are_not_refused_but_unknown(code, error):
    with pytest.raises(error) as caught:
        exec(code, {})
    assert not isinstance(caught.value, NotImplementedError)


@pytest.mark.parametrize("package", ["rclpy", "launch", "launch_ros", "ament_index_python"])
def test_importing_a_package_makes_its_modules_reachable_as_attributes(package):
    modules = [name for name in LISTED if name.startswith(f"{package}.")]
    offered = [name for name in modules if names.state(name, "") == "offered"]
    assert offered
    code = f"import {package}\n" + "\n".join(offered)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_init_is_a_context_manager_that_shuts_down():
    import rclpy

    for _ in range(2):
        with rclpy.init(args=[]) as manager:
            assert isinstance(manager, rclpy.InitContextManager)
            assert manager.context is rclpy.get_default_context()
            assert rclpy.ok()
        assert not rclpy.ok()
    own = rclpy.Context()
    with rclpy.init(args=[], context=own):
        assert own.ok()
        assert not rclpy.ok()
    assert not own.ok()


def test_init_as_a_context_manager_shuts_down_after_an_error_and_bears_a_shutdown_before():
    import rclpy

    with pytest.raises(KeyError), rclpy.init(args=[]):
        raise KeyError("x")
    assert not rclpy.ok()
    with rclpy.init(args=[]):
        rclpy.shutdown()
    assert not rclpy.ok()
