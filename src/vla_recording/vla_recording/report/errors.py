# SPDX-License-Identifier: Apache-2.0
"""What keeps a report from being made, and how the command ends."""

from enum import IntEnum


class ReportError(ValueError):
    """No report can be made. The message is one line that names the file and says what to do."""


class ExitCode(IntEnum):
    """How `smoothness` ends. 1 is left to Python, 2 to a wrong command line, as is usual."""

    DONE = 0  # within the limits, or none were given
    INTERNAL = 1
    USAGE = 2
    BEYOND = 3
    UNCLEAR = 4
    NOT_JUDGED = 5
    NO_REPORT = 6
