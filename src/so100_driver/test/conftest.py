# SPDX-License-Identifier: Apache-2.0
"""A simulated SO-101 on a pseudo-terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from so100_driver.sim_bus.arm import simulated_so101
from so100_driver.sim_bus.bus import SimulatedBus
from so100_driver.sim_bus.port import SimulatedPort

# Test files use `arm_rig`, which lies beside them.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def bus() -> SimulatedBus:
    """Six servos on a wire, at time 0, without a port."""
    return simulated_so101()


@pytest.fixture
def port() -> Iterator[SimulatedPort]:
    """The same behind a pseudo-terminal."""
    served = SimulatedPort(simulated_so101(now_s=time.monotonic()))
    yield served
    served.close()
