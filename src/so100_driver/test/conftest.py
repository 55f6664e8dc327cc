# SPDX-License-Identifier: Apache-2.0
"""A simulated SO-101 on a pseudo-terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from so100_driver.sim_bus.arm import REST_RAD, so101_servos
from so100_driver.sim_bus.bus import SimulatedBus
from so100_driver.sim_bus.plant import FreeShafts
from so100_driver.sim_bus.port import SimulatedPort

# Test files use `arm_rig`, which lies beside them.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def bus() -> SimulatedBus:
    """Six servos on a wire, at time 0, without a port."""
    return SimulatedBus(so101_servos(), FreeShafts(np.array(REST_RAD)))


@pytest.fixture
def port() -> Iterator[SimulatedPort]:
    """The same behind a pseudo-terminal."""
    now_s = time.monotonic()
    served = SimulatedPort(
        SimulatedBus(so101_servos(), FreeShafts(np.array(REST_RAD)), now_s=now_s)
    )
    yield served
    served.close()
