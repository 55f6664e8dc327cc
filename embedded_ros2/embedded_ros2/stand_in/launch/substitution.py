# SPDX-License-Identifier: Apache-2.0
"""The base of everything that becomes text only when the launch runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Substitution:
    """A piece of text that is known only at launch time."""

    def describe(self) -> str:
        """Return a one-line description, shown by ``--print`` and ``--show-args``."""
        return repr(self)

    def perform(self, context: LaunchContext) -> str:
        """Return the text."""
        raise NotImplementedError(f"{type(self).__name__}.perform")
