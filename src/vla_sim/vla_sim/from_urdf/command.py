# SPDX-License-Identifier: Apache-2.0
"""The command `vla-robot`: a robot's folder from its URDF, and what a folder still needs."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from vla_sim.from_urdf.description import DescriptionError, choose
from vla_sim.from_urdf.folder import needs_of, write_folder
from vla_sim.from_urdf.reading import read_urdf


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="vla-robot", description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    write = verbs.add_parser("from-urdf", help="write the folder of the arm of a URDF or xacro")
    write.add_argument("file", type=Path, help="the description, .urdf or .urdf.xacro")
    write.add_argument(
        "arguments", nargs="*", metavar="NAME:=VALUE", help="arguments of the xacro, after it"
    )
    write.add_argument("--folder", type=Path, help="what to write (default: robots/NAME)")
    write.add_argument("--name", default="", help="what the robot is called (default: the URDF's)")
    write.add_argument("--tip", default="", help="link at the arm's end (default: of the longest)")
    write.add_argument("--gripper", default="", help="joint that opens and closes")
    check = verbs.add_parser("check", help="say what a robot's folder still needs")
    check.add_argument("folder", type=Path, help="the folder, with robot.yaml in it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0, or 2 for what the caller can mend, with one line.
    """
    given = parse(arguments)
    try:
        if given.verb == "check":
            _tell_needs(given.folder, needs_of(given.folder))
            return 0
        urdf = read_urdf(given.file, given.arguments)
        choice = choose(urdf, given.tip, given.gripper)
        called = given.name or urdf.name or given.file.name.partition(".")[0]
        name = re.sub(r"[^a-z0-9_]+", "_", called.lower()).strip("_") or "robot"
        folder = given.folder or Path("robots") / name
        written = write_folder(urdf, choice, name, folder)
    except DescriptionError as error:
        print(f"vla-robot: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"vla-robot: {error}", file=sys.stderr)
        return 2
    held = f", {choice.others} other joints held at 0" if choice.others else ""
    gripper = choice.gripper.name if choice.gripper else "none; two fingers stand in for it"
    print(f"arm: {', '.join(joint.name for joint in choice.arm)}{held}")
    print(f"gripper: {gripper}\ntip: {choice.tip}\nwritten: {written.folder}/")
    _tell_needs(written.folder, written.needs)
    # Without a slash it would be the name of a robot.
    place = str(written.folder) if "/" in str(written.folder) else f"./{written.folder}"
    quoted = shlex.quote(place.replace("$", "$$"))  # a dollar is two in what make is given
    print(
        f"try it: make demo ROBOT={quoted}   (it moves through {written.goals} postures, "
        f"about {written.seconds:.0f} s an episode)"
    )
    return 0


def _tell_needs(folder: Path, needs: Sequence[str]) -> None:
    print(f"{folder}: can be simulated. Before a real arm it still needs:")
    for need in needs:
        print(f"  - {need}")


if __name__ == "__main__":
    sys.exit(main())
