# SPDX-License-Identifier: Apache-2.0
"""States of service introspection."""

from __future__ import annotations

from enum import IntEnum


class ServiceIntrospectionState(IntEnum):
    """What of a service's requests and responses is published."""

    OFF = 0
    METADATA = 1
    CONTENTS = 2
