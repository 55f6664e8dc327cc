# SPDX-License-Identifier: Apache-2.0
"""The stop ladder, rung by rung, with a real controller manager and real controllers."""

from __future__ import annotations

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from verification.stop_trials.cases import CASES

PACKAGES = {
    "mock": ["controller_manager", "joint_trajectory_controller", "joint_state_broadcaster"],
    "topic_based": ["joint_state_topic_hardware_interface"],
}


def need_ros2_control(hardware):
    for package in {*PACKAGES["mock"], *PACKAGES[hardware]}:
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            pytest.skip(f"needs ros2_control: package '{package}' is not installed")
    pytest.importorskip("xacro")


@pytest.fixture
def run(domain, tmp_path):
    def run(name, hardware, rate_hz=100):
        need_ros2_control(hardware)
        from verification.stop_trials.result import shortcomings
        from verification.stop_trials.trial import Trial

        case = CASES[name]
        measured = Trial(case, hardware, rate_hz, tmp_path).run()
        assert shortcomings(measured, case) == [], measured
        return measured

    return run


@pytest.mark.parametrize("hardware", ["mock", "topic_based"])
def test_a_brake_that_is_obeyed_keeps_the_jerk_limit_and_a_reset_moves_nothing(run, hardware):
    """H12."""
    measured = run("obeyed", hardware)
    assert measured.cause == "operator"
    assert measured.references > 50


def test_the_brake_keeps_the_jerk_limit_at_a_kilohertz(run):
    """H12."""
    assert run("obeyed", "mock", 1000).references > 500


def test_a_brake_that_the_topic_loses_is_run_as_a_goal_within_the_jerk_limit(run):
    """H12."""
    measured = run("lost_topic", "mock")
    assert any("2 brake as an action goal: accepted" in line for line in measured.rung_log)


def test_a_controller_that_hears_nothing_is_switched_off_and_on_again_by_a_reset(run):
    """H12."""
    measured = run("deaf_controller", "mock")
    assert measured.locked_out
    assert measured.stands_s < 1.0


def test_an_intruder_ends_with_the_controllers_deactivation_and_a_reset_is_possible(run):
    """H7."""
    assert run("intruder", "mock").cause == "foreign_plan"


@pytest.mark.parametrize("name", ["runaway", "no_manager", "dead_manager"])
def test_where_the_controllers_cannot_help_the_driver_holds(run, name):
    """H12."""
    measured = run(name, "topic_based")
    assert any("4 the driver's hold: holding" in line for line in measured.rung_log)


def test_where_nothing_helps_a_person_is_called_for(run):
    """H12."""
    run("no_manager", "mock")
