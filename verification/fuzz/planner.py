# SPDX-License-Identifier: Apache-2.0
"""Throw adversarial chunks at planner, gate and controller, and look for one that gets through.

    python -m verification.fuzz.planner [--ticks 100000] [--seed 0] [--jobs 1] [--results FILE]

One tick is a chunk, absurd in one of many ways, a brake, or a change of the rate at which the
running plan is carried out: planned from the running plan, overlapped, checked, delivered late
within the overlap, and run by an emulated joint_trajectory_controller at 100 Hz or 1 kHz. In some
ticks the plan is altered on its way, from the last bit to a NaN; what the gate lets through is run
too. The reference's position and its divided differences over trajectory time must keep every
limit: the largest ratio allowed is 1.001. Every plan of the planner must pass the gate. Nothing
may raise but MotionError and NoPlanError, and those where documented.

A long run is made of runs of 100,000 ticks with the seeds S, S + 1 and so on. With `--results`
each adds a line to the file, and those that the file has are passed over: a run that was
interrupted goes on, and several add up. `--write` puts the sum of the file into docs/measurements.

A failure prints the seed and the episode; `--seed S --episode E` runs that one again.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import inspect
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pages import DOCS, fill, machine
from smooth_motion import (
    CheckConfig,
    Chunk,
    Knots,
    Limits,
    MotionError,
    NoPlanError,
    Plan,
    Retimed,
    TrackerConfig,
    brake,
    check,
    limit_violations,
    overlap,
    retime,
    splice_ns,
    stretch,
    track,
    tracker,
)
from verification.fuzz import runs as runs_file
from verification.fuzz.sampled_controller import SampledController
from vla_sim.core.trajectory import JointTrajectory, TrajectoryPoint
from vla_sim.core.trajectory_controller import ControllerConfig, TrajectoryController
from vla_sim.core.validation import Reason, Rejection

MS = 1_000_000
SECOND = 1000 * MS
EPOCH = 1_790_000_000 * SECOND
RATIO = 1.001
TICKS_AN_EPISODE = 100
TICKS_A_RUN = 100_000
# In one episode of so many the controller is emulated cycle by cycle too, and the two compared.
EMULATED_EVERY = 50
SAME_REFERENCE = 1e-14  # rad
DELIVERY_MS = 90  # less than the overlap by a control period
KINDS = ("position", "velocity", "acceleration", "jerk")

# The planner keeps the problems of as many sizes as one arm needs; the robots here need more.
tracker._problem = functools.cache(tracker._problem.__wrapped__)

# (velocity, acceleration, jerk) of one joint; the ranges of position are drawn.
ROBOTS = {
    "SO-101": (2.0, 10.0, 100.0),
    "Panda": (2.175, 7.5, 3750.0),
    "FR3": (2.62, 10.0, 5000.0),
    "gentle": (0.3, 1.0, 10.0),
    "acceleration-bound": (1.0, 0.5, 50.0),
    "jerk-bound": (3.0, 30.0, 20.0),
    "velocity-bound": (0.05, 20.0, 2000.0),
}
# Those that take long to stop have long plans, and fewer episodes.
SHARES = (0.2, 0.2, 0.2, 0.12, 0.08, 0.08, 0.12)
TRACKERS = (
    TrackerConfig(),
    TrackerConfig(),
    TrackerConfig(),
    TrackerConfig(knot_dt_ns=20 * MS, cutoff_hz=4.0),
    TrackerConfig(knot_dt_ns=50 * MS, cutoff_hz=1.0),
)


@dataclass
class Result:
    """What was done and seen; adds up."""

    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    failures: list[str] = field(default_factory=list)

    def __iadd__(self, other: Result) -> Result:
        self.counts += other.counts
        self.worst = {kind: max(self.worst[kind], other.worst[kind]) for kind in KINDS}
        self.failures += other.failures
        return self


def chunks(rng: np.random.Generator, limits: Limits, plan: Plan, now_ns: int) -> tuple[Any, ...]:
    """Return a name and the arguments of a chunk."""
    joints = limits.jerk.size
    low, high = limits.position_lower, limits.position_upper
    here = plan.sample(now_ns).position
    rows = int(rng.integers(1, 60 if rng.random() < 0.1 else 16))
    start, dt = now_ns - int(rng.integers(0, 300)) * MS, 33_333_333
    kind = CHUNKS[rng.integers(len(CHUNKS))]
    steps = np.arange(rows)[:, None]
    if kind == "walk":
        q = (
            here
            + rng.uniform(-0.3, 0.3, joints)
            + np.cumsum(rng.normal(0, 0.03, (rows, joints)), 0)
        )
    elif kind == "anything":
        q = rng.uniform(-10.0, 10.0, (rows, joints))
    elif kind == "from end to end":
        q = np.where((steps + rng.integers(0, 2, joints)) % 2, low, high)
    elif kind == "at a limit":
        q = np.broadcast_to(np.where(rng.random(joints) < 0.5, low, high), (rows, joints))
    elif kind == "beyond the limits":
        q = np.broadcast_to(np.where(rng.random(joints) < 0.5, -1e9, 1e9), (rows, joints))
    elif kind == "overflow":
        q = rng.choice([-1e308, 1e308, 5e-324, -0.0], (rows, joints))
    elif kind == "full speed":
        q = here + steps * dt * 1e-9 * limits.velocity * rng.choice([-1.0, 1.0], joints)
    elif kind == "shake":
        q = here + 0.2 * np.sin(steps * rng.uniform(0.1, np.pi, joints))
    elif kind == "nothing new":
        q = plan.sample(start + dt * np.arange(rows)).position
    else:
        q = here + rng.uniform(-0.5, 0.5, (rows, joints))
    names = limits.joint_names
    if kind == "nan":
        q = np.array(q)
        q[rng.integers(rows), rng.integers(joints)] = rng.choice([np.nan, np.inf, -np.inf])
    elif kind == "no rows":
        q = q[:0]
    elif kind == "other joints":
        names = names[::-1] if joints > 1 else ("stranger",)
    elif kind == "dt zero":
        dt = int(rng.integers(-2, 1))
    elif kind == "dt tiny":
        dt = int(rng.integers(1, 1000))
    elif kind == "dt huge":
        dt = int(rng.integers(1, 10**6)) * SECOND
    elif kind == "stale":
        start -= int(rng.integers(1, 10**6)) * SECOND
    elif kind == "of the future":
        start += int(rng.integers(1, 10**6)) * SECOND
    return kind, names, start, dt, q


REFUSED = ("nan", "no rows", "other joints", "dt zero")
CHUNKS = (
    *("walk",) * 18,
    *("anything",) * 9,
    *("from end to end",) * 9,
    *("full speed",) * 9,
    *("shake",) * 6,
    *("at a limit",) * 6,
    *("beyond the limits",) * 3,
    *("overflow",) * 3,
    *("nothing new",) * 3,
    *("dt tiny",) * 3,
    *("stale",) * 3,
    *REFUSED * 3,
    # Long ones.
    "dt huge",
    "of the future",
)


def altered(rng: np.random.Generator, knots: Knots) -> Knots:
    """Return the trajectory with something wrong with it, or hardly so."""
    values = {
        name: np.array(getattr(knots, name))
        for name in ("times_ns", "positions", "velocities", "accelerations")
    }
    start_ns, names = knots.start_ns, knots.joint_names
    what = rng.integers(9)
    name = str(rng.choice(["positions", "velocities", "accelerations"]))
    row, joint = rng.integers(len(values[name])), rng.integers(values[name].shape[1])
    if what <= 2:
        values[name][row, joint] += 10.0 ** rng.uniform(-17, 0) * rng.choice([-1.0, 1.0])
    elif what == 3:
        values[name] *= 1.0 + 10.0 ** rng.uniform(-16, 0)
    elif what == 4:
        values[name][row, joint] = rng.choice([np.nan, np.inf, 1e308])
    elif what == 5:
        values["times_ns"][row] += int(10 ** rng.uniform(0, 9)) * rng.choice([-1, 1])
    elif what == 6:
        start_ns += int(10 ** rng.uniform(0, 10)) * int(rng.choice([-1, 1]))
    elif what == 7:
        keep = slice(int(rng.integers(len(values["times_ns"]))), None)
        values = {key: value[keep] for key, value in values.items()}
    else:
        keep = slice(None, int(rng.integers(1, len(values["times_ns"]) + 1)))
        values = {key: value[keep] for key, value in values.items()}
    return Knots(names, start_ns, **values)


def message(plan: Plan) -> JointTrajectory:
    """Return the plan as the controller receives it."""
    rows = (plan.times_ns.tolist(), plan.positions, plan.velocities, plan.accelerations)
    points = tuple(TrajectoryPoint(*row) for row in zip(*rows, strict=True))
    return JointTrajectory(plan.start_ns, plan.joint_names, points)


class PlannerEpisode:
    """One robot, one history."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = np.random.default_rng([seed, number])
        rng = self.rng
        self.robot = str(rng.choice(list(ROBOTS), p=SHARES))
        # Joints are planned one by one, so few of them find most of what there is to find.
        joints = int(rng.choice([1, 2, 3, 7], p=[0.7, 0.24, 0.055, 0.005]))
        velocity, acceleration, jerk = (
            value * rng.uniform(0.7, 1.4, joints) for value in ROBOTS[self.robot]
        )
        low = rng.uniform(-3.0, -0.2, joints)
        high = rng.uniform(0.2, 3.0, joints)
        names = tuple(f"joint{j}" for j in range(joints))
        self.limits = Limits(names, low, high, velocity, acceleration, jerk)
        self.tracker = TRACKERS[rng.integers(len(TRACKERS))]
        home = rng.uniform(low, high)
        self.outside = bool(rng.random() < 0.1)  # woken up beyond a limit
        if self.outside:
            home = np.where(rng.random(joints) < 0.5, low - 0.05, high + 0.05)
        self.allowed = self.limits.widened_to(home)
        self.fast = rng.random() < 0.1
        self.period_ns = MS if self.fast else 10 * MS
        self.now = EPOCH + int(rng.integers(10**9))
        self.plan = Plan.hold(names, home, self.now)
        self.slowed: Retimed | None = None
        from_desired = bool(rng.random() < 0.5)
        self.controller = SampledController(
            home, self.period_ns, interpolate_from_desired_state=from_desired
        )
        self.emulated: TrajectoryController | None = None
        if number % EMULATED_EVERY == 0:
            config = ControllerConfig(
                names, self.period_ns, interpolate_from_desired_state=from_desired
            )
            self.emulated = TrajectoryController(config, home, np.zeros(joints))
        self.position, self.cycle_ns = home, self.now
        self.result = Result()
        self.references = np.empty((0, joints))

    def run(self, ticks: int) -> Result:
        for _ in range(ticks):
            self.tick()
        self.cycles(max(self.plan.end_ns, self.cycle_ns) + 100 * MS)
        if not np.array_equal(self.position, self.plan.positions[-1]):
            self.result.failures.append("the controller does not rest where the plan ends")
        return self.result

    def tick(self) -> None:
        rng, counts = self.rng, self.result.counts
        counts["ticks"] += 1
        earliest = self.now + CheckConfig().min_overlap_ns + int(rng.integers(1, 60)) * MS
        splice = splice_ns(self.plan, earliest) if rng.random() < 0.8 else earliest
        state = self.plan.state(splice)
        tail: Plan | None
        what = rng.random()
        if what < 0.1:
            counts["brakes"] += 1
            tail = brake(state, self.limits, start_ns=splice)
        elif what < 0.103:  # few, because they take long
            tail = None
            self.change_rate(self.running, splice, None)
        else:
            kind, names, start, dt, q = chunks(rng, self.limits, self.plan, self.now)
            try:
                tail = track(
                    Chunk(names, start, dt, q),
                    state,
                    self.limits,
                    start_ns=splice,
                    config=self.tracker,
                )
            except NoPlanError:
                tail = None
                counts["chunks without a plan"] += 1
            except MotionError:
                if kind not in REFUSED:
                    raise
                tail = None
                counts["chunks refused"] += 1
            else:
                if kind in REFUSED:
                    self.result.failures.append(f"a chunk with {kind} was planned")
                counts["chunks planned"] += 1
        if tail is not None:
            plan = overlap(self.plan, tail, cut_ns=self.now - 20 * MS)
            if rng.random() < 0.001:
                self.change_rate(plan, splice, splice)
            else:
                self.send(plan)
        until = self.now + int(rng.integers(1, 20 if self.fast else 100)) * MS
        self.cycles(until)
        self.now = until

    @property
    def running(self) -> Plan | Retimed:
        """What runs, as the result of a change of rate if it is one."""
        if self.slowed is not None and self.slowed.plan is self.plan:
            return self.slowed
        return self.plan

    def change_rate(self, plan: Plan | Retimed, splice: int, part: int | None) -> None:
        """Send a plan, the running one or a new one that leaves it at `part`, at another rate."""
        rng, counts = self.rng, self.result.counts
        counts["changes of rate"] += 1
        scale = float(rng.choice([1.0, 0.5, 0.1, rng.uniform(0.05, 1.0)]))
        absurd = bool(rng.random() < 0.1)
        if absurd:
            scale = float(rng.choice([0.0, -0.5, 1.1, np.nan, np.inf]))
        early = isinstance(plan, Retimed) and splice < plan.settled_ns
        try:
            if part is None:
                start = self.now - 20 * MS
            else:
                assert isinstance(plan, Plan)
                start, splice = plan.start_ns, splice_ns(plan, splice)
            state = plan.state(splice) if isinstance(plan, Plan) else None
            resting = state is not None and not (state.velocity.any() or state.acceleration.any())
            if isinstance(plan, Plan) and part is not None and resting:
                found = stretch(plan, scale, self.limits, from_ns=splice)
            else:
                found = retime(
                    plan,
                    scale,
                    self.limits,
                    splice_ns=splice,
                    cut_ns=start,
                    change_ns=int(rng.integers(100, 1500)) * MS,
                    deviation=10.0 ** rng.uniform(-6, -1),
                )
        except NoPlanError:
            counts["changes of rate without a plan"] += 1
            return
        except MotionError:
            if not (absurd or early):
                raise
            counts["changes of rate refused"] += 1
            return
        if absurd or early:
            self.result.failures.append(f"a change of the rate to {scale} was planned")
            return
        self.send(found.plan)
        self.slowed = found

    def send(self, plan: Plan) -> None:
        """Pass the plan, or something made of it, through the gate and on to the controller."""
        rng, counts = self.rng, self.result.counts
        violations = check(plan, self.plan, self.limits, now_ns=self.now)
        if violations:
            if self.outside and not limit_violations(plan, self.allowed):
                # A plan that began outside may come in and go out again as far as it was. Once the
                # arm is inside the gate takes no other that does so, nor a brake that has to.
                counts["refused on the way in"] += 1
                return
            self.result.failures.append(f"the gate refused a plan of the planner: {violations[0]}")
            return
        if rng.random() < 0.15:
            knots = altered(rng, plan)
            counts["altered"] += 1
            if not check(knots, self.plan, self.limits, now_ns=self.now):
                counts["altered, but let through"] += 1
                # What the gate lets through, `Plan` accepts.
                plan = Plan(**{each.name: getattr(knots, each.name) for each in fields(knots)})
        before, replaced, self.plan = self.now, self.plan, plan
        self.cycles(self.now + int(rng.integers(0, DELIVERY_MS)) * MS)
        self.now = max(self.now, self.cycle_ns - self.period_ns)
        at = max(before, self.now)
        rejection = self.controller.receive(plan, at)
        if self.emulated is not None:
            self.compare(rejection, self.emulated.receive(message(plan), at))
        if not rejection:
            return
        self.plan = replaced
        if rejection == Reason.ENDS_IN_THE_PAST.value and plan.end_ns <= self.now:
            # A plan that only holds for less than the delivery takes. What runs goes on.
            counts["arrived after their end"] += 1
        else:
            self.result.failures.append(f"the controller rejected a plan: {rejection}")

    def compare(self, rejection: str, emulated: Rejection | None) -> None:
        """Hold a rejection against the emulation's."""
        expected = "" if emulated is None else emulated.reason.value
        if rejection != expected:
            self.result.failures.append(f"emulation: '{expected}', not '{rejection}'")

    def cycles(self, until_ns: int) -> None:
        """Run the controller up to a time, and judge what it commands."""
        times = np.arange(self.cycle_ns, until_ns + 1, self.period_ns)
        if times.size == 0:
            return
        table = self.controller.references(times)
        if self.emulated is not None:
            self.emulate(self.emulated, times, table)
        self.position = table[-1]
        self.cycle_ns += times.size * self.period_ns
        self.result.counts["cycles"] += times.size
        self.references = np.concatenate((self.references[-3:], table))
        self.judge()

    def emulate(
        self, controller: TrajectoryController, times: np.ndarray, table: np.ndarray
    ) -> None:
        """Hold the references against those of the emulation, cycle by cycle."""
        zero, position = np.zeros_like(self.position), self.position
        for t, row in zip(times.tolist(), table, strict=True):
            state = controller.update(t, self.period_ns, position, zero).state
            position = state.reference.positions
            if not (np.abs(position - row) <= SAME_REFERENCE * np.maximum(1.0, np.abs(row))).all():
                off = np.abs(position - row).max()
                self.result.failures.append(f"the emulation's reference differs by {off:.1e} rad")
            self.result.counts["cycles compared"] += 1

    def judge(self) -> None:
        limits, h = self.allowed, self.period_ns * 1e-9
        table = self.references
        span = limits.position_upper - limits.position_lower
        centre = (limits.position_upper + limits.position_lower) / 2.0
        values = {"position": 2.0 * np.abs(table - centre) / span}
        for kind, limit in (
            ("velocity", limits.velocity),
            ("acceleration", limits.acceleration),
            ("jerk", limits.jerk),
        ):
            table = (table[1:] - table[:-1]) / h
            values[kind] = np.abs(table) / limit
        for kind, ratios in values.items():
            worst = float(ratios.max(initial=0.0))
            if not (worst <= RATIO):
                self.result.failures.append(f"{kind} is {worst:.6f} of its limit")
            self.result.worst[kind] = max(self.result.worst[kind], worst)


def episode(seed: int, number: int, ticks: int) -> Result:
    """Run one episode; every exception is a failure."""
    one = PlannerEpisode(seed, number)
    try:
        # Numbers as large as they get are part of it; what overflows must be refused all the same.
        with np.errstate(all="ignore"):
            result = one.run(ticks)
    except Exception:
        result = one.result
        result.failures.append(traceback.format_exc())
    result.failures = [
        f"--seed {seed} --episode {number} ({one.robot}): {line}" for line in result.failures
    ]
    result.counts["episodes"] = 1
    return result


def run(seed: int, ticks: int, pool: Executor | None = None) -> Result:
    """Run the episodes of one seed, at most `TICKS_A_RUN` ticks."""
    numbers = range(-(-ticks // TICKS_AN_EPISODE))
    sizes = [min(TICKS_AN_EPISODE, ticks - TICKS_AN_EPISODE * n) for n in numbers]
    seeds = [seed] * len(sizes)
    total = Result()
    results: Iterable[Result] = map(episode, seeds, numbers, sizes)
    if pool is not None:
        results = pool.map(episode, seeds, numbers, sizes, chunksize=10)
    for result in results:
        for line in result.failures:
            print(line, flush=True)
        total += result
    return total


# -- runs that add up -----------------------------------------------------------------------------

COUNTS = (
    *("ticks", "episodes", "cycles", "cycles compared", "chunks planned", "chunks refused"),
    *("chunks without a plan", "brakes", "altered", "altered, but let through"),
    *("changes of rate", "changes of rate refused", "changes of rate without a plan"),
    *("refused on the way in", "arrived after their end"),
)
HEADER = ("seed", "code", *COUNTS, *KINDS, "failures", "seconds")


def code() -> str:
    """Return a short hash of all that is fuzzed."""
    package = Path(inspect.getfile(Plan)).parent
    names = ("brake", "check", "errors", "limits", "overlap", "plan", "retime", "tracker")
    text = b"".join((package / f"{name}.py").read_bytes() for name in names)
    return hashlib.sha256(text).hexdigest()[:8]


def line_of(seed: int, result: Result, seconds: float) -> list[str]:
    """Return the file's line for one run."""
    return [
        *(str(seed), code()),
        *(str(result.counts[name]) for name in COUNTS),
        *(f"{result.worst[kind]:.9f}" for kind in KINDS),
        *(str(len(result.failures)), f"{seconds:.0f}"),
    ]


def report(runs: list[dict[str, str]]) -> str:
    """Return what all runs together did and saw, in lines."""
    sums = {name: sum(int(run[name]) for run in runs) for name in COUNTS}
    lines = [f"{name}: {sums[name]}" for name in sorted(COUNTS, key=lambda n: -sums[n])]
    lines += [f"largest {kind} / limit: {max(float(r[kind]) for r in runs):.7f}" for kind in KINDS]
    lines.append(f"failures: {sum(int(run['failures']) for run in runs)}")
    return "\n".join(lines)


def summary(runs: list[dict[str, str]]) -> str:
    """Return the block of the page: the sum, and of which runs of which code."""
    seeds = sorted({int(run["seed"]) for run in runs})
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and spans[-1][1] == seed - 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    named = ", ".join(f"{a} to {b}" if b > a else str(a) for a, b in spans)
    present = sum(int(run["ticks"]) for run in runs if run["code"] == code())
    total = sum(int(run["ticks"]) for run in runs)
    hours = sum(float(run["seconds"]) for run in runs) / 3600.0
    text = f"**{total:,} ticks, {sum(int(run['failures']) for run in runs)} failures**: "
    text += f"{len(runs)} runs, seeds {named}, {hours:.1f} hours on a shared machine; {machine()}."
    if present < total:
        text += (
            f" {present:,} of the ticks were run with the present code of smooth_motion, "
            "the others with earlier states of it."
        )
    text += " Every run is in [fuzz_planner.csv](fuzz_planner.csv)."
    return f"{text}\n\n```\n{report(runs)}\n```"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=TICKS_A_RUN)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--episode", type=int, help="run only this one of the first run")
    parser.add_argument("--results", type=Path, help="CSV file with one line a run, gone on with")
    parser.add_argument(
        "--write", action="store_true", help="the sum of the file into docs/measurements"
    )
    given = parser.parse_args()
    if given.ticks < 1 or given.jobs < 1:
        parser.error("--ticks and --jobs must be 1 or more")
    if given.write and not given.results:
        parser.error("--write needs --results")
    if given.episode is not None:
        result = episode(given.seed, given.episode, TICKS_AN_EPISODE)
        print("\n".join(result.failures) or "no failure")
        return 1 if result.failures else 0
    runs = runs_file.read(given.results, HEADER) if given.results else []
    known = {int(run["seed"]) for run in runs}
    with ProcessPoolExecutor(given.jobs) if given.jobs > 1 else nullcontext() as pool:
        for number in range(-(-given.ticks // TICKS_A_RUN)):
            seed, began = given.seed + number, time.monotonic()
            if seed in known:
                continue
            ticks = min(TICKS_A_RUN, given.ticks - number * TICKS_A_RUN)
            line = line_of(seed, run(seed, ticks, pool), time.monotonic() - began)
            runs.append(dict(zip(HEADER, line, strict=True)))
            if given.results:
                runs_file.append(given.results, HEADER, line)
            told = f"seed {seed}: {ticks} ticks, {runs[-1]['failures']} failures"
            print(f"{told}, {runs[-1]['seconds']} s", file=sys.stderr, flush=True)
    print(report(runs))
    if given.write:
        fill(DOCS / "fuzz_planner.md", {"run": summary(runs)})
    return 1 if any(int(run["failures"]) for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
