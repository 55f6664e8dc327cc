# SPDX-License-Identifier: Apache-2.0
"""Does a reward that counts jerk make a policy smoother, at equal success and equal duration?

A SmolVLA that imitation taught is reinforced by GRPO with each reward, with and without the
jerk-bounded executor, from several seeds, and then tried in scenes that no run has seen. Beside
it stand the policy as it was, and the control: the same policy with every chunk carried out more
slowly, which needs no learning. What was computed is kept; the same command goes on. Needs the
environment of `make train`, or of `make train-metaworld` for Meta-World, which has no executor:

    .venv-policy/bin/python -m benchmarks.smoothvla out/smoothvla CHECKPOINT
    .venv-metaworld/bin/python -m benchmarks.smoothvla out/smoothvla-metaworld CHECKPOINT \\
        --world metaworld --tasks TASK TASK TASK TASK --seeds 3
"""

from __future__ import annotations

import argparse
import csv
import math
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from scipy import stats

from benchmarks.pages import DOCS, fill, table

ROOT = Path(__file__).resolve().parents[1]
PAGE, RAW = DOCS / "smoothvla.md", DOCS / "smoothvla.csv"
POLICY = "smolvla_cubes"
REWARDS = ("binary", "smoothvla", "smooth_invariant")
TABLETOP, METAWORLD = "tabletop", "metaworld"
EXECUTORS = {TABLETOP: ("smooth", "linear"), METAWORLD: ("none",)}
SLOWER = (1.05, 1.15, 1.3)  # the control: so many times as long between two rows of a chunk
EVALUATION_SEED = 5_000  # scenes of the evaluation, apart from those of training and of rollouts
LIMIT_S, ROLLOUT_LIMIT_S = 20.0, 12.0  # three times and twice what it takes
IMITATION = "imitation"
NOISE = 0.5  # of the stochastic flow, in three of its four steps
LEAST_DEVIATION = 0.02  # floor of a group's standard deviation: a tenth of lambda
# What is compared, with its unit; for all but success the mean over the episodes that succeeded.
MEASURES = (
    ("success", ""), ("duration_s", "s"), ("tip_jerk_mean", "m/s^3"), ("twist_jerk_mean", ""),
    ("joint_jerk_rms", "rad/s^3"), ("ldlj", ""),
)  # fmt: skip
COMPARED = ("duration_s", "tip_jerk_mean", "twist_jerk_mean")


@dataclass(frozen=True)
class Tried:
    """The episodes of one policy.

    Attributes:
        arm: How it came about: a reward, `imitation`, or `imitation` so many times slower.
        executor: With which it was reinforced, and tried.
        seed: Of its reinforcement; of imitation, of the scenes' group.
        episodes: Of each scene, whether it was solved and the other `MEASURES`.
    """

    arm: str
    executor: str
    seed: int
    episodes: dict[str, dict[str, float]]

    @property
    def solved(self) -> dict[str, dict[str, float]]:
        """The episodes that succeeded."""
        return {scene: told for scene, told in self.episodes.items() if told["success"]}

    @property
    def means(self) -> dict[str, float]:
        """Of `MEASURES`: the share that succeeded, and means over those."""
        solved = self.solved.values()
        told = {"success": len(solved) / len(self.episodes)}
        for name, _ in MEASURES[1:]:
            told[name] = float(np.mean([each[name] for each in solved])) if solved else math.nan
        return told


def main() -> int:
    """Run what is missing of the study, and write its page."""
    given = _parser().parse_args()
    executors = EXECUTORS[given.world]

    def as_it_was(slower: float, executor: str) -> None:
        name, count = _slowed(slower), given.scenes * given.seeds
        _evaluate(given, name, executor, given.checkpoint, EVALUATION_SEED, count, slower)

    for executor in executors:
        as_it_was(1.0, executor)
    for seed in range(given.seeds):
        for executor in executors:
            for reward in REWARDS:
                checkpoint = _reinforce(given, reward, executor, seed)
                first = EVALUATION_SEED + seed * given.scenes
                name = f"{reward}_{seed}"
                _evaluate(given, name, executor, checkpoint, first, given.scenes)
                _write(given, collect(given.folder, given.scenes, given.seeds))
    for slower in SLOWER:
        for executor in executors:
            as_it_was(slower, executor)
    _write(given, collect(given.folder, given.scenes, given.seeds))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("folder", type=Path, help="of all runs and trials")
    add("checkpoint", type=Path, help="a SmolVLA that imitation taught")
    add("--world", choices=EXECUTORS, default=TABLETOP, help="(%(default)s)")
    add("--tasks", nargs="+", default=["mt10"], help="of Meta-World (mt10)")
    add("--seeds", type=int, default=5, help="of reinforcement (%(default)s)")
    add("--updates", type=int, default=8, help="of each run (%(default)s)")
    add("--groups", type=int, default=6, help="scenes an update (%(default)s)")
    add("--group-size", type=int, default=6, help="rollouts of a scene (%(default)s)")
    add("--epochs", type=int, default=4, help="over an update's rollouts (%(default)s)")
    add("--rate", type=float, default=1e-4, help="of learning (%(default)s)")
    add("--scenes", type=int, default=10, help="of each evaluation, 3 colours (%(default)s)")
    add("--processes", type=int, default=2, help="(%(default)s)")
    add("--page", action="store_true", help="write docs/measurements/smoothvla.md")
    return parser


def _reinforce(given: argparse.Namespace, reward: str, executor: str, seed: int) -> Path:
    """Reinforce, or go on with it; return the checkpoint.

    What counts as much jerk is that of the policy as it was, with the same executor.
    """
    run: Path = given.folder / "runs" / f"{reward}_{executor}_{seed}"
    if (run / "checkpoint" / "model.safetensors").exists():
        return run / "checkpoint"
    trials = read(given.folder / "trials" / f"{IMITATION}_{executor}" / "results.csv")
    before = Tried(IMITATION, executor, 0, episodes(trials)).means
    from vla_training.rl.settings import ReinforcementSettings  # it needs torch

    unit = ReinforcementSettings().scaled(before["twist_jerk_mean"], before["ldlj"])
    settings = {
        "seed": seed, "updates": given.updates, "epochs": given.epochs,
        "groups": given.groups, "group_size": given.group_size, "reward": reward,
        "jerk_unit": unit.jerk_unit, "ldlj_best": unit.ldlj_best, "ldlj_worst": unit.ldlj_worst,
        "learning_rate": given.rate, "limit_s": ROLLOUT_LIMIT_S,
        "noise": NOISE, "least_deviation": LEAST_DEVIATION, "batch": 256,
        # Every seed has scenes of its own, the same for each reward, and in each update all.
        "first_seed": 1_000_000 + 10_000 * seed, "scenes": given.groups,
        **({"executor": executor} if given.world == TABLETOP else {}),
    }  # fmt: skip
    path = given.folder / "settings" / f"{run.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    words = ["--contract", POLICY] if given.world == TABLETOP else _world(given)
    _call(
        "vla_training.cli", "rl", run, given.checkpoint, "--settings", path, *words,
        "--config", ROOT / "config", "--processes", given.processes,
    )  # fmt: skip
    return run / "checkpoint"


def _evaluate(
    given: argparse.Namespace,
    name: str,
    executor: str,
    checkpoint: Path,
    first_seed: int,
    count: int,
    slower: float = 1.0,
) -> None:
    words: list[object] = ["--policy", "smolvla", *_world(given)]
    if given.world == TABLETOP:
        words = ["--policy", POLICY, "--executors", executor, "--limit", LIMIT_S]
    _call(
        "vla_training.evaluation.command", given.folder / "trials" / f"{name}_{executor}",
        *words, "--checkpoint", checkpoint, "--config", ROOT / "config", "--slower", slower,
        "--seeds", count, "--first-seed", first_seed, "--films", 0,
        "--processes", given.processes,
    )  # fmt: skip


def _world(given: argparse.Namespace) -> list[object]:
    return ["--world", given.world, "--tasks", *given.tasks]


def _call(module: str, *words: object) -> None:
    command = [sys.executable, "-m", module, *map(str, words)]
    print("+", *command[2:], flush=True)
    subprocess.run(command, check=True)


# -- figures ----------------------------------------------------------------------------------


def collect(folder: Path, scenes: int, seeds: int) -> list[Tried]:
    """Return what was tried, in the order of the page."""
    found = []
    for executor in (each for group in EXECUTORS.values() for each in group):
        for slower in (1.0, *SLOWER):
            path = folder / "trials" / f"{_slowed(slower)}_{executor}" / "results.csv"
            lines = read(path)
            for group in range(seeds):
                begin = EVALUATION_SEED + group * scenes
                some = [line for line in lines if begin <= int(line["seed"]) < begin + scenes]
                if some:
                    found.append(Tried(_slowed(slower), executor, group, episodes(some)))
        for reward in REWARDS:
            for seed in range(seeds):
                path = folder / "trials" / f"{reward}_{seed}_{executor}" / "results.csv"
                if lines := read(path):
                    found.append(Tried(reward, executor, seed, episodes(lines)))
    return found


def read(path: Path) -> list[dict[str, str]]:
    """Return the lines of a trial; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def episodes(lines: Iterable[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Return `MEASURES` of each line, by its scene: task or colour, and seed."""
    return {
        f"{line.get('task') or line.get('colour')} {line['seed']}": {
            name: float(line[name]) for name, _ in MEASURES
        }
        for line in lines
    }


def interval(values: Iterable[float]) -> tuple[float, float]:
    """Return mean and half of the 95 % interval, by Student's t over the seeds."""
    known = np.array([each for each in values if math.isfinite(each)])
    if known.size < 2:
        return (float(known.mean()) if known.size else math.nan), math.nan
    half = stats.t.ppf(0.975, known.size - 1) * known.std(ddof=1) / math.sqrt(known.size)
    return float(known.mean()), float(half)


def paired(tried: Sequence[Tried], arm: str, base: str, executor: str, name: str) -> list[float]:
    """Return the ratio of an arm's figure to another's, seed by seed.

    Of the scenes that both solved: a policy that solves more of the long ones is no slower.
    """
    ours, theirs = (
        {
            each.seed: each.solved
            for each in tried
            if (each.arm, each.executor) == (which, executor)
        }
        for which in (arm, base)
    )
    found = []
    for seed in sorted(set(ours) & set(theirs)):
        both = set(ours[seed]) & set(theirs[seed])
        mine, other = (sum(which[seed][scene][name] for scene in both) for which in (ours, theirs))
        found.append(mine / other if both else math.nan)
    return found


def percent(ratios: Iterable[float]) -> list[float]:
    """Return by how much ratios differ from 1, in percent."""
    return [100.0 * (each - 1.0) for each in ratios]


def against(tried: Sequence[Tried], arm: str, base: str, executor: str, name: str) -> str:
    """Say by how much an arm differs from another, paired by seed, in percent of the other."""
    return said(*interval(percent(paired(tried, arm, base, executor, name))), "+.1f")


def against_slowness(tried: Sequence[Tried], arm: str, executor: str, name: str) -> str:
    """Say by how much an arm differs from the policy as it was, slowed to the arm's duration.

    How the control's figure goes with its duration is taken as a power law, fitted to the control.
    """
    slowed = {each.arm for each in tried if each.executor == executor and IMITATION in each.arm}

    def logs(which: str) -> tuple[float, float]:
        duration, figure = (
            interval(paired(tried, which, IMITATION, executor, key))[0]
            for key in ("duration_s", name)
        )
        return math.log(duration), math.log(figure)

    points = np.array([logs(which) for which in sorted(slowed - {IMITATION})])
    if not len(points):
        return "-"
    power = float(points[:, 0] @ points[:, 1] / (points[:, 0] @ points[:, 0]))
    durations, figures = (
        paired(tried, arm, IMITATION, executor, key) for key in ("duration_s", name)
    )
    apart = [figure / duration**power for duration, figure in zip(durations, figures, strict=True)]
    return said(*interval(percent(apart)), "+.1f")


def draw(tried: Sequence[Tried], executors: Sequence[str], world: str) -> None:
    """Draw how much less jerk each policy has in how much more time than the policy as it was."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(executors), 4.0), layout="constrained")
    for index, executor in enumerate(executors, start=1):
        axes = figure.add_subplot(1, len(executors), index)
        control = [(0.0, 0.0)]
        for arm in dict.fromkeys(each.arm for each in tried if each.executor == executor):
            pairs = [
                percent(paired(tried, arm, IMITATION, executor, name)) for name in COMPARED[:2]
            ]
            (x, wide), (y, high) = (interval(each) for each in pairs)
            slowed = IMITATION in arm
            if slowed and arm != IMITATION:
                control.append((x, y))
            if math.isnan(x) or arm == IMITATION:
                continue
            axes.errorbar(
                x, y, xerr=None if math.isnan(wide) else wide,
                yerr=None if math.isnan(high) else high, marker="o" if slowed else "s", capsize=2,
                linestyle="none", color="tab:gray" if slowed else None,
                label=None if slowed else f"{arm.replace('_', ' ')}, {len(pairs[0])} seeds",
            )  # fmt: skip
        axes.plot(
            *zip(*sorted(control), strict=True), color="tab:gray", linewidth=1.0, marker=".",
            label="as it was, and slowed",
        )  # fmt: skip
        axes.set_title(f"executor {executor}" if world == TABLETOP else world, fontsize=10)
        axes.set_xlabel("duration against the policy as it was, %")
        axes.set_ylabel("jerk of the end effector, likewise, %")
        axes.legend(fontsize=8)
    path = RAW.with_suffix(".png")
    figure.savefig(path if world == TABLETOP else path.with_stem(f"{path.stem}_{world}"), dpi=100)


def said(mean: float, half: float, form: str) -> str:
    """Return a mean with its interval in words."""
    if math.isnan(mean):
        return "-"
    return format(mean, form) + ("" if math.isnan(half) else f" ± {half:{form.lstrip('+')}}")


def _slowed(slower: float) -> str:
    return IMITATION if slower == 1.0 else f"{IMITATION}_{slower:g}_times_slower"


def _write(given: argparse.Namespace, tried: Sequence[Tried]) -> None:
    rows, apart = [], []
    for executor in EXECUTORS[given.world]:
        for arm in dict.fromkeys(each.arm for each in tried):
            some = [each for each in tried if (each.arm, each.executor) == (arm, executor)]
            if not some:
                continue
            row = [executor, arm.replace("_", " "), len(some)]
            for name, _ in MEASURES:
                form = ".3f" if name == "success" else ".2f"
                row.append(said(*interval(each.means[name] for each in some), form))
            rows.append(row)
            apart.append(
                [executor, arm.replace("_", " ")]
                + [against(tried, arm, "binary", executor, name) for name in COMPARED]
                + [against(tried, arm, IMITATION, executor, name) for name in COMPARED]
                + [against_slowness(tried, arm, executor, name) for name in COMPARED[1:]]
            )
    head = ["executor", "policy", "seeds"]
    head += [f"{name}{f', {unit}' if unit else ''}".replace("_", " ") for name, unit in MEASURES]
    shown = table(head, rows)
    differences = table(
        ["executor", "policy", "duration against binary, %", "tip jerk, %", "twist jerk, %",
         "duration against imitation, %", "tip jerk, %", "twist jerk, %",
         "tip jerk against imitation slowed to the same duration, %", "twist jerk, %"],
        apart,
    )  # fmt: skip
    print(shown, differences, sep="\n\n", flush=True)
    if not given.page:
        return
    draw(tried, EXECUTORS[given.world], given.world)
    world = "" if given.world == TABLETOP else f"{given.world} "
    fill(PAGE, {f"{world}figures": shown, f"{world}differences": differences})
    with (RAW if not world else RAW.with_stem(f"{RAW.stem}_{given.world}")).open(
        "w", encoding="utf-8", newline=""
    ) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["executor", "policy", "seed", "scene", *(name for name, _ in MEASURES)])
        for each in tried:
            for scene, told in each.episodes.items():
                figures = (f"{value:.5g}" for value in told.values())
                writer.writerow([each.executor, each.arm, each.seed, scene, *figures])


if __name__ == "__main__":
    sys.exit(main())
