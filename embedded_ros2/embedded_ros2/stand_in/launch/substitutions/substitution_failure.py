# SPDX-License-Identifier: Apache-2.0
"""The error of a substitution."""

from __future__ import annotations


class SubstitutionFailure(RuntimeError):  # noqa: N818
    """A substitution has no value; says which and why."""
