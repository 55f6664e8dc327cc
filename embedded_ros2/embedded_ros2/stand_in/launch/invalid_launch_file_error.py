# SPDX-License-Identifier: Apache-2.0
"""The error for a launch file that cannot be loaded."""

from __future__ import annotations

from collections.abc import Sequence


class InvalidLaunchFileError(Exception):
    """A launch file could not be loaded; says why."""

    def __init__(self, extension: str = "", *, likely_errors: Sequence[Exception] = ()) -> None:
        self._extension = extension
        self._likely_errors = list(likely_errors)
        reasons = "; ".join(f"{type(error).__name__}: {error}" for error in self._likely_errors)
        super().__init__(f"launch file could not be loaded: {reasons or 'unknown reason'}")
