# SPDX-License-Identifier: Apache-2.0
"""Draw an intervention: a joint becomes loose, the motion slower along its path, and fast again.

PYTHONPATH=. python src/smoothness_monitor/docs/plot_slowdown.py, at the top of a checkout
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from smooth_motion import Chunk, command_jerk, overlap, track
from smooth_motion.messages import Trajectory
from smoothness_monitor.params import load_config
from verification.faults.campaign import make_scene
from verification.faults.clock import MS, S
from vla_contract.robot import load_robot
from vla_sim.faults import operations as op

CONFIG = Path(__file__).resolve().parents[3] / "config"
PLAN, COMMAND, SHADE, LEVEL = "#c8702a", "#1f5fa8", "#e8eef6", "#999999"


def main() -> None:
    """Let it happen on the bench of the fault campaign, and draw it."""
    robot = load_robot(CONFIG / "robots" / "so101" / "robot.yaml")
    scene = make_scene(robot, load_config(CONFIG / "robots" / "so101" / "monitor.yaml"), seed=3)
    bench = scene.bench
    bench.get_ready()
    bench.run(0.3)

    # One long plan, a figure of eight of two joints, and nobody who sends another one.
    splice = bench.now_ns + 300 * MS
    running = bench.policy_running.plan
    rest = running.state(splice)
    x = np.linspace(0.0, 1.0, 200)[:, None]
    turn = 4.0 * np.pi * (x - np.sin(2.0 * np.pi * x) / (2.0 * np.pi))
    away = np.hstack((0.5 * np.sin(turn), 0.25 * np.sin(2.0 * turn), *[0.0 * x] * 3))
    chunk = Chunk(bench.names, splice, 33_333_333, rest.position + away)
    plan = overlap(
        running,
        track(chunk, rest, robot.limits, start_ns=splice),
        cut_ns=bench.now_ns - 20 * MS,
    )
    bench.give(Trajectory.of(plan), plan)
    bench.run(2.0)
    scene.on("joint_states", op.Rattle(bench.names[0], 0.008, 6.0, 2.5))

    seconds, measured = [], []
    while bench.now_ns < plan.end_ns + 2 * S:
        bench.run(0.01)
        seconds.append((bench.now_ns - splice) / S)
        measured.append(bench.monitor.snapshot().measured_jerk[0])

    times = np.array([t for t, _ in bench.references])
    command = np.stack([position for _, position in bench.references])
    shown = times >= splice - S // 5
    times, command = times[shown], command[shown]
    t = (times - splice) / S
    planned = plan.sample(times)
    velocity = np.gradient(command, t, axis=0)
    found_at, jerk = command_jerk(times, command)
    slowed, restored = ((at - splice) / S for at, _ in bench.slowed[:2])

    figure, axes = plt.subplots(4, 1, figsize=(8.0, 9.6), layout="constrained")
    path, *over_time = axes
    path.plot(*planned.position[:, :2].T, color=PLAN, lw=5.0, alpha=0.45)
    path.plot(*command[:, :2].T, color=COMMAND, lw=1.2)
    every = np.searchsorted(t, np.arange(0.0, t[-1], 0.1))
    path.plot(*command[every, :2].T, ".", color=COMMAND, ms=4)
    path.set(xlabel=f"{bench.names[0]}, rad", ylabel=f"{bench.names[1]}, rad", aspect="equal")
    for axis in over_time:
        axis.axvspan(slowed, restored, color=SHADE, zorder=0)
        axis.set_xlim(t[0], t[-1])
    speed, jerks, rough = over_time
    for row, color, words in (
        (planned.velocity, PLAN, "the plan as it was sent"),
        (velocity, COMMAND, "the command"),
    ):
        speed.plot(t, np.linalg.norm(row, axis=1), color=color, lw=1.6, label=words)
    speed.set_ylabel("speed, rad/s")
    jerks.plot(t[found_at], jerk[:, 0], color=COMMAND, lw=1.0)
    for bound in (-robot.limits.jerk[0], robot.limits.jerk[0]):
        jerks.axhline(bound, color=LEVEL, lw=1.0, ls=(0, (4, 3)))
    jerks.set_ylabel("jerk of the command,\nrad/s³")
    rough.plot(seconds, np.abs(measured), color=COMMAND, lw=1.0)
    measured_jerk = bench.monitor.detectors.measured_jerk
    levels = (
        ("stops", measured_jerk.threshold[0]),
        ("slows down", measured_jerk.level(bench.config.slow_jerk_factor)[0]),
    )
    for words, level in levels:
        rough.axhline(level, color=LEVEL, lw=1.0, ls=(0, (4, 3)))
        rough.text(t[-1], level, words, ha="right", va="bottom", color="#555555")
    rough.set(ylabel="measured jerk,\nrad/s³", xlabel="time, s (shaded: slowed down)")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    speed.legend(frameon=False, loc="upper right")
    figure.align_ylabels(over_time)
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "docs/slowdown.png", dpi=90)
    found = bench.monitor.smoothness().interventions
    print(
        f"slowed down {restored - slowed:.1f} s; off the path by {found.path_deviation:.1e} rad "
        f"at most; peak jerk of the command {bench.peak_jerk_ratio():.4f} of its limit; "
        f"{bench.state.name}"
    )


if __name__ == "__main__":
    main()
