# SPDX-License-Identifier: Apache-2.0
"""`smoothness report BAG [--out DIR] [--robot FILE]`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from smooth_motion import RobotConfigError, load_robot
from smoothness_monitor.report.errors import ReportError

WRITTEN = ("report.html", "report.png", "report.json")


def report(bag: Path, out: Path, robot_file: Path | None) -> str:
    """Write the report of a bag; return its verdict.

    Raises:
        ReportError: No report can be made.
        RobotConfigError: The robot file cannot be used.
    """
    robot = load_robot(robot_file) if robot_file else None
    # Late, so that a missing library is one line, and help needs neither.
    from smoothness_monitor.report.analysis import analyse
    from smoothness_monitor.report.bag import read_bag
    from smoothness_monitor.report.figure import draw
    from smoothness_monitor.report.page import page
    from smoothness_monitor.report.record import as_record

    result = analyse(read_bag(bag), robot)
    record, png = as_record(result), draw(result)
    contents = (
        page(record, png).encode("utf-8"),
        png,
        (json.dumps(record, indent=1) + "\n").encode("utf-8"),
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in zip(WRITTEN, contents, strict=True):
            (out / name).write_bytes(content)
    except OSError as error:
        raise ReportError(f"{out}: cannot be written ({error.strerror}); choose --out") from None
    for line in (*result.recording.notes, *result.reasons):
        print(line)
    print(f"{result.verdict.value}: {out / WRITTEN[0]}")
    return result.verdict.value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 when the report was written, 1 when it says that limits were exceeded, 2 when there is
        none.
    """
    parser = argparse.ArgumentParser(prog="smoothness", description="How smooth was the motion?")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verb = verbs.add_parser(
        "report",
        help="report on a recording",
        description=(
            "Read a rosbag2 recording (MCAP or SQLite) of any robot, find its joint states and "
            "the states of joint_trajectory_controllers, and write report.html, report.png "
            "and report.json. Exits with 1 when limits were exceeded, 2 when there is no report."
        ),
    )
    verb.add_argument("bag", type=Path, help="rosbag2 folder, or a .mcap or .db3 file of it")
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (default: smoothness_BAG here)"
    )
    verb.add_argument(
        "--robot", type=Path, metavar="FILE", help="robot file whose limits are judged by"
    )
    given = parser.parse_args(arguments)
    out = given.out or Path(f"smoothness_{given.bag.resolve().stem}")
    try:
        verdict = report(given.bag, out, given.robot)
    except (ReportError, RobotConfigError) as error:
        print(f"smoothness report: {error}", file=sys.stderr)
        return 2
    return 1 if verdict == "beyond limits" else 0


if __name__ == "__main__":
    sys.exit(main())
