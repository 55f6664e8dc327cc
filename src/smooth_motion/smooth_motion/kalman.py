# SPDX-License-Identifier: Apache-2.0
"""Jerk of measured positions by a Kalman filter."""

from __future__ import annotations

from collections.abc import Iterable
from math import factorial

import numpy as np

from smooth_motion.errors import MotionError
from smooth_motion.estimators import PHASES, JerkOfMeasurements
from smooth_motion.limits import FloatArray, frozen_names

# Shares of the final value within which a recursion counts as settled.
_SETTLED_BOUND = 1e-2
_SETTLED_GAIN = 1e-9
# A filter that has not settled after this many samples is of no use live.
_LONGEST_RUN_IN = 4096


class KalmanJerk(JerkOfMeasurements):
    """Jerk of measured positions: a Kalman filter of a motion whose jerk wanders.

    The model is a chain of integrators from the snap, which is white noise, to the position. For a
    given delay its noise is 0.6 of the Savitzky-Golay filter's, but it never quite forgets: a
    wrong sample fades, it does not leave. The gains are those of the steady state, after a run-in
    with the gains that are optimal from no knowledge at all.

    Attributes:
        joint_names: J names.
        noise_floor: Standard deviation of the estimate at constant jerk, rad/s^3, where the
            encoder's rounding is white (a moving joint).
        quantisation_bound: Largest error that the encoder's rounding can cause, rad/s^3. A
            threshold above this plus `jerk_gain` times the nominal jerk cannot be passed by
            rounding and nominal motion.
        delay_s: By how much the estimate lags a jerk that changes slowly, s.
        jerk_gain: Largest estimate that a jerk which never exceeds 1 can cause: 1.3, because the
            filter overshoots.
    """

    def __init__(
        self,
        joint_names: Iterable[str],
        snap_density: float,
        dt_s: float,
        ticks_per_turn: float,
        *,
        max_gap: float = 3.0,
    ) -> None:
        """Design the filter.

        Args:
            joint_names: J names.
            snap_density: Square root of the snap's spectral density, rad/s^4/sqrt(Hz): how quickly
                the jerk may wander. Four times as much shortens the delay by 2^(1/2) and raises
                the noise by 4^(7/8).
            dt_s: Nominal time between samples.
            ticks_per_turn: Encoder steps in a turn.
            max_gap: A gap of more than this many periods restarts the estimate.

        Raises:
            MotionError: A number is not positive, or the filter would take more than 4096 samples
                to settle.
        """
        self.joint_names = frozen_names(joint_names)
        for name, value in (
            ("snap_density", snap_density),
            ("dt_s", dt_s),
            ("ticks_per_turn", ticks_per_turn),
        ):
            if not (0.0 < value < np.inf):
                raise MotionError(f"{name} must be positive, but is {value}")
        # The state is (p, v dt, a dt^2, j dt^3), in standard deviations of the rounding.
        quantum = 2.0 * np.pi / ticks_per_turn
        sigma = quantum / np.sqrt(12.0)
        self._transition = np.array(
            [[1.0 / factorial(j - i) if j >= i else 0.0 for j in range(4)] for i in range(4)]
        )
        self._unit = 1.0 / dt_s**3
        self._gains, self._run_in, bound, noise = self._design(snap_density * dt_s**3.5 / sigma)
        gain = self._gains[-1]
        closed = self._transition - np.outer(gain, self._transition[0])
        ramp = np.array([1.0 / factorial(4 - i) for i in range(4)])
        lag = np.linalg.solve(np.eye(4) - closed, ramp - gain * ramp[0])
        self.noise_floor = float(sigma * noise * self._unit)
        self.quantisation_bound = float(quantum / 2.0 * bound * self._unit)
        self.delay_s = float(lag[3] * dt_s)
        # The response to a jerk that jumps from 0 to 1, at all phases of a period.
        state, steps = np.zeros((4, PHASES)), []
        for k in range(len(self._gains)):
            ramp_at = (k + np.arange(PHASES) / PHASES) ** 3 / 6.0
            state = closed @ state + gain[:, None] * ramp_at
            steps.append(state[3])
        self.jerk_gain = float(np.abs(np.diff(np.concatenate(steps))).sum())
        from smooth_motion import kernels

        self._filter = kernels.kalman
        self._max_ns = round(max_gap * dt_s * 1e9)
        self._clock = np.zeros(2, dtype=np.int64)
        self._gain_table = np.array(self._gains)
        # The last row is the first position: relative to it nothing is lost to the angle's size.
        self._state = np.zeros((5, len(self.joint_names)))

    def _design(self, ratio: float) -> tuple[list[FloatArray], int, float, float]:
        """Return the gains in turn, the samples of the run-in, and two norms of the response.

        The run-in is over when the response to the samples sums up, in magnitude, to no more than
        the steady one does, but for one percent. That sum is the first norm, a bound; the second
        is the Euclidean one of the steady response.
        """
        noise = ratio**2 * np.array(
            [
                [1.0 / (factorial(3 - i) * factorial(3 - j) * (7 - i - j)) for j in range(4)]
                for i in range(4)
            ]
        )
        # Nothing is known at first: this is far above what any arm can do in a period.
        covariance = np.diag([1e12] * 4)
        gains: list[FloatArray] = []
        sums: list[float] = []
        response = np.zeros((4, 0))
        enough = _LONGEST_RUN_IN
        while len(gains) < enough:
            gain = covariance[:, 0] / (covariance[0, 0] + 1.0)
            rest = np.eye(4) - np.outer(gain, [1.0, 0.0, 0.0, 0.0])
            filtered = rest @ covariance @ rest.T + np.outer(gain, gain)
            closed = rest @ self._transition
            response = np.column_stack((closed @ response, gain))
            gains.append(gain)
            sums.append(float(np.abs(response[3]).sum()))
            covariance = self._transition @ filtered @ self._transition.T + noise
            settled = len(gains) > 4 and np.allclose(gains[-1], gains[-2], rtol=_SETTLED_GAIN)
            if settled and enough == _LONGEST_RUN_IN:
                # The response decays half as fast as the gains settle.
                enough = 2 * len(gains)
        if not settled:
            raise MotionError(
                f"the filter takes more than {_LONGEST_RUN_IN} samples to settle; "
                "raise snap_density"
            )
        above = np.flatnonzero(np.array(sums) > (1.0 + _SETTLED_BOUND) * sums[-1])
        run_in = max(4, int(above[-1]) + 2 if above.size else 0)
        return gains, run_in, max(sums[run_in - 1 :]), float(np.linalg.norm(response[3]))

    @property
    def filled(self) -> bool:
        """Whether `update` returns jerk."""
        return bool(self._clock[0] >= self._run_in)

    def advance(self, t_ns: int, position: FloatArray, jerk: FloatArray) -> bool:
        """Take in one sample that is known to be sound."""
        found: bool = self._filter(
            t_ns,
            position,
            self._max_ns,
            self._run_in,
            self._unit,
            self._clock,
            self._transition,
            self._gain_table,
            self._state,
            jerk,
        )
        return found
