# SPDX-License-Identifier: Apache-2.0
"""How well, how smoothly and how fast smooth_motion follows a policy's chunks.

    python benchmarks/smooth_motion_tracking.py [--seconds 30]

A simulated policy sees minimum-jerk moves with noise on every row and an offset on every chunk.
It sends a chunk of 50 rows at 30 Hz each 0.2 to 0.4 s, 0.1 s late. Each becomes a plan that
overlaps the running one. "raw" is what a controller would command if it joined the rows of the
newest chunk by straight lines from when it arrives; its jerk is the third difference at 100 Hz.
Times are CPU time of the thread, so that other work on the machine does not count.
"""

import argparse
import platform
import time

import numpy as np
from franka import FER

from smooth_motion import (
    Chunk,
    CommandJerk,
    Limits,
    Plan,
    TrackerConfig,
    check,
    overlap,
    splice_ns,
    track,
)

SECOND = 1_000_000_000
ROW = 33_333_333
TICK = 10_000_000

ARMS = {
    "SO-101 limits, 5 joints": Limits(
        ("pan", "lift", "elbow", "flex", "roll"),
        [-1.92, -1.75, -1.69, -1.66, -2.74],
        [1.92, 1.75, 1.69, 1.66, 2.84],
        [2.0] * 5,
        [10.0] * 5,
        [100.0] * 5,
    ),
    "Panda limits, 7 joints": FER,
}


class Moves:
    """Two seconds of rest, then minimum-jerk moves between random places, 0.8 to 2 s each."""

    def __init__(self, rng: np.random.Generator, limits: Limits, seconds: float) -> None:
        middle = (limits.position_lower + limits.position_upper) / 2.0
        self.times, self.places = [0.0, 2.0], [middle, middle]
        while self.times[-1] < seconds:
            self.times.append(self.times[-1] + rng.uniform(0.8, 2.0))
            self.places.append(middle + rng.uniform(-0.35, 0.35, middle.size))

    def __call__(self, t_ns: np.ndarray) -> np.ndarray:
        t = np.clip(np.asarray(t_ns) / SECOND, 0.0, self.times[-1])
        i = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 2)
        times, places = np.array(self.times), np.array(self.places)
        s = ((t - times[i]) / (times[i + 1] - times[i]))[:, None]
        s = s**3 * (10.0 - 15.0 * s + 6.0 * s**2)
        return places[i] + s * (places[i + 1] - places[i])


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def command_jerk(limits: Limits, times: np.ndarray, positions: np.ndarray) -> np.ndarray:
    estimator = CommandJerk(limits.joint_names)
    results = (estimator.update(int(t), p) for t, p in zip(times, positions, strict=True))
    return np.array([jerk for jerk in results if jerk is not None])


def episode(limits: Limits, cutoff_hz: float, noise: float, offset: float, seconds: float) -> dict:
    """Run one policy on one arm and return the figures of a table row."""
    rng = np.random.default_rng(0)
    truth = Moves(rng, limits, seconds + 4.0)
    config = TrackerConfig(cutoff_hz=cutoff_hz)
    middle = (limits.position_lower + limits.position_upper) / 2.0
    running = Plan.hold(limits.joint_names, middle, 0)
    now, times, commanded, raw, jerk = SECOND, [], [], [], []
    while now < (1 + seconds) * SECOND:
        after = now + int(rng.uniform(0.2, 0.4) * SECOND) // TICK * TICK
        seen = now - SECOND // 10
        rows_ns = seen + ROW * np.arange(50)
        rows = truth(rows_ns) + rng.normal(0.0, noise, (50, middle.size))
        rows += offset * rng.uniform(-1.0, 1.0, middle.size)
        splice = splice_ns(running, now + 130_000_000)
        chunk = Chunk(limits.joint_names, seen, ROW, rows)
        tail = track(chunk, running.state(splice), limits, start_ns=splice, config=config)
        plan = overlap(running, tail, cut_ns=now - 20_000_000)
        violations = check(plan, running, limits, now_ns=now)
        if violations:
            raise SystemExit(f"the check refused a plan: {violations[0]}")
        running = plan
        ticks = np.arange(now, after, TICK)
        times.append(ticks)
        sample = running.sample(ticks)
        commanded.append(sample.position)
        jerk.append(sample.jerk)
        raw.append(np.stack([np.interp(ticks, rows_ns, column) for column in rows.T], axis=1))
        now = after
    times, commanded = np.concatenate(times), np.vstack(commanded)
    wanted = truth(times)
    lags = range(-100, 101, 10)
    by_lag = [rms(commanded - truth(times - lag * 1_000_000)) for lag in lags]
    return {
        "error": 1e3 * rms(commanded - wanted),
        "lag": lags[int(np.argmin(by_lag))],
        "jerk": rms(np.vstack(jerk)),
        "peak": float((np.abs(command_jerk(limits, times, commanded)) / limits.jerk).max()),
        "raw_error": 1e3 * rms(np.vstack(raw) - wanted),
        "raw_jerk": rms(command_jerk(limits, times, np.vstack(raw))),
    }


def quality(seconds: float) -> None:
    print(
        "| limits | noise, offset, mrad | cutoff, Hz | error RMS, mrad | lag, ms | "
        "jerk RMS, rad/s^3 | peak command jerk / limit | raw error, mrad | raw jerk RMS |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, limits in ARMS.items():
        for noise, offset in ((0.0, 0.0), (0.005, 0.0), (0.005, 0.05), (0.02, 0.2)):
            for cutoff in (1.5, 2.0, 3.0):
                row = episode(limits, cutoff, noise, offset, seconds)
                print(
                    f"| {name} | {1e3 * noise:.0f}, {1e3 * offset:.0f} | {cutoff} "
                    f"| {row['error']:.1f} | {row['lag']} | {row['jerk']:.1f} "
                    f"| {row['peak']:.6f} | {row['raw_error']:.1f} | {row['raw_jerk']:.0f} |",
                    flush=True,
                )


def speed(repeats: int = 400) -> None:
    print(
        "| limits | knots | track, ms a joint: p50 | p99 | overlap, ms: p50 | p99 "
        "| check, ms: p50 | p99 |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, limits in ARMS.items():
        joints = len(limits.joint_names)
        middle = (limits.position_lower + limits.position_upper) / 2.0
        for rows in (20, 30, 45, 60):
            rng = np.random.default_rng(1)
            running = Plan.hold(limits.joint_names, middle, 0)
            now, spent, knots = SECOND, [], 0
            for repeat in range(repeats + 1):
                splice = splice_ns(running, now + 130_000_000)
                state = running.state(splice)
                walk = np.cumsum(rng.normal(0.0, 0.02, (rows, joints)), axis=0)
                chunk = Chunk(
                    limits.joint_names,
                    splice,
                    ROW,
                    state.position + rng.uniform(-0.2, 0.2, joints) + walk,
                )
                clock = [time.thread_time()]
                tail = track(chunk, state, limits, start_ns=splice)
                clock.append(time.thread_time())
                plan = overlap(running, tail, cut_ns=now - 20_000_000)
                clock.append(time.thread_time())
                if check(plan, running, limits, now_ns=now):
                    raise SystemExit("the check refused a plan")
                clock.append(time.thread_time())
                if repeat:  # the first sets the solver up
                    spent.append(np.diff(clock) * 1e3)
                running, knots = plan, len(tail.times_ns)
                now += int(rng.uniform(0.1, 0.4) * SECOND)
            p50, p99 = np.percentile(spent, [50, 99], axis=0)
            print(
                f"| {name} | {knots} | {p50[0] / joints:.2f} | {p99[0] / joints:.2f} "
                f"| {p50[1]:.2f} | {p99[1]:.2f} | {p50[2]:.2f} | {p99[2]:.2f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="length of an episode")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}\n")
    quality(arguments.seconds)
    print()
    speed()


if __name__ == "__main__":
    main()
