# SPDX-License-Identifier: Apache-2.0
"""The install prefixes."""

from embedded_ros2 import share


def get_search_paths() -> list[str]:
    """Return the install prefixes that exist, in order."""
    return [str(prefix) for prefix in share.prefixes() if prefix.is_dir()]
