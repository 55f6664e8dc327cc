# SPDX-License-Identifier: Apache-2.0
"""Jerk from samples: exact for commands, filtered for encoders."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from smooth_motion.errors import MotionError
from smooth_motion.limits import FloatArray, frozen_array, frozen_names


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
        self._spacing = _Spacing(min_dt_s, max_dt_s)
        self._samples: deque[tuple[int, FloatArray]] = deque(maxlen=4)

    @property
    def filled(self) -> bool:
        """Whether `update` returns jerk."""
        return len(self._samples) == 4

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
        position = _take(self._samples, self._spacing, self.joint_names, t_ns, position)
        self._samples.append((t_ns, position))
        if not self.filled:
            return None
        times = [(t - t_ns) * 1e-9 for t, _ in self._samples]
        differences = [p for _, p in self._samples]
        for order in range(1, 4):
            differences = [
                (differences[i + 1] - differences[i]) / (times[i + order] - times[i])
                for i in range(4 - order)
            ]
        return np.asarray(6.0 * differences[0])


class SavitzkyGolayJerk:
    """Jerk of measured positions: the third derivative of a cubic fitted to the last N samples.

    Causal, with a delay of half the window. Encoders of 4096 ticks a turn at 50-100 Hz cannot
    show whether a hardware limit held; publish `noise_floor` and `delay_s` beside the estimate.

    Attributes:
        joint_names: J names.
        noise_floor: Standard deviation of the estimate at constant jerk, rad/s^3, where the
            encoder's rounding is white (a moving joint).
        quantisation_bound: Largest error that the encoder's rounding can cause, rad/s^3. A
            threshold above this plus the nominal jerk cannot be passed by rounding alone.
        delay_s: Age of the instant that the estimate is centred on, s.
    """

    def __init__(
        self,
        joint_names: Iterable[str],
        window: int,
        dt_s: float,
        ticks_per_turn: int,
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
        self._spacing = _Spacing(0.0, max_gap * dt_s)
        self._samples: deque[tuple[int, FloatArray]] = deque(maxlen=window)

    @property
    def filled(self) -> bool:
        """Whether `update` returns jerk."""
        return len(self._samples) == self._samples.maxlen

    def update(self, t_ns: int, position: FloatArray) -> FloatArray | None:
        """Take in one sample.

        Args:
            t_ns: Its stamp. Only gaps are judged by it; within the window samples count as evenly
                spaced, because stamps of joint states jitter more than the sampling does.
            position: (J,) rad.

        Returns:
            (J,) rad/s^3, `delay_s` ago, or None until the window is full without a gap.

        Raises:
            MotionError: A position is not finite or the shape is wrong; the estimate restarts.
        """
        position = _take(self._samples, self._spacing, self.joint_names, t_ns, position)
        self._samples.append((t_ns, position))
        if not self.filled:
            return None
        window = np.array([p for _, p in self._samples])
        # Relative to the newest, so that nothing is lost to the size of the angle.
        return np.asarray(self._weights @ (window - window[-1]))


class _Spacing:
    """Which step from one sample to the next is in order."""

    def __init__(self, min_dt_s: float, max_dt_s: float) -> None:
        self.min_ns, self.max_ns = max(1, round(min_dt_s * 1e9)), round(max_dt_s * 1e9)

    def holds(self, step_ns: int) -> bool:
        return self.min_ns <= step_ns <= self.max_ns


def _take(
    samples: deque[tuple[int, FloatArray]],
    spacing: _Spacing,
    joint_names: tuple[str, ...],
    t_ns: int,
    position: FloatArray,
) -> FloatArray:
    """Return the position checked; empty the samples if this one does not follow them."""
    try:
        position = frozen_array(position, "position", (len(joint_names),))
    except MotionError:
        samples.clear()
        raise
    if samples and not spacing.holds(t_ns - samples[-1][0]):
        samples.clear()
    return position
