# SPDX-License-Identifier: Apache-2.0
"""The tool's way, from the joints' and a URDF: a stream of its own, in metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vla_recording.report.errors import ReportError
from vla_recording.report.limits import LimitSet
from vla_recording.report.series import SeriesSample
from vla_recording.report.spool import Spool
from vla_recording.report.streams import JointStream, Stamps
from vla_recording.report.urdf import UrdfJoint, positions_of

AXES = ("x", "y", "z")


def tool_streams(
    streams: list[JointStream], limits: LimitSet | None, tip: str, scratch: Path | None
) -> list[JointStream]:
    """Return the tool's motion in every stream that has all the joints that move it.

    Raises:
        ReportError: There is no URDF, it has no such link, or no stream has the joints.
    """
    if limits is None or limits.urdf is None:
        raise ReportError("--tip needs a URDF: --robot FILE.urdf")
    chain = limits.urdf.chain(tip)
    needed = {
        (joint.mimic[0] if joint.mimic else joint.name) for joint in chain if joint.kind != "fixed"
    }
    if not needed:
        raise ReportError(f"{limits.urdf.file}: no joint moves {tip}")
    found = []
    for number, stream in enumerate(streams):
        if not needed <= set(stream.joint_names):
            continue
        folder = scratch or stream.samples.folder
        tool = JointStream(
            stream.topic,
            f"{stream.source}, {tip}" if stream.source else tip,
            stream.role,
            AXES,
            Spool(folder / f"tool_{number}", 4, 6),
            stream.clock,
            stream.even,
            stream.start_ns,
            stream.end_ns,
            np.vstack((np.full(3, np.inf), np.full(3, -np.inf))),
            knots=stream.knots,
            joined=stream.joined,
            received_s=stream.received_s,
            unit="m",
        )
        tool.stamps = Stamps(stream.stamps.messages, looseness_s=stream.stamps.looseness_s)
        tool.piece = np.zeros((0, 4))
        tool.steps = [SeriesSample() for _ in range(4)]
        _write(tool, stream, chain)
        found.append(tool)
    if not found:
        missing = ", ".join(sorted(needed))
        raise ReportError(f"no topic has all the joints that move {tip}: {missing}")
    return found


def _write(tool: JointStream, stream: JointStream, chain: list[UrdfJoint]) -> None:
    last: int | None = None
    for whole, floats in stream.samples.blocks():
        p = floats[:, : len(stream.joint_names)]
        xyz = positions_of(chain, stream.joint_names, p)
        nothing = np.full(xyz.shape, np.nan)
        tool.samples.append(whole, np.hstack((xyz, nothing)))
        seen = np.isfinite(xyz).all(axis=1)
        times = whole[seen, 0]
        if times.size:
            steps = np.diff(times) if last is None else np.diff(times, prepend=last)
            for sample in tool.steps:
                sample.add(steps)
            last = int(times[-1])
            low, high = tool.extremes
            np.minimum(low, xyz[seen].min(axis=0), out=low)
            np.maximum(high, xyz[seen].max(axis=0), out=high)
        tool.lost_joints += 3 * int((~seen).sum())
