# SPDX-License-Identifier: Apache-2.0
"""The base of all events."""

from __future__ import annotations


class Event:
    """Something that happened, for which event handlers can be registered."""

    name = "launch.Event"
