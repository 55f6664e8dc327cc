# SPDX-License-Identifier: Apache-2.0
"""The node's parameters.

``python -m vla_operator.params README.md`` renews the table in that file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

from node_kit.parameters import parameter, table
from node_kit.tables import renew_files


@dataclass(frozen=True)
class OperatorParams:
    """Their names, defaults, meaning, units and bounds."""

    robot_file: str = parameter("", "Robot file: joints, limits, controllers.", required=True)
    address: str = parameter(
        "127.0.0.1",
        "Address that the page is served on. One that other computers reach needs `token_file`, "
        "`certificate_file` and `key_file`.",
    )
    port: int = parameter(
        8088, "Port; where it is taken, the next free one of ten is used.", "", 1024, 65_525
    )
    names: str = parameter(
        "",
        "Names by which other computers reach this one, beside its host name and its numbers; "
        "separated by semicolons.",
    )
    token_file: str = parameter(
        "",
        "File with the token that whoever opens the page has to know. Empty: none is asked for.",
    )
    certificate_file: str = parameter("", "Certificate of TLS, PEM. Empty: no TLS.")
    key_file: str = parameter("", "Its private key, PEM.")
    viewers: int = parameter(16, "Pages that may be connected at once.", "", 1, 64)
    connections: int = parameter(96, "TCP connections at once, of everybody.", "", 8, 512)
    state_rate_hz: float = parameter(10.0, "Rate of what is told, but pictures.", "Hz", 1.0, 30.0)
    picture_rate_hz: float = parameter(
        8.0, "Pictures a second of each camera, at most.", "Hz", 0.2, 30.0
    )
    picture_width: int = parameter(640, "Pictures are made no larger than this.", "", 64, 1920)
    picture_bytes: int = parameter(
        200_000, "Of a picture's file; a larger one is not shown.", "bytes", 10_000, 900_000
    )
    cameras: str = parameter(
        "",
        "Topics of the cameras to show, separated by semicolons. Empty: the pictures that are "
        "published in the node's namespace, four at most.",
    )
    instructions: str = parameter(
        "", "Instructions that the page offers, separated by semicolons."
    )

    jog_speed: float = parameter(
        0.15,
        "Speed of a joint that is jogged at full rate, as a share of its limit.",
        "",
        0.01,
        1.0,
    )


def listed(text: str) -> tuple[str, ...]:
    """Return what semicolons separate."""
    return tuple(each.strip() for each in text.split(";") if each.strip())


TABLES = {"parameters": partial(table, OperatorParams)}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
