# SPDX-License-Identifier: Apache-2.0
"""What estimators of jerk make of a 12-bit encoder: noise, delay, false trips, detection.

    python benchmarks/jerk_estimators.py [--minutes 30] [--write]

The nominal motion is that of plans that follow jumping chunks within 100 rad/s^3, which they use
up often; each joint is read through an encoder of 4096 ticks. The faults are laid on top of it.
`--write` puts the tables into docs/measurements/jerk_estimators.md.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pages import DOCS, fill, machine, table

from smooth_motion import (
    Chunk,
    CommandJerk,
    KalmanJerk,
    Limits,
    Plan,
    SavitzkyGolayJerk,
    overlap,
    splice_ns,
    track,
)

SECOND = 1_000_000_000
TICKS = 4096
QUANTUM = 2.0 * np.pi / TICKS
SIGMA = QUANTUM / np.sqrt(12.0)
J = 100.0
JOINTS = 5
NEEDED, OF = 3, 5  # a trip is this many estimates of the newest so many
TRIALS = 400
LEAD_S, AFTER_S = 2.0, 1.0  # of a fault


@dataclass(frozen=True)
class EstimatorKind:
    """An estimator and what theory says of it."""

    name: str
    rate: int
    make: Callable
    sigma: float  # closed form, rad/s^3
    delay: float  # closed form, s

    def build(self, joints: int):
        return self.make([f"joint {j}" for j in range(joints)])


class Raw(CommandJerk):
    """The third difference of what the encoder says."""

    def __init__(self, names, dt: float) -> None:
        super().__init__(names)
        self.noise_floor = float(np.sqrt(20.0) * SIGMA / dt**3)
        self.quantisation_bound = 8.0 * QUANTUM / 2.0 / dt**3
        self.delay_s, self.jerk_gain = 1.5 * dt, 1.0


def raw(rate: int) -> EstimatorKind:
    dt = 1.0 / rate
    return EstimatorKind(
        "third difference", rate, lambda n: Raw(n, dt), np.sqrt(20.0) * SIGMA / dt**3, 1.5 * dt
    )


def golay(rate: int, n: int) -> EstimatorKind:
    dt = 1.0 / rate
    squares = n * (n**2 - 1) * (n**2 - 4) * (n**2 - 9) / 2800.0
    return EstimatorKind(
        f"Savitzky-Golay, N = {n}",
        rate,
        lambda names: SavitzkyGolayJerk(names, n, dt, TICKS),
        6.0 * SIGMA / dt**3 / np.sqrt(squares),
        (n - 1) / 2.0 * dt,
    )


def kalman(rate: int, density: float) -> EstimatorKind:
    dt = 1.0 / rate
    r = SIGMA**2 * dt
    w = (density / np.sqrt(r)) ** 0.25
    return EstimatorKind(
        f"Kalman, q = {density:g}",
        rate,
        lambda names: KalmanJerk(names, density, dt, TICKS),
        np.sqrt(r * w**7 / (8.0 * np.sin(np.pi / 8.0))),
        2.0 * np.cos(np.pi / 8.0) * np.sqrt(2.0) / w,
    )


KINDS = [
    raw(50),
    *(golay(50, n) for n in (7, 9, 11, 15, 21)),
    *(kalman(50, q) for q in (100.0, 300.0, 1000.0)),
    raw(100),
    *(golay(100, n) for n in (9, 11, 15, 21, 31)),
    *(kalman(100, q) for q in (100.0, 300.0, 1000.0, 3000.0)),
]


def nominal(minutes: float) -> np.ndarray:
    """Return positions (N, JOINTS) of the motion, at 100 Hz."""
    rng = np.random.default_rng(0)
    names = tuple(f"joint {j}" for j in range(JOINTS))
    ones = np.ones(JOINTS)
    limits = Limits(names, -1.9 * ones, 1.9 * ones, 2.0 * ones, 10.0 * ones, J * ones)
    running, now, parts = Plan.hold(names, 0.0 * ones, 0), SECOND, []
    end = now + round(minutes * 60 * SECOND)
    while now < end:
        splice = splice_ns(running, now + 120_000_000)
        state = running.state(splice)
        walk = np.cumsum(rng.normal(0.0, 0.02, (40, JOINTS)), axis=0)
        around = np.clip(state.position + rng.uniform(-0.3, 0.3, JOINTS), -1.2, 1.2)
        chunk = Chunk(names, splice, 33_333_333, around + walk)
        running = overlap(running, track(chunk, state, limits, start_ns=splice), cut_ns=now)
        after = now + int(rng.integers(20, 60)) * SECOND // 100
        parts.append(running.sample(np.arange(now, after, SECOND // 100)).position)
        now = after
    return np.vstack(parts)


def estimates(kind: EstimatorKind, positions: np.ndarray) -> np.ndarray:
    """Return the estimates (N, joints) at every sample; NaN where there is none."""
    estimator = kind.build(positions.shape[1])
    step = SECOND // kind.rate
    result = np.full(positions.shape, np.nan)
    for k, row in enumerate(positions):
        jerk = estimator.update(k * step, row)
        if jerk is not None:
            result[k] = jerk
    return result


def rounded(positions: np.ndarray) -> np.ndarray:
    return np.round(positions / QUANTUM) * QUANTUM


def tripped(values: np.ndarray, threshold: float) -> np.ndarray:
    """Return at which samples (N, joints) `NEEDED` of the newest `OF` are above the threshold."""
    above = np.cumsum(np.vstack((np.zeros((OF, values.shape[1])), np.abs(values) > threshold)), 0)
    return (above[OF:] - above[:-OF] >= NEEDED) & (np.abs(values) > threshold)


def trips_an_hour(values: np.ndarray, threshold: float, rate: int) -> float:
    """Return how often the arm would stop: no trip counts within a second of another."""
    at = np.flatnonzero(tripped(values, threshold).any(axis=1))
    count, last = 0, -np.inf
    for sample in at:
        if sample - last > rate:
            count, last = count + 1, sample
    return count / (len(values) / rate / 3600.0)


def jump(t: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """A command steps by 0.1 rad; the servo, critically damped at 40 rad/s, follows."""
    s = 40.0 * np.maximum(t, 0.0)[:, None]
    return positions + 0.1 * (1.0 - (1.0 + s) * np.exp(-s))


def shake(t: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The joint starts to shake by 20 mrad at 5 Hz."""
    return positions + 0.02 * (np.sin(2.0 * np.pi * 5.0 * np.maximum(t, 0.0)))[:, None]


def stall(t: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The joint runs into something and stands still within 50 ms."""
    onset = int(np.searchsorted(t, 0.0))
    speed = np.gradient(positions, t[1] - t[0], axis=0)
    fade = np.clip(1.0 - t / 0.05, 0.0, 1.0)[:, None]
    travel = np.cumsum(speed * fade, axis=0) * (t[1] - t[0])
    stopped = positions[onset] + travel - travel[onset]
    return np.where((t > 0.0)[:, None], stopped, positions)


FAULTS = {"jump": jump, "shake": shake, "stall": stall}


def faulty(positions: np.ndarray) -> dict[str, np.ndarray]:
    """Return for each fault (N, TRIALS) positions at 1 kHz, the fault at `LEAD_S`."""
    rng = np.random.default_rng(1)
    fine = np.arange(-LEAD_S, AFTER_S, 0.001)
    coarse = np.arange(-LEAD_S - 0.1, AFTER_S + 0.1, 0.01)
    speed = np.gradient(positions, 0.01, axis=0)
    traces: list[np.ndarray] = []
    while len(traces) < TRIALS:
        k, j = int(rng.integers(300, len(positions) - 300)), int(rng.integers(JOINTS))
        if abs(speed[k, j]) > 0.3:
            rows = positions[k - 210 : k - 210 + coarse.size, j]
            # Smooth between the samples, so that 1 kHz adds no corners.
            traces.append(_cubic(coarse, rows, fine))
    base = np.array(traces).T
    return {name: fault(fine, base) for name, fault in FAULTS.items()}


def _cubic(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    from scipy.interpolate import CubicSpline

    return np.asarray(CubicSpline(x, y)(at))


def detection(kind: EstimatorKind, traces: np.ndarray, threshold: float) -> str:
    """Return the median and the 95th percentile of the delay in ms, and the share found."""
    every = 1000 // kind.rate
    values = estimates(kind, rounded(traces[::every]))
    found = tripped(values, threshold)[round(LEAD_S * kind.rate) :]
    delays = np.where(found.any(axis=0), found.argmax(axis=0) / kind.rate, np.nan)
    share = np.isfinite(delays).mean()
    if share == 0.0:
        return "none"
    late = np.nanpercentile(delays, [50, 95]) * 1e3
    text = f"{late[0]:.0f}, {late[1]:.0f}"
    return text if share == 1.0 else f"{text} ({np.floor(100 * share):.0f} %)"


def digits(value: float) -> str:
    return f"{value:.0f}" if value >= 30 else f"{value:.1f}" if value >= 3 else f"{value:.2f}"


def run(minutes: float) -> dict[str, str]:
    """Return the tables."""
    truth = nominal(minutes)
    faults = faulty(truth)
    properties, trips, found = [], [], []
    for kind in KINDS:
        own = truth[:: 100 // kind.rate]
        clean, seen = estimates(kind, own), estimates(kind, rounded(own))
        filled = np.isfinite(seen).all(axis=1)
        error = seen[filled] - clean[filled]
        estimator = kind.build(1)
        moving = np.abs(np.gradient(own, 1.0 / kind.rate, axis=0))[filled] > 0.3
        b = J + 2.0 * estimator.noise_floor
        a = estimator.jerk_gain * J + estimator.quantisation_bound
        properties.append(
            [
                kind.name,
                kind.rate,
                f"{digits(kind.sigma)} / {digits(estimator.noise_floor)} / "
                f"{digits(float(np.std(error[moving])))}",
                f"{1e3 * kind.delay:.0f} / {1e3 * estimator.delay_s:.0f}",
                f"{digits(estimator.quantisation_bound)} / {digits(float(np.abs(error).max()))}",
                f"{estimator.jerk_gain:.2f}",
            ]
        )
        trips.append([kind.name, kind.rate])
        for threshold in (J, b, a):
            rate = trips_an_hour(seen, threshold, kind.rate)
            trips[-1].append(f"{rate:.0f} ({digits(threshold)})")
        found.append([kind.name, kind.rate])
        for threshold in (b, a):
            found[-1] += [detection(kind, traces, threshold) for traces in faults.values()]
        print(" | ".join(map(str, (*properties[-1], *trips[-1][2:], *found[-1][2:]))), flush=True)
    names = [f"{name} ({threshold})" for threshold in ("B", "A") for name in FAULTS]
    return {
        "properties": table(
            [
                "estimator",
                "Hz",
                "noise: closed form / of the filter / seen",
                "delay, ms: closed form / of the filter",
                "bound / largest seen",
                "gain",
            ],
            properties,
        ),
        "trips": table(["estimator", "Hz", "limit", "B", "A"], trips),
        "detection": table(["estimator", "Hz", *names], found),
        "run": (
            f"`python benchmarks/jerk_estimators.py --minutes {minutes:g}`: {minutes:g} minutes "
            f"of {JOINTS} joints, {TRIALS} faults of each kind; {machine()}."
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="of nominal motion")
    parser.add_argument("--write", action="store_true", help="into docs/measurements")
    arguments = parser.parse_args()
    blocks = run(arguments.minutes)
    if arguments.write:
        fill(DOCS / "jerk_estimators.md", blocks)
    else:
        print("\n\n".join(blocks.values()))


if __name__ == "__main__":
    main()
