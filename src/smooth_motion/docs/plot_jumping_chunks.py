# SPDX-License-Identifier: Apache-2.0
"""Draw what smooth_motion makes of chunks that contradict each other.

python docs/plot_jumping_chunks.py [jumping_chunks.png]
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from smooth_motion import Chunk, Limits, Plan, overlap, splice_ns, track

SECOND = 1_000_000_000
ROW = 33_333_333
LIMITS = Limits(("joint",), [-1.92], [1.92], [2.0], [10.0], [100.0])
PLAN, CHUNK, LIMIT = "#1f5fa8", "#c8702a", "#999999"


def main() -> None:
    """Plan five chunks, 0.4 s apart, each 0.2 rad off at most, and draw the result."""
    rng = np.random.default_rng(4)
    running = Plan.hold(LIMITS.joint_names, [0.0], 0)
    times = np.arange(0, 3 * SECOND, SECOND // 500)
    commanded = [np.zeros((times.size, 1)) for _ in range(4)]
    figure, axes = plt.subplots(4, 1, figsize=(8.0, 8.4), sharex=True, layout="constrained")
    for now in range(2 * SECOND // 10, 2 * SECOND, 4 * SECOND // 10):
        rows_ns = now + ROW * np.arange(30)
        wave = 0.5 * np.sin(2.0 * np.pi * 0.35 * rows_ns / SECOND)
        rows = wave + rng.uniform(-0.2, 0.2) + rng.normal(0.0, 0.01, 30)
        splice = splice_ns(running, now + 120_000_000)
        chunk = Chunk(LIMITS.joint_names, now, ROW, rows[:, None])
        tail = track(chunk, running.state(splice), LIMITS, start_ns=splice)
        running = overlap(running, tail, cut_ns=now - 20_000_000)
        after = times >= now
        for values, sampled in zip(commanded, running.sample(times[after]), strict=True):
            values[after] = sampled
        axes[0].plot(rows_ns / SECOND, rows, ".-", ms=4, lw=0.7, color=CHUNK, alpha=0.75)
        for axis in axes:
            axis.axvline(now / SECOND, color="#dddddd", lw=0.8, zorder=0)
    bounds = (None, LIMITS.velocity[0], LIMITS.acceleration[0], LIMITS.jerk[0])
    labels = ("position, rad", "velocity, rad/s", "acceleration, rad/s²", "jerk, rad/s³")
    for axis, values, bound, label in zip(axes, commanded, bounds, labels, strict=True):
        axis.plot(times / SECOND, values, color=PLAN, lw=1.8)
        axis.set_ylabel(label)
        axis.spines[["top", "right"]].set_visible(False)
        if bound is not None:
            for sign in (-1.0, 1.0):
                axis.axhline(sign * bound, color=LIMIT, lw=1.0, ls=(0, (4, 3)))
    axes[0].plot([], [], ".-", color=CHUNK, label="chunks, as the policy sent them")
    axes[0].plot([], [], color=PLAN, lw=1.8, label="the command")
    axes[1].plot([], [], color=LIMIT, lw=1.0, ls=(0, (4, 3)), label="limits")
    axes[0].legend(frameon=False, loc="lower left")
    axes[1].legend(frameon=False, loc="lower right")
    axes[-1].set_xlabel("time, s (a line where a chunk arrives)")
    figure.align_ylabels(axes)
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "jumping_chunks.png", dpi=90)


if __name__ == "__main__":
    main()
