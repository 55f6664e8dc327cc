# SPDX-License-Identifier: Apache-2.0
"""Jerk from samples: exact for commands, filtered for encoders."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, IntArray, frozen_array, frozen_names

# Instants in a period at which a jump of the jerk is tried.
PHASES = 16


class CommandJerk:
    """Jerk of a command stream: six times the third divided difference of its last four samples.

    Where the command is twice continuously differentiable and its jerk never exceeds J, neither
    does this, whatever the spacing of the samples. So it raises no false alarm on a sound
    command; rounding adds about 8 eps |q| / h^3, which is 4e-6 rad/s^3 at 1 kHz and 2 rad.

    Feed it trajectory time, not the time of a wake-up: a command that is evaluated for t but
    noted for t + d has a jerk of about v d / h^3 that is not there.
    """

    def __init__(
        self, joint_names: Iterable[str], *, min_dt_s: float = 5e-4, max_dt_s: float = 0.1
    ) -> None:
        """Start empty.

        Args:
            joint_names: J names.
            min_dt_s: Samples closer than this restart the estimate: rounding would rule it.
            max_dt_s: So does a gap longer than this.
        """
        self.joint_names = frozen_names(joint_names)
        from smooth_motion import kernels

        self._spacing = _Spacing(min_dt_s, max_dt_s)
        self._newton = kernels.newton
        self._times = np.zeros(4, dtype=np.int64)
        self._differences = np.zeros((4, len(self.joint_names)))
        self._jerk: FloatArray | None = None

    @property
    def filled(self) -> bool:
        """Whether `update` returns jerk."""
        return bool(self._times[0] == 4)

    @property
    def velocity(self) -> FloatArray | None:
        """Divided difference of the last two samples, (J,) rad/s; None until there are two."""
        return self._differences[1].copy() if self._times[0] > 1 else None

    @property
    def acceleration(self) -> FloatArray | None:
        """Twice that of the last three, (J,) rad/s^2; None until there are three."""
        return self._differences[2].copy() if self._times[0] > 2 else None

    @property
    def jerk(self) -> FloatArray | None:
        """What `update` returned last."""
        return self._jerk

    def update(self, t_ns: int, position: FloatArray) -> FloatArray | None:
        """Take in one sample.

        Args:
            t_ns: Its time along the trajectory.
            position: (J,) rad.

        Returns:
            (J,) rad/s^3 over the last four samples, or None until there are four without a gap.

        Raises:
            MotionError: A position is not finite or the shape is wrong; the estimate restarts.
        """
        position = _checked(position, self.joint_names, self._times)
        count = self._newton(
            t_ns,
            position,
            self._spacing.min_ns,
            self._spacing.max_ns,
            self._times,
            self._differences,
        )
        self._jerk = self._differences[3].copy() if count == 4 else None
        return self._jerk


def command_jerk(
    times_ns: npt.ArrayLike,
    positions: npt.ArrayLike,
    *,
    min_dt_s: float = 5e-4,
    max_dt_s: float = 0.1,
) -> tuple[IntArray, FloatArray]:
    """Return what `CommandJerk` makes of a whole recording.

    Args:
        times_ns: (N,) along the trajectory.
        positions: (N, J) rad.
        min_dt_s: As for `CommandJerk`.
        max_dt_s: Likewise.

    Returns:
        The indices (M,) of the samples at which there is an estimate, and the jerk (M, J),
        rad/s^3.

    Raises:
        MotionError: A position is not finite or a shape is wrong.
    """
    times = np.asarray(times_ns, dtype=np.int64)
    shape = (times.size, *np.shape(positions)[1:])
    table = frozen_array(positions, "positions", shape)
    spacing = _Spacing(min_dt_s, max_dt_s)
    steps = np.diff(times)
    sound = (spacing.min_ns <= steps) & (steps <= spacing.max_ns)
    ends = np.zeros(0, dtype=np.int64)
    if times.size > 3:
        ends = 3 + np.flatnonzero(sound[2:] & sound[1:-1] & sound[:-2]).astype(np.int64)
    for order in range(1, 4):
        spans = np.maximum(times[order:] - times[:-order], 1)[:, None] * 1e-9
        table = order * np.diff(table, axis=0) / spans
    return ends, np.asarray(table[ends - 3])


class JerkOfMeasurements:
    """What the estimators on measured positions share: the way in."""

    joint_names: tuple[str, ...]
    # How many samples there are without a gap, and the newest time.
    _clock: IntArray

    def update(self, t_ns: int, position: FloatArray) -> FloatArray | None:
        """Take in one sample.

        Args:
            t_ns: Its stamp. Only gaps are judged by it; otherwise samples count as evenly spaced,
                because stamps of joint states jitter more than the sampling does.
            position: (J,) rad.

        Returns:
            (J,) rad/s^3, `delay_s` ago, or None until the estimate is `filled`, without a gap.

        Raises:
            MotionError: A position is not finite or the shape is wrong; the estimate restarts.
        """
        position = _checked(position, self.joint_names, self._clock)
        jerk = np.empty_like(position)
        return jerk if self.advance(t_ns, position, jerk) else None

    def advance(self, t_ns: int, position: FloatArray, jerk: FloatArray) -> bool:
        """Do what `update` does, for a caller that knows its arrays to be sound.

        Args:
            t_ns: As for `update`.
            position: (J,) rad, finite, contiguous and writable.
            jerk: Takes the estimate, (J,) rad/s^3.

        Returns:
            Whether there is one.
        """
        raise NotImplementedError


class SavitzkyGolayJerk(JerkOfMeasurements):
    """Jerk of measured positions: the third derivative of a cubic fitted to the last N samples.

    Causal, with a delay of half the window. Encoders of 4096 ticks a turn at 50-100 Hz cannot
    show whether a hardware limit held; publish `noise_floor` and `delay_s` beside the estimate.

    Attributes:
        joint_names: J names.
        noise_floor: Standard deviation of the estimate at constant jerk, rad/s^3, where the
            encoder's rounding is white (a moving joint).
        quantisation_bound: Largest error that the encoder's rounding can cause, rad/s^3. A
            threshold above this plus `jerk_gain` times the nominal jerk cannot be passed by
            rounding and nominal motion.
        delay_s: Age of the instant that the estimate is centred on, s.
        jerk_gain: Largest estimate that a jerk which never exceeds 1 can cause: 1.
    """

    def __init__(
        self,
        joint_names: Iterable[str],
        window: int,
        dt_s: float,
        ticks_per_turn: float,
        *,
        max_gap: float = 3.0,
    ) -> None:
        """Design the filter.

        Args:
            joint_names: J names.
            window: Number of samples, odd, 5 or more.
            dt_s: Nominal time between samples.
            ticks_per_turn: Encoder steps in a turn.
            max_gap: A gap of more than this many periods restarts the estimate.

        Raises:
            MotionError: The window is not odd or too short, or a number is not positive.
        """
        self.joint_names = frozen_names(joint_names)
        if window < 5 or window % 2 == 0:
            raise MotionError(f"window must be odd and 5 or more, but is {window}")
        for name, value in (("dt_s", dt_s), ("ticks_per_turn", ticks_per_turn)):
            if not (value > 0):
                raise MotionError(f"{name} must be positive, but is {value}")
        offsets = np.arange(window) - (window - 1) / 2.0
        # Third derivative of the least-squares cubic: the part of t^3 that is orthogonal to t.
        odd = offsets**3 - offsets * (offsets**4).sum() / (offsets**2).sum()
        unit = 6.0 * odd / (odd**2).sum()
        quantum = 2.0 * np.pi / ticks_per_turn
        self._weights = unit / dt_s**3
        self.noise_floor = float(quantum / np.sqrt(12.0) * np.linalg.norm(unit) / dt_s**3)
        self.quantisation_bound = float(quantum / 2.0 * np.abs(unit).sum() / dt_s**3)
        self.delay_s = (window - 1) / 2.0 * dt_s
        # In periods: a jerk that jumps from 0 to 1, as old as the row says.
        ages = np.arange(window * PHASES + 1)[:, None] / PHASES
        ramps = np.maximum(ages - np.arange(window)[::-1], 0.0) ** 3 / 6.0
        self.jerk_gain = float(np.abs(np.diff(ramps @ unit)).sum())
        from smooth_motion import kernels

        self._filter = kernels.savitzky_golay
        self._max_ns = round(max_gap * dt_s * 1e9)
        # Each sample is written twice, a window apart, so that the last ones always lie in a row.
        self._ring = np.zeros((2 * window, len(self.joint_names)))
        self._clock = np.zeros(2, dtype=np.int64)

    @property
    def filled(self) -> bool:
        """Whether `update` returns jerk."""
        return bool(self._clock[0] >= len(self._weights))

    def advance(self, t_ns: int, position: FloatArray, jerk: FloatArray) -> bool:
        """Take in one sample that is known to be sound."""
        found: bool = self._filter(
            t_ns, position, self._max_ns, self._clock, self._ring, self._weights, jerk
        )
        return found

    def over(self, positions: FloatArray) -> FloatArray:
        """Return what `update` makes of a whole stretch without a gap.

        Args:
            positions: (N, J) rad, evenly spaced, finite.

        Returns:
            (N - window + 1, J) rad/s^3, or no rows for fewer samples than the window.
        """
        window = len(self._weights)
        if len(positions) < window:
            return np.zeros((0, len(self.joint_names)))
        offsets = positions - positions.mean(axis=0)
        columns = [np.correlate(column, self._weights, "valid") for column in offsets.T]
        return np.stack(columns, axis=1)


class _Spacing:
    """Which step from one sample to the next is in order."""

    def __init__(self, min_dt_s: float, max_dt_s: float) -> None:
        self.min_ns, self.max_ns = max(1, round(min_dt_s * 1e9)), round(max_dt_s * 1e9)


def _checked(position: FloatArray, joint_names: tuple[str, ...], counted: IntArray) -> FloatArray:
    """Return the position checked, as the kernels want it; begin anew if it is not sound."""
    try:
        checked = frozen_array(position, "position", (len(joint_names),))
    except MotionError:
        counted[0] = 0
        raise
    return checked.copy()
