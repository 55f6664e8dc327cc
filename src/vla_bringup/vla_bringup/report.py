# SPDX-License-Identifier: Apache-2.0
"""Draw a recording: positions, jerk against its limit, chunks and the monitor on one time axis."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from vla_bringup.recording import GraphRecording

STATE_NAMES = ("STARTUP", "READY", "STOPPING", "STOPPED_LATCHED", "FAULT")
STATE_COLOURS = ("#c9ccd1", "#8fce9f", "#f2b84b", "#e2685c", "#8e2a5e")


def write_report(recording: GraphRecording, path: Path, title: str) -> None:
    """Write the picture of a run.

    Args:
        recording: needs at least one sample of the reference; else nothing is written.
        path: PNG file.
        title: heading.
    """
    if not recording.reference_ns:
        return
    origin = recording.reference_ns[0]
    figure, axes = plt.subplots(
        4,
        1,
        figsize=(13, 9.5),
        sharex=True,
        constrained_layout=True,
        gridspec_kw={"height_ratios": [3, 3, 1.3, 0.6]},
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    _draw_positions(axes[0], recording, origin)
    _draw_jerk(axes[1], recording, origin)
    _draw_chunks(axes[2], recording, origin)
    _draw_monitor(axes[3], recording, origin)
    axes[-1].set_xlabel("time, s")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _seconds(stamps_ns: list[int], origin: int) -> np.ndarray:
    return (np.asarray(stamps_ns, dtype=np.int64) - origin) * 1e-9


def _draw_positions(axis: plt.Axes, recording: GraphRecording, origin: int) -> None:
    time = _seconds(recording.reference_ns, origin)
    reference = np.stack(recording.reference)
    for index, name in enumerate(recording.joint_names):
        axis.plot(time, reference[:, index], color=f"C{index}", lw=1.2, label=name)
    if recording.measured:
        measured = np.stack(recording.measured)
        time = _seconds(recording.measured_ns, origin)
        for index in range(measured.shape[1]):
            axis.plot(time, measured[:, index], color=f"C{index}", lw=0.7, ls=":")
    for stamp, phase in recording.phases:
        axis.axvline((stamp - origin) * 1e-9, color="#dddddd", lw=0.8, zorder=0)
        axis.annotate(
            phase,
            ((stamp - origin) * 1e-9, 1.0),
            xycoords=("data", "axes fraction"),
            rotation=60,
            fontsize=6,
            color="#888888",
        )
    low, high = axis.get_ylim()
    axis.set_ylim(low, high + 0.15 * (high - low))
    axis.set_ylabel("joint position, rad\n(dotted: measured)")
    axis.legend(loc="upper right", ncol=5, fontsize=8, frameon=False)


def _draw_jerk(axis: plt.Axes, recording: GraphRecording, origin: int) -> None:
    if recording.measured_jerk:
        ratio = np.max(np.abs(np.stack(recording.measured_jerk)) / recording.jerk_limit, axis=1)
        axis.plot(
            _seconds(recording.monitor_ns, origin),
            ratio,
            color="#b0b7c3",
            lw=0.9,
            label="measured (Savitzky-Golay), worst joint",
        )
    if recording.command_jerk:
        ratio = np.max(np.abs(np.stack(recording.command_jerk)) / recording.jerk_limit, axis=1)
        axis.plot(
            _seconds(recording.command_jerk_ns, origin),
            ratio,
            color="#2f6fb0",
            lw=0.9,
            label="commanded (third difference), worst joint",
        )
    axis.axhline(1.0, color="#c0392b", lw=1.0, ls="--", label="limit")
    axis.set_ylabel("|jerk| / limit")
    axis.set_ylim(0.0, max(1.25, 1.15 * axis.get_ylim()[1]))
    axis.legend(loc="upper right", ncol=3, fontsize=8, frameon=False)


def _draw_chunks(axis: plt.Axes, recording: GraphRecording, origin: int) -> None:
    for row, chunk in enumerate(recording.chunks):
        start = (chunk.observed_ns - origin) * 1e-9
        lane = row % 6
        axis.plot([start, start + chunk.duration_s], [lane, lane], color="#9db7d5", lw=2.0)
        axis.plot([(chunk.arrived_ns - origin) * 1e-9], [lane], "o", color="#2f6fb0", ms=2.5)
    axis.set_yticks([])
    axis.set_ylabel("chunks\n(dot: arrival)")


def _draw_monitor(axis: plt.Axes, recording: GraphRecording, origin: int) -> None:
    time = _seconds(recording.monitor_ns, origin)
    states = np.asarray(recording.monitor_state, dtype=int)
    for value in sorted(set(states.tolist())):
        axis.fill_between(
            time,
            0,
            1,
            where=states == value,
            step="post",
            color=STATE_COLOURS[value],
            label=STATE_NAMES[value],
        )
    axis.set_yticks([])
    axis.set_ylabel("monitor")
    axis.legend(loc="upper right", ncol=5, fontsize=7, frameon=True)
