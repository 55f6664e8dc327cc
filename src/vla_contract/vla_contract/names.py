# SPDX-License-Identifier: Apache-2.0
"""What can be a name in ROS, where a node that meets another ends with a traceback."""

from __future__ import annotations

import re

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_TOPIC = re.compile(rf"(~/|/)?{_WORD}(/{_WORD})*")
_SUBSTITUTED = re.compile(r"\{(node|ns|namespace)\}")


def topic_problem(name: str) -> str:
    """Say why nothing can be published under a name, or served; empty where it can."""
    if _TOPIC.fullmatch(_SUBSTITUTED.sub("x", name)):
        return ""
    return (
        f"{name[:80]!a} is no name in ROS; write words of letters, digits and _, none "
        "beginning with a digit, with / between them"
    )
