# SPDX-License-Identifier: Apache-2.0
"""The catalogue of faults."""

from verification.faults.kinds.around import host, plans
from verification.faults.kinds.controller import commands, controller, controller_state
from verification.faults.kinds.joints import driver, joint_states
from verification.faults.kinds.kind import FaultKind, FaultScene

__all__ = ["KINDS", "FaultKind", "FaultScene"]

KINDS: tuple[FaultKind, ...] = (
    *joint_states(),
    *controller_state(),
    *commands(),
    *controller(),
    *plans(),
    *driver(),
    *host(),
)
