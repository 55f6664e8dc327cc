# SPDX-License-Identifier: Apache-2.0
"""Settings of reinforcement, read strictly: every key is known, typed and bounded."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vla_training.errors import TrainingError
from vla_training.settings import AUTO, CPU, CUDA, between, checked_values, read_document

BINARY, SMOOTHVLA, SMOOTH_INVARIANT = "binary", "smoothvla", "smooth_invariant"
REWARDS = (BINARY, SMOOTHVLA, SMOOTH_INVARIANT)
FLOW_SDE, LEARNED_NOISE = "flow_sde", "learned_noise"
# Of log dimensionless jerk, to either side of what a policy had: e^4 is 55 times the jerk.
LDLJ_SPAN = 4.0


@dataclass(frozen=True)
class ReinforcementSettings:
    """How to reinforce.

    Attributes:
        seed: Of everything that is drawn.
        updates: In all. In each, rollouts are made and then learned from.
        epochs: How many times an update's rollouts are learned from; what the policy then says of
            them is weighed by the ratio of probabilities, up to `clip`.
        groups: Scenes with an instruction, an update.
        group_size: G, rollouts of each: the same scene and instruction, other noise.
        first_seed: Of the scenes; those of an update follow those of the one before.
        scenes: How many there are, gone through again and again, as where a benchmark has so many
            initial states; 0: always new ones.
        limit_s: Of a rollout on the tabletop, simulated, s.
        executor: How chunks become commands there: one of `vla_sim.executors.EXECUTORS`.
        reward: One of `REWARDS`.
        smoothness_weight: lambda, of the smoothness in the reward.
        jerk_unit: For `smoothvla`: mean twist jerk that counts as 1, m/s^3 and rad/s^3 mixed; 0:
            that of the first update's successes.
        ldlj_best: For `smooth_invariant`: log dimensionless jerk that costs nothing; 0, with 0 for
            `ldlj_worst`: `LDLJ_SPAN` above that of the first update's successes.
        ldlj_worst: Likewise, that costs all of `smoothness_weight`; 0: as much below.
        sampler: `FLOW_SDE` or `LEARNED_NOISE`.
        noise: `flow_sde`: level a of its noise. `learned_noise`: standard deviation it begins at.
        least_noise: Of the learned noise, standard deviation.
        most_noise: Likewise.
        flow_steps: From noise to action.
        drawn_steps: Of them, from the first on, that are drawn, with a probability that is known;
            the others follow the flow, which takes the jitter of what was drawn out again.
        learning_rate: Of the action expert.
        noise_rate: Of the learned noise.
        clip: Of the ratio of probabilities, each way from 1.
        reference_weight: Of the divergence from the policy that it began as.
        least_deviation: Floor of a group's standard deviation of rewards.
        batch: Decisions of an update that are learned from at a time.
        clip_norm: Of the gradient.
        device: Where the policy learns: `CPU`, `CUDA`, or `AUTO`, a GPU where there is one.
            Rollouts are made on the CPU. Another device changes the last bits.
        threads: Of the computation.
    """

    seed: int = between(0, 0, 2**31)
    updates: int = between(50, 1, 1_000_000)
    epochs: int = between(1, 1, 1000)
    groups: int = between(8, 1, 4096)
    group_size: int = between(8, 2, 1024)
    first_seed: int = between(1_000_000, 0, 2**31)
    scenes: int = between(0, 0, 1_000_000)
    limit_s: float = between(20.0, 1.0, 600.0)
    executor: str = field(default="smooth", metadata={"choices": ("smooth", "linear", "hold")})
    reward: str = field(default=SMOOTH_INVARIANT, metadata={"choices": REWARDS})
    smoothness_weight: float = between(0.2, 0.0, 1.0)
    jerk_unit: float = between(0.0, 0.0, 1e9)
    ldlj_best: float = between(0.0, -1000.0, 0.0)
    ldlj_worst: float = between(0.0, -1000.0, 0.0)
    sampler: str = field(default=FLOW_SDE, metadata={"choices": (FLOW_SDE, LEARNED_NOISE)})
    noise: float = between(0.3, 1e-3, 10.0)
    least_noise: float = between(0.05, 1e-4, 10.0)
    most_noise: float = between(0.2, 1e-4, 10.0)
    flow_steps: int = between(4, 1, 100)
    drawn_steps: int = between(3, 1, 100)
    learning_rate: float = between(2e-5, 1e-9, 1.0)
    noise_rate: float = between(1e-3, 1e-9, 1.0)
    clip: float = between(0.2, 1e-4, 10.0)
    reference_weight: float = between(0.0, 0.0, 1e3)
    least_deviation: float = between(0.1, 1e-6, 10.0)
    batch: int = between(128, 1, 65536)
    clip_norm: float = between(1.0, 1e-6, 1e6)
    device: str = field(default=AUTO, metadata={"choices": (AUTO, CPU, CUDA)})
    threads: int = between(2, 1, 1024)

    def scaled(self, twist_jerk_mean: float, ldlj: float) -> ReinforcementSettings:
        """Return settings in which what is left to be measured has its value.

        Args:
            twist_jerk_mean: Of the policy as it was, m/s^3 and rad/s^3 mixed.
            ldlj: Likewise, log dimensionless jerk.
        """
        open_ended = self.ldlj_best == self.ldlj_worst == 0.0
        return replace(
            self,
            jerk_unit=self.jerk_unit or twist_jerk_mean,
            ldlj_best=ldlj + LDLJ_SPAN if open_ended else self.ldlj_best,
            ldlj_worst=ldlj - LDLJ_SPAN if open_ended else self.ldlj_worst,
        )

    def document(self) -> dict[str, Any]:
        """Return it as it would be written."""
        return asdict(self)


def read_reinforcement(path: Path) -> ReinforcementSettings:
    """Read settings from a YAML file.

    Raises:
        TrainingError: A key is unknown, of another type or out of its bounds.
    """
    source = str(path)
    settings = ReinforcementSettings(
        **checked_values(ReinforcementSettings, read_document(path), source)
    )
    measured = settings.ldlj_best == settings.ldlj_worst == 0.0
    if not (measured or settings.ldlj_worst < settings.ldlj_best):
        raise TrainingError(
            f"{source}: ldlj_worst: is {settings.ldlj_worst:g}; write less than ldlj_best, "
            f"{settings.ldlj_best:g}"
        )
    if not settings.drawn_steps <= settings.flow_steps:
        raise TrainingError(
            f"{source}: drawn_steps: is {settings.drawn_steps}; write at most flow_steps, "
            f"{settings.flow_steps}"
        )
    if not settings.least_noise <= settings.noise <= settings.most_noise and (
        settings.sampler == LEARNED_NOISE
    ):
        raise TrainingError(
            f"{source}: noise: is {settings.noise:g}; with {LEARNED_NOISE} write "
            f"{settings.least_noise:g} to {settings.most_noise:g}"
        )
    return settings
