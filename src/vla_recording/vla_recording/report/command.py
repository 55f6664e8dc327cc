# SPDX-License-Identifier: Apache-2.0
"""`smoothness report BAG` and `smoothness compare BAG BAG`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vla_contract.robot import RobotConfigError
from vla_recording.report.errors import ExitCode, ReportError

if TYPE_CHECKING:
    from vla_recording.report.results import Report

WRITTEN = ("report.html", "report.png", "report.json")
_CODES = {
    "within limits": ExitCode.DONE,
    "beyond limits": ExitCode.BEYOND,
    "not clear": ExitCode.UNCLEAR,
    "not judged": ExitCode.NOT_JUDGED,
}
_ENDS = (
    "Exits with 0 when the limits given were kept, or none were given; 3 when they were "
    "exceeded; 4 when that is not clear; 5 when something that has limits could not be judged; "
    "6 when there is no report, 2 for a wrong command line."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return an `ExitCode`."""
    parser = argparse.ArgumentParser(prog="smoothness", description="How smooth was the motion?")
    parser.add_argument(
        "--traceback", action="store_true", help="show where an error comes from, to report it"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_report(verbs)
    _add_compare(verbs)
    given = parser.parse_args(arguments)
    try:
        return int(_report(given) if given.verb == "report" else _compare(given))
    except (ReportError, RobotConfigError) as error:
        print(f"smoothness {given.verb}: {error}", file=sys.stderr)
        return int(ExitCode.NO_REPORT)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if given.traceback:
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(
            f"smoothness {given.verb}: an error of this program, not of yours ({what}); "
            "smoothness --traceback shows where it comes from",
            file=sys.stderr,
        )
        return int(ExitCode.INTERNAL)


def _add_report(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser(
        "report",
        help="report on a recording",
        description=(
            "Read a recording (rosbag2: MCAP or SQLite; ROS 1) of any robot, find what says "
            "something of its joints, and write report.html, report.png and report.json. " + _ENDS
        ),
    )
    verb.add_argument("bag", type=Path, help="rosbag2 folder, or a .mcap, .db3 or .bag file")
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (default: smoothness_BAG here)"
    )
    verb.add_argument(
        "--no-picture",
        action="store_true",
        help="draw nothing: quicker, and matplotlib is not needed",
    )
    _add_selection(verb)


def _add_compare(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser(
        "compare",
        help="compare two recordings",
        description=(
            "Set the figures of two recordings side by side, joint by joint, and say what keeps "
            "them from being compared. Writes compare.html and compare.json. Exits with 0, or 6 "
            "when one of them cannot be read or they have nothing in common."
        ),
    )
    verb.add_argument("before", type=Path, help="the first recording")
    verb.add_argument("after", type=Path, help="the second")
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="where to (default: smoothness_BAG_BAG here)"
    )
    _add_selection(verb)


def _add_selection(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--robot",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="limits to judge by: a robot file, a URDF or a joint_limits.yaml; may be given "
        "several times, a later one adds to the ones before",
    )
    verb.add_argument(
        "--from",
        dest="since",
        type=_seconds,
        default=0.0,
        metavar="S",
        help="leave out what was received before S seconds",
    )
    verb.add_argument(
        "--to", dest="until", type=_seconds, metavar="S", help="leave out what came after"
    )
    verb.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="TOPIC",
        help="look at this topic only; may be given several times",
    )
    verb.add_argument(
        "--names",
        action="append",
        default=[],
        metavar="[TOPIC:]A,B,...",
        help="joints of a Float64MultiArray, which carries no names",
    )
    verb.add_argument(
        "--tip", metavar="LINK", help="look at the motion of this link too; needs a URDF"
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < math.inf:
        raise ValueError(text)
    return value


def _analysed(bag: Path, given: argparse.Namespace) -> Report:
    from vla_recording.report.limits import read_limits

    limits = read_limits(given.robot)
    # Late, so that a missing library is one line, and help needs neither.
    from vla_recording.report.analysis import analyse
    from vla_recording.report.bag import Selection, read_bag

    if given.until is not None and not given.since < given.until:
        raise ReportError(f"--from {given.since:g} must be below --to {given.until:g}")
    names = {}
    for text in given.names:
        topic, _, joints = text.rpartition(":")
        names[topic] = tuple(name.strip() for name in joints.split(","))
        if not all(names[topic]) or len(set(names[topic])) != len(names[topic]):
            raise ReportError(f"--names {text}: must be [TOPIC:]A,B,... with different names")
    selection = Selection(
        given.since,
        given.until,
        names,
        tuple(given.topic),
        limits.revolute if limits else frozenset(),
    )
    with read_bag(bag, selection) as recording:
        return analyse(recording, limits, given.tip)


def _report(given: argparse.Namespace) -> ExitCode:
    from vla_recording.report.page import page
    from vla_recording.report.record import as_record

    out = given.out or Path(f"smoothness_{given.bag.resolve().stem}")
    result = _analysed(given.bag, given)
    record, png = as_record(result), None if given.no_picture else _drawn(result)
    contents = page(record, png).encode("utf-8"), png, _json(record)
    _write(out, dict(zip(WRITTEN, contents, strict=True)))
    for note in result.recording.notes:
        print(f"note: {note}")
    for one in result.streams:
        for line in one.remarks:
            print(f"note: {one.stream.name}: {line}")
    for line in result.reasons:
        print(line)
    for line in result.not_judged:
        if line not in result.reasons:
            print(f"not judged: {line}")
    print(f"{result.verdict.value}: {out / WRITTEN[0]}")
    return _CODES[result.verdict.value] if result.limits else ExitCode.DONE


def _drawn(result: Report) -> bytes:
    from vla_recording.report.figure import draw

    return draw(result)


def _compare(given: argparse.Namespace) -> ExitCode:
    from vla_recording.report.compare import as_page, compared, lines
    from vla_recording.report.record import as_record

    bags = (given.before, given.after)
    name = "_".join(["smoothness", *(bag.resolve().stem for bag in bags)])
    out = given.out or Path(name)
    record = compared(*(as_record(_analysed(bag, given)) for bag in bags))
    _write(out, {"compare.html": as_page(record).encode("utf-8"), "compare.json": _json(record)})
    for line in lines(record):
        print(line)
    print(f"written: {out / 'compare.html'}")
    return ExitCode.DONE


def _json(record: dict[str, object]) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode("utf-8")


def _write(out: Path, contents: Mapping[str, bytes | None]) -> None:
    """Write each file; remove what an earlier report left where there is no content."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if content is None:
                (out / name).unlink(missing_ok=True)
            else:
                (out / name).write_bytes(content)
    except OSError as error:
        raise ReportError(f"{out}: cannot be written ({error.strerror}); choose --out") from None


if __name__ == "__main__":
    sys.exit(main())
