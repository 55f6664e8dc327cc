# SPDX-License-Identifier: Apache-2.0
"""The demonstration's task in words."""

COLOURS = ("red", "green", "blue")


def instruction_for(colour: str) -> str:
    """Return what a policy is told."""
    return f"put the {colour} cube in the bin"
