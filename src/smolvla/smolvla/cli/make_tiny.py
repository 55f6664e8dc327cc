# SPDX-License-Identifier: Apache-2.0
"""Write smolvla_tiny, an untrained toy checkpoint in LeRobot's format."""

from __future__ import annotations

import argparse
from pathlib import Path

INSTALL = "./src/smolvla[torch]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", type=Path, help="a new folder for the checkpoint")
    parser.add_argument(
        "--cameras", nargs="+", default=["front", "wrist"], metavar="NAME",
        help="names of its cameras (default: front wrist)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of its weights (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Write the checkpoint."""
    from smolvla.tiny import make_tiny

    make_tiny(arguments.folder, cameras=arguments.cameras, seed=arguments.seed)
    size = sum(path.stat().st_size for path in arguments.folder.rglob("*") if path.is_file())
    print(f"{arguments.folder}: smolvla_tiny, untrained, {size / 1e6:.1f} MB")
    return 0
