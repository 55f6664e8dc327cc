# SPDX-License-Identifier: Apache-2.0
"""Home after the policy: when it is carried out, and when it is not."""

from __future__ import annotations

import pytest

from vla_moveit.core.arm_view import ArmView
from vla_moveit.core.home_wish import PATIENCE_NS, HomeWish

SECOND_NS = 1_000_000_000


@pytest.fixture
def arm():
    return ArmView(permit=True, holder="smolvla 1")


def test_the_arm_goes_home_once_the_policy_has_given_it_back(arm):
    wish = HomeWish()
    assert wish.due(0, arm) is None
    wish.hear(True, SECOND_NS)
    assert wish.due(2 * SECOND_NS, arm) is None, "it is still the policy's"
    arm.holder = ""
    request = wish.due(3 * SECOND_NS, arm)
    assert (request.named, request.take_over) == ("home", False)
    assert "on its way home" in wish.busy()
    assert wish.due(3 * SECOND_NS, arm) is None, "once"
    assert wish.ended() is True
    assert wish.busy() == ""
    assert wish.ended() is False
    assert wish.due(4 * SECOND_NS, arm) is None


def test_a_policy_that_goes_on_has_taken_its_word_back(arm):
    wish = HomeWish()
    wish.hear(True, 0)
    wish.hear(False, SECOND_NS)
    arm.holder = ""
    assert wish.due(2 * SECOND_NS, arm) is None


def test_no_reset_after_a_stop_brings_the_arm_home(arm):
    wish = HomeWish()
    wish.hear(True, 0)
    arm.permit, arm.holder = False, ""
    assert wish.due(SECOND_NS, arm) is None
    arm.permit = True
    assert wish.due(2 * SECOND_NS, arm) is None


def test_an_arm_that_does_not_come_free_is_not_waited_for_for_ever(arm):
    wish = HomeWish()
    wish.hear(True, 0)
    assert wish.due(PATIENCE_NS + 1, arm) is None
    arm.holder = ""
    assert wish.due(PATIENCE_NS + 2, arm) is None
