# SPDX-License-Identifier: Apache-2.0
"""The table of the trials, and its place in a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from verification.stop_trials.cases import CASES, INTRUDER
from verification.stop_trials.result import TrialResult

BEGIN, END = "<!-- table: trials -->", "<!-- end: trials -->"
HEAD = (
    "what goes wrong",
    "hardware",
    "Hz",
    "rung: s after the trip",
    "monitor",
    "joints stand after, s",
    "jerk of the reference / limit",
    "ends at once, rad/s",
    "step by the reset, rad",
)


def table(trials: Sequence[TrialResult]) -> str:
    """Return the trials as a Markdown table."""
    rows = [HEAD, ("---",) * len(HEAD), *(_row(trial) for trial in trials)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(trial: TrialResult) -> tuple[str, ...]:
    return (
        CASES[trial.case].what,
        trial.hardware,
        str(trial.rate_hz),
        _rungs(trial.rung_log),
        trial.state,
        f"{trial.stands_s:.2f}",
        # Of another's trajectory it says nothing about the stop.
        "the intruder's" if CASES[trial.case].faults == INTRUDER else f"{trial.jerk_ratio:.4f}",
        f"{trial.speed:.2f}" if trial.speed else "0",
        "" if trial.reset_step is None else f"{trial.reset_step:.1g}",
    )


def _rungs(log: Sequence[str]) -> str:
    """Return when each rung was climbed for the first time."""
    times: dict[str, str] = {}
    for line in log:
        seconds, _, rest = line.partition(" s: ")
        times.setdefault(rest[0], f"{float(seconds):.2f}")
    return ", ".join(f"{rung}: {seconds}" for rung, seconds in sorted(times.items()))


def put(page: Path, trials: Sequence[TrialResult]) -> None:
    """Renew the table of a page.

    Raises:
        ValueError: The page has no place for it.
    """
    text = page.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page}: has no lines '{BEGIN}' and '{END}' to put the table between")
    # A function, for backslashes in a replacement would be taken for groups.
    renewed = f"{BEGIN}\n{table(trials)}\n{END}"
    page.write_text(pattern.sub(lambda _: renewed, text))
