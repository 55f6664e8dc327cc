# SPDX-License-Identifier: Apache-2.0
"""What becomes of the same chunks under what others do with them, and under this suite.

    python benchmarks/compare_executors.py [--quick] [--results FILE] [--write]

Three scenarios: chunks that are the same for everyone; a Panda and an FR3 that reach for places,
with Franka's checks at 1 kHz; the simulated SO-101 with its cubes. Chunks arrive 0 to 20 rows and
up to 30 ms late, and two in a hundred never; by seed and number, so the same for everyone.
`--write` puts tables and a picture into docs/measurements; `--quick` runs a few of the delays.
With `--results` each outcome becomes a line of that file, and what it holds is not run again, but
for the scenarios named after `--anew`. `--recorded` runs nothing and shows what the file holds.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from executors import EXECUTORS, ChunkDelay, color_pick, reach, replay
from executors.outcome import ExecutorOutcome
from franka import FER, FR3
from pages import DOCS, fill, machine, table

JITTER_S, LOSS = 0.03, 0.02
OURS, THEIRS, ONLINE = "this suite", "LeRobot, lines", "Ruckig"
SHOWN = (0, 4, 10, 20)
SCENARIOS = ("replay", "FER", "FR3", "cubes")
COLOURS = {
    "naive replacement": "#b9a44c",
    "temporal ensembling": "#5b8c5a",
    "LeRobot, held": "#d9a0a0",
    "LeRobot, lines": "#c05a5a",
    "linear points, JTC": "#8a7fb5",
    "spline points, JTC": "#c9a3e0",
    "spline, continued": "#a04fc0",
    "Servo, low-pass": "#5fb0b0",
    "Servo, acceleration": "#2f7f7f",
    "Ruckig": "#e08030",
    "this suite": "#1f5fa8",
}
Results = dict[tuple[str, int], ExecutorOutcome]


def together(outcomes: Iterable[ExecutorOutcome]) -> ExecutorOutcome:
    """Return the figures of several runs as those of one."""
    runs = list(outcomes)
    seconds = np.array([run.seconds for run in runs])

    def mean(values: list[float], weights: np.ndarray) -> float:
        return float(np.sqrt(np.average(np.square(values), weights=weights)))

    durations = [run.duration_s for run in runs if run.duration_s is not None]
    first = runs[0]
    return replace(
        first,
        rms=mean([run.rms for run in runs], seconds),
        peak=max(run.peak for run in runs),
        seconds=float(seconds.sum()),
        successes=sum(run.successes for run in runs),
        tasks=sum(run.tasks for run in runs),
        duration_s=float(np.mean(durations)) if durations else None,
        aborts=first.aborts
        and {key: sum((run.aborts or {})[key] for run in runs) for key in first.aborts},
        refused=sum(run.refused for run in runs),
    )


class OutcomeFile:
    """Outcomes that are there already, and a file in which they stay."""

    def __init__(
        self, path: Path | None, seeds: int, anew: Iterable[str], *, complete: bool = False
    ) -> None:
        """Read the file, if there is one, but for some scenarios.

        Args:
            path: The file.
            seeds: How many are wanted.
            anew: Scenarios of which nothing is read.
            complete: Nothing is added any more.
        """
        self._path, self._seeds, self.complete = path, seeds, complete
        self._lines: list[dict] = []
        if path is not None and path.exists():
            text = path.read_text(encoding="utf-8").splitlines()
            self._lines = [json.loads(line) for line in text]
            self._lines = [line for line in self._lines if line["scenario"] not in set(anew)]

    @property
    def seconds(self) -> float:
        """Computing time of all outcomes."""
        return float(sum(line["took_s"] for line in self._lines))

    def find(self, scenario: str, steps: int, name: str) -> ExecutorOutcome | None:
        """Return an outcome of as many seeds, if there is one."""
        wanted = (scenario, steps, name, self._seeds)
        for line in self._lines:
            if (line["scenario"], line["delay"], line["executor"], line["seeds"]) == wanted:
                return ExecutorOutcome(**line["outcome"])
        return None

    def add(
        self, scenario: str, steps: int, name: str, outcome: ExecutorOutcome, took_s: float
    ) -> None:
        """Keep an outcome."""
        self._lines.append(
            {
                "scenario": scenario,
                "delay": steps,
                "executor": name,
                "seeds": self._seeds,
                "took_s": round(took_s, 1),
                "outcome": asdict(outcome),
            }
        )
        if self._path is not None:
            text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in self._lines)
            self._path.write_text(text, encoding="utf-8")


def every(
    delays: list[int],
    run: Callable[[str, ChunkDelay], ExecutorOutcome],
    scenario: str,
    record: OutcomeFile,
) -> Results:
    """Run every executor at every delay, but for what is recorded.

    The cubes take longest: there those that are not held against one another run only at the
    delays of the table.
    """
    results: Results = {}
    for steps in delays:
        for name in EXECUTORS:
            if scenario == "cubes" and steps not in SHOWN and name not in (OURS, THEIRS):
                continue
            known = record.find(scenario, steps, name)
            if known is None and record.complete:
                continue
            if known is None:
                began = time.monotonic()
                known = run(name, ChunkDelay(steps, JITTER_S, LOSS))
                took_s = time.monotonic() - began
                record.add(scenario, steps, name, known, took_s)
                print(f"{scenario}, {steps} steps, {name}: {took_s:.1f} s, {known}", flush=True)
            results[name, steps] = known
    return results


def run(delays: list[int], seeds: int, record: OutcomeFile) -> dict[str, Results]:
    """Run the scenarios."""
    results = {
        "replay": every(
            delays,
            lambda name, delay: replay.run(EXECUTORS[name], delay, seed=0, seconds=60.0),
            "replay",
            record,
        )
    }
    for arm, limits in (("FER", FER), ("FR3", FR3)):
        results[arm] = every(
            delays,
            lambda name, delay, limits=limits: together(
                reach.run(EXECUTORS[name], delay, seed=seed, limits=limits)
                for seed in range(seeds)
            ),
            arm,
            record,
        )
    with color_pick.table() as built:
        results["cubes"] = every(
            delays,
            lambda name, delay: color_pick.run(built, EXECUTORS[name], delay, seeds=range(seeds)),
            "cubes",
            record,
        )
    return results


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"


def rows(
    results: Results, delays: list[int], cells: Callable[[ExecutorOutcome], list]
) -> list[list]:
    """Return a row for each delay shown and each executor."""
    shown = [steps for steps in SHOWN if steps in delays]
    return [
        [steps, f"**{name}**" if name == OURS else name, *cells(results[name, steps])]
        for steps in shown
        for name in EXECUTORS
        if (name, steps) in results
    ]


def tables(results: dict[str, Results], delays: list[int]) -> dict[str, str]:
    """Return the blocks of the page."""
    jerk = ["RMS jerk, rad/s³", "peak jerk, rad/s³"]
    task = ["tasks done", "mean duration, s"]

    def minutes(outcome: ExecutorOutcome, key: str) -> str:
        assert outcome.aborts is not None
        return number(outcome.aborts[key] / outcome.seconds * 60.0)

    blocks = {
        "replay": table(
            ["delay, rows", "executor", *jerk, "error RMS, mrad", "at a lag of, ms"],
            rows(
                results["replay"],
                delays,
                lambda o: [
                    number(o.rms),
                    number(o.peak),
                    f"{1e3 * (o.error or 0.0):.1f}",
                    f"{1e3 * (o.lag_s or 0.0):.0f}",
                ],
            ),
        ),
        "cubes": table(
            ["delay, rows", "executor", *jerk, "RMS jerk of the arm, rad/s³", *task],
            rows(
                results["cubes"],
                delays,
                lambda o: [
                    number(o.rms),
                    number(o.peak),
                    number(o.arm_rms),
                    f"{o.successes} of {o.tasks}",
                    number(o.duration_s),
                ],
            ),
        ),
    }
    for arm in ("FER", "FR3"):
        blocks[arm] = table(
            [
                "delay, rows",
                "executor",
                *jerk,
                "aborts a minute",
                "through libfranka's filter",
                *task,
            ],
            rows(
                results[arm],
                delays,
                lambda o: [
                    number(o.rms),
                    number(o.peak),
                    minutes(o, "as sent"),
                    minutes(o, "filtered"),
                    f"{o.successes} of {o.tasks}",
                    number(o.duration_s),
                ],
            ),
        )
    blocks["goals"] = against(THEIRS, results, delays)
    blocks["ruckig"] = against(ONLINE, results, [steps for steps in SHOWN if steps in delays])
    return blocks


def against(other: str, results: dict[str, Results], delays: list[int]) -> str:
    """Return the comparison of this suite with another executor, delay by delay."""
    lines = []
    for steps in delays:
        line: list[object] = [steps]
        for scenario in ("replay", "FER", "FR3", "cubes"):
            ours = results[scenario][OURS, steps]
            theirs = results[scenario].get((other, steps))
            if theirs is None:  # not run
                width = 1 + 2 * (scenario != "replay") + (ours.aborts is not None)
                line += ["-"] * width
                continue
            line.append(f"{ours.rms / theirs.rms:.3f}")
            if scenario != "replay":
                both = ours.duration_s and theirs.duration_s
                line.append(f"{ours.duration_s / theirs.duration_s:.2f}" if both else "-")
                line.append(f"{ours.successes} / {theirs.successes}")
            if ours.aborts is not None:
                line.append(ours.aborts["as sent"])
        lines.append(line)
    return table(
        [
            "delay, rows",
            "replay: RMS jerk",
            *("FER: RMS jerk", "duration", "tasks", "our aborts"),
            *("FR3: RMS jerk", "duration", "tasks", "our aborts"),
            *("cubes: RMS jerk", "duration", "tasks"),
        ],
        lines,
    )


def draw(results: dict[str, Results], delays: list[int], path: Path) -> None:
    """Draw the figures over the delay."""
    figure, axes = plt.subplots(2, 3, figsize=(13.0, 7.4), sharex=True, layout="constrained")

    def lines(axis: plt.Axes, scenario: str, value: Callable, title: str) -> None:
        for name in EXECUTORS:
            x = [steps for steps in delays if (name, steps) in results[scenario]]
            y = [value(results[scenario][name, steps]) for steps in x]
            y = [np.nan if v is None else v for v in y]
            width = 2.6 if name == OURS else 1.5
            axis.plot(x, y, "o-", ms=3.5, lw=width, color=COLOURS[name], label=name)
        axis.set_title(title, fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#eeeeee")
        axis.set_axisbelow(True)

    def per_minute(outcome: ExecutorOutcome) -> float:
        assert outcome.aborts is not None
        return outcome.aborts["as sent"] / outcome.seconds * 60.0

    top = "RMS jerk of the command, rad/s³"
    lines(axes[0, 0], "replay", lambda o: o.rms, f"Same chunks: {top}")
    lines(axes[0, 1], "FER", lambda o: o.rms, f"Panda: {top}")
    lines(axes[0, 2], "cubes", lambda o: o.rms, f"SO-101 and cubes: {top}")
    lines(axes[1, 0], "FER", per_minute, "Panda: aborts a minute of Franka's interface")
    lines(axes[1, 1], "FER", lambda o: o.duration_s, "Panda: mean duration of six reaches, s")
    lines(axes[1, 2], "cubes", lambda o: o.duration_s, "SO-101 and cubes: mean duration, s")
    for axis in axes[0]:
        axis.set_yscale("log")
    axes[1, 0].set_yscale("symlog", linthresh=10.0)
    axes[1, 0].set_ylim(bottom=-0.6)
    for axis in axes[1, 1:]:
        axis.set_ylim(bottom=0.0)
    for axis in axes[1]:
        axis.set_xlabel("delay of the chunks, rows of 33 ms")
        axis.set_xticks(delays[:: max(1, len(delays) // 6)])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=6, frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer delays and seeds")
    parser.add_argument("--results", type=Path, help="file of outcomes, gone on with")
    parser.add_argument("--recorded", action="store_true", help="run nothing")
    parser.add_argument("--anew", nargs="+", choices=SCENARIOS, default=[], metavar="SCENARIO")
    parser.add_argument("--write", action="store_true", help="into docs/measurements")
    given = parser.parse_args()
    delays = list(SHOWN) if given.quick else list(range(0, 21, 2))
    seeds = 2 if given.quick else 10
    if (given.anew or given.recorded) and not given.results:
        parser.error("--anew and --recorded need --results")
    record = OutcomeFile(given.results, seeds, given.anew, complete=given.recorded)
    results = run(delays, seeds, record)
    blocks = tables(results, delays)
    blocks["run"] = (
        f"`python benchmarks/compare_executors.py{' --quick' if given.quick else ''}`: "
        f"{seeds} seeds, {record.seconds / 60.0:.0f} minutes; {machine()}."
    )
    if given.write:
        fill(DOCS / "executors.md", blocks)
        draw(results, delays, DOCS / "executors.png")
    else:
        print("\n\n".join(blocks.values()))


if __name__ == "__main__":
    main()
