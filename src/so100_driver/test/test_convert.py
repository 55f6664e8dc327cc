# SPDX-License-Identifier: Apache-2.0
"""The arm's health as messages."""

import pytest

from so100_driver.convert import health_to
from so100_driver.core.orders import ArmMode


@pytest.mark.parametrize("mode", list(ArmMode))
def test_each_thing_that_the_arm_does_is_told(mode):
    told = health_to("/left", [], {}, mode, "a reason", 3, "too far")
    assert told.status[0].message == f"{mode.value} (a reason)"
    assert told.status[0].level in (b"\x00", b"\x01")
