# SPDX-License-Identifier: Apache-2.0
"""Tables of the README, written from the code: ``python -m vla_recording.tables README.md``."""

from __future__ import annotations

import sys

from node_kit.parameters import table
from node_kit.tables import renew_files
from vla_recording.black_box.params import BlackBoxParams
from vla_recording.episodes.params import EpisodeRecorderParams


def black_box() -> str:
    """Return the table of the black box's parameters."""
    return table(BlackBoxParams)


def episode_recorder() -> str:
    """Return the table of the episode recorder's parameters."""
    return table(EpisodeRecorderParams)


TABLES = {"black_box": black_box, "episode_recorder": episode_recorder}

if __name__ == "__main__":
    sys.exit(renew_files(TABLES))
