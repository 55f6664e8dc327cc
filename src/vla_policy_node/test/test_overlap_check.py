# SPDX-License-Identifier: Apache-2.0
"""The overlap of the plans fits the monitor's; where it does not, that is said at the start."""

import time
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vla_policy_node.overlap_check import OverlapCheck, overlap_problem
from vla_policy_node.params import PolicyNodeParameters


@pytest.fixture
def graph():
    context = Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    nodes = []

    def add(name, **options):
        nodes.append(Node(name, context=context, namespace="left", **options))
        executor.add_node(nodes[-1])
        return nodes[-1]

    def until(condition, patience_s=20.0):
        end = time.monotonic() + patience_s
        while not condition() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        return condition()

    yield add, until
    for node in nodes:
        executor.remove_node(node)
        node.destroy_node()
    executor.shutdown()
    rclpy.shutdown(context=context)


def test_the_default_fits_the_monitor_file_of_this_repository():
    file = Path(__file__).resolve().parents[3] / "config/robots/so101/monitor.yaml"
    monitor = yaml.safe_load(file.read_text())
    assert (
        overlap_problem(PolicyNodeParameters("r", "c").overlap_s, monitor["plan_overlap_s"]) == ""
    )


@pytest.mark.parametrize("overlap_s", [0.1, 0.15, float("nan")])
def test_an_overlap_that_the_monitor_will_refuse_is_said(graph, overlap_s):
    add, until = graph
    said = []
    OverlapCheck(add("policy"), lambda: overlap_s, said.append)
    add("smoothness_monitor").declare_parameter("plan_overlap_s", 0.15)
    assert until(lambda: said)
    assert f"overlap_s: is {overlap_s:g} s" in said[0]
    assert "above that, or lower plan_overlap_s in the monitor's file" in said[0]
    assert "\n" not in said[0]


def test_nothing_is_said_where_they_fit_nor_of_another_arms_monitor(graph):
    add, until = graph
    said = []
    OverlapCheck(add("policy"), lambda: 0.2, said.append)
    add("smoothness_monitor").declare_parameter("plan_overlap_s", 0.15)
    assert not until(lambda: said, 1.0)
