# SPDX-License-Identifier: Apache-2.0
"""What the demonstration records while it watches the graph, and the figures it draws from it.

No ROS here: times are integer nanoseconds of ROS time, arrays are numpy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from smooth_motion import CommandJerk


@dataclass(frozen=True)
class DemoEpisode:
    """One instruction carried out, or not."""

    instruction: str
    seed: int
    success: bool
    duration_s: float
    termination: str
    message: str


@dataclass(frozen=True)
class ChunkArrival:
    """A chunk as it reached the graph.

    Attributes:
        arrived_ns: when it arrived.
        observed_ns: capture time of the observation it answers.
        duration_s: time its rows span.
        latency_s: from capture to chunk, as the policy node measured it.
    """

    arrived_ns: int
    observed_ns: int
    duration_s: float
    latency_s: float


@dataclass
class GraphRecording:
    """Everything seen on the graph, in order of arrival.

    Args:
        joint_names: the arm's J joints.
        jerk_limit: (J,) rad/s^3.
    """

    joint_names: tuple[str, ...]
    jerk_limit: np.ndarray
    reference_ns: list[int] = field(default_factory=list)
    reference: list[np.ndarray] = field(default_factory=list)
    command_jerk_ns: list[int] = field(default_factory=list)
    command_jerk: list[np.ndarray] = field(default_factory=list)
    measured_ns: list[int] = field(default_factory=list)
    measured: list[np.ndarray] = field(default_factory=list)
    monitor_ns: list[int] = field(default_factory=list)
    monitor_state: list[int] = field(default_factory=list)
    measured_jerk: list[np.ndarray] = field(default_factory=list)
    chunks: list[ChunkArrival] = field(default_factory=list)
    plan_time_s: list[float] = field(default_factory=list)
    episodes: list[DemoEpisode] = field(default_factory=list)
    phases: list[tuple[int, str]] = field(default_factory=list)
    trips: list[str] = field(default_factory=list)
    monitor_peak: float = 0.0
    last_jerk_ratio: float = 0.0

    def __post_init__(self) -> None:
        self._jerk = CommandJerk(self.joint_names)

    def add_reference(self, stamp_ns: int, position: np.ndarray) -> None:
        """Take one sample of the controller's reference, (J,) rad, at its trajectory time."""
        self.reference_ns.append(stamp_ns)
        self.reference.append(position)
        jerk = self._jerk.update(stamp_ns, position)
        if jerk is not None:
            self.command_jerk_ns.append(stamp_ns)
            self.command_jerk.append(jerk)
            self.last_jerk_ratio = float(np.max(np.abs(jerk) / self.jerk_limit))

    def add_measurement(self, stamp_ns: int, position: np.ndarray) -> None:
        """Take one reading of the joints, (J,) rad."""
        self.measured_ns.append(stamp_ns)
        self.measured.append(position)

    def add_monitor(
        self, stamp_ns: int, state: int, measured_jerk: np.ndarray, peak: np.ndarray
    ) -> None:
        """Take one state of the monitor; jerk arrays are (J,) rad/s^3, empty while unknown."""
        self.monitor_ns.append(stamp_ns)
        self.monitor_state.append(state)
        self.measured_jerk.append(
            measured_jerk
            if measured_jerk.shape == self.jerk_limit.shape
            else np.full_like(self.jerk_limit, np.nan)
        )
        if peak.shape == self.jerk_limit.shape:
            self.monitor_peak = max(self.monitor_peak, float(np.max(peak / self.jerk_limit)))

    def peak_command_jerk_ratio(self) -> float:
        """Return max |commanded jerk| / limit, the larger of our own reading and the monitor's."""
        if not self.command_jerk:
            return float("nan")
        own = float(np.max(np.abs(np.stack(self.command_jerk)) / self.jerk_limit))
        return max(own, self.monitor_peak)

    def summary(self) -> dict[str, object]:
        """Return the figures of the run; times in ms where the name says so."""
        succeeded = sum(episode.success for episode in self.episodes)
        return {
            "episodes": [asdict(episode) for episode in self.episodes],
            "success_rate": succeeded / len(self.episodes) if self.episodes else None,
            "peak_command_jerk_ratio": self.peak_command_jerk_ratio(),
            "rms_command_jerk_ratio": _rms(self.command_jerk, self.jerk_limit),
            "trips": list(self.trips),
            "chunks": len(self.chunks),
            **_percentiles("plan_ms", self.plan_time_s),
            **_percentiles("inference_ms", [chunk.latency_s for chunk in self.chunks]),
        }

    def write_summary(self, path: Path, **more: object) -> dict[str, object]:
        """Write the summary as JSON and return it."""
        summary = {**self.summary(), **more}
        path.write_text(json.dumps(summary, indent=2) + "\n")
        return summary


def _rms(rows: list[np.ndarray], scale: np.ndarray) -> float | None:
    if not rows:
        return None
    return float(np.sqrt(np.mean((np.stack(rows) / scale) ** 2)))


def _percentiles(name: str, seconds: list[float]) -> dict[str, float | None]:
    if not seconds:
        return {f"{name}_p50": None, f"{name}_p99": None}
    p50, p99 = np.percentile(np.asarray(seconds) * 1e3, [50, 99])
    return {f"{name}_p50": round(float(p50), 2), f"{name}_p99": round(float(p99), 2)}
