# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest

from smoothness_monitor.params import load_config
from vla_contract.robot import load_robot

SO101 = Path(__file__).resolve().parents[2] / "config" / "robots" / "so101"


@pytest.fixture(scope="session")
def robot():
    return load_robot(SO101 / "robot.yaml")


@pytest.fixture(scope="session")
def config():
    return load_config(SO101 / "monitor.yaml")


@pytest.fixture
def domain(monkeypatch):
    """A domain of its own for each test process, so that graphs do not meet."""
    number = 101 + os.getpid() % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
    return number
