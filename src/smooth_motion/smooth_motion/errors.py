# SPDX-License-Identifier: Apache-2.0
"""What goes wrong, one class each. Every message is one line that says what to do."""


class MotionError(ValueError):
    """An input cannot describe a motion (shape, finiteness, time order, joints)."""


class NoPlanError(MotionError):
    """No plan within the limits exists from this state, so none is returned."""
