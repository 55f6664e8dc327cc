# SPDX-License-Identifier: Apache-2.0
"""Overriding qualities of service by parameters, which is not offered."""

from __future__ import annotations

from typing import Any


class QoSOverridingOptions:
    """Refuses to be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("embedded_ros2 does not offer QoSOverridingOptions")

    @classmethod
    def with_default_policies(cls, **kwargs: Any) -> QoSOverridingOptions:
        """Refuse."""
        return cls(**kwargs)
