# SPDX-License-Identifier: Apache-2.0
"""The trials of a comparison, one after the other: scene, start picture, run, verdict, record."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vla_training.errors import TrainingError
from vla_training.evaluation.live.ghost import Pixels, StartPictures, difference
from vla_training.evaluation.live.order import LiveCase
from vla_training.evaluation.live.trials import LiveLine, LiveResult, LiveStore, Outcome
from vla_training.evaluation.measures import measure_reference

# Reasons of RunPolicy that are the policy's own doing, and the operator's word in mid-run.
JUDGED, LOST = "JUDGED", "LOST"
OWN_ENDS = ("DONE", "TIMED_OUT", "POLICY_FAILED", JUDGED)
# A start pose farther off than this from that of the pair's first trial is told, rad.
POSE_RAD = 0.05


class Verdict(Enum):
    """What the operator says of a trial."""

    SUCCESS = "y"
    FAILURE = "n"
    AGAIN = "a"
    QUIT = "q"


class ArmLostError(TrainingError):
    """What the comparison needs of the graph is gone."""


@dataclass(frozen=True, eq=False)
class LiveRun:
    """How an instruction was carried out.

    Attributes:
        ended: Why it ended: a reason of RunPolicy, or `JUDGED`.
        cause: The same in words.
        duration_s: From the instruction to the end, s.
        times_ns: (M,) of the controller's reference.
        positions: (M, J) rad, likewise.
        verdict: What the operator said in the middle of it; None where nothing.
    """

    ended: str
    cause: str
    duration_s: float
    times_ns: NDArray[np.int64]
    positions: NDArray[np.float64]
    verdict: Verdict | None = None

    @property
    def interrupted(self) -> bool:
        """Whether something else than the policy or the operator ended it."""
        return self.ended not in OWN_ENDS


@dataclass(frozen=True)
class Notice:
    """What the operator is told of a trial: never which policy acts.

    Attributes:
        case: The trial. Its `side` is nobody's business before all is over.
        count: How many trials there are.
        instruction: What the policy will be told.
        start: Picture to put the scene back by; None where it is laid out freely, and without a
            camera.
        remark: What is to be mended before the trial can begin, or is to be known; may be empty.
    """

    case: LiveCase = field(repr=False)
    count: int
    instruction: str
    start: Pixels | None
    remark: str = ""

    @property
    def title(self) -> str:
        """Which trial it is, in words."""
        return f"trial {self.case.trial} of {self.count}"


class LiveArm(Protocol):
    """An arm that runs, with two policies before it."""

    joint_names: tuple[str, ...]

    def home(self, attend: Callable[[], None]) -> str:
        """Bring the arm home, where that was asked for; return why it is not there, or nothing.

        Args:
            attend: Called again and again while it moves.
        """

    def problem(self, attend: Callable[[], None]) -> str:
        """Return why no trial can begin now, empty where one can; `attend` is called meanwhile."""

    def picture(self) -> Pixels | None:
        """Return what the camera sees, (H, W, 3); None without a camera."""

    def pose(self) -> tuple[float, ...]:
        """Return where the joints are, rad."""

    def run(
        self, side: str, instruction: str, limit_s: float, judged: Callable[[], Verdict | None]
    ) -> LiveRun:
        """Have a policy carry out an instruction.

        Args:
            side: Which policy.
            instruction: What it is told.
            limit_s: After so long it has failed.
            judged: Asked again and again until the arm rests; the run ends with a verdict.

        Raises:
            ArmLostError: A node that is needed is gone.
        """


class TrialJudge(Protocol):
    """Who lays out scenes and says what came of a trial."""

    def lay_out(self, notice: Notice) -> bool:
        """Lay out the scene of a trial; return False to end here."""

    def attend(self) -> None:
        """See to the arm while it moves and there is nothing to judge. Does not wait."""

    def watch(self) -> Verdict | None:
        """Return a verdict on the trial that runs, None to go on. Does not wait."""

    def judge(self, notice: Notice, run: LiveRun) -> Verdict:
        """Return a verdict on a trial that is over."""


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how.

    Attributes:
        cases: The trials in their order.
        instructions: One for each pair, in turn.
        limit_s: After so long a policy has failed, s.
    """

    cases: Sequence[LiveCase]
    instructions: Sequence[str]
    limit_s: float

    def instruction(self, case: LiveCase) -> str:
        """Return what the policy of a trial is told."""
        return self.instructions[(case.pair - 1) % len(self.instructions)]


def compare(
    comparison: Comparison,
    store: LiveStore,
    pictures: StartPictures,
    arm: LiveArm,
    judge: TrialJudge,
) -> bool:
    """Make all trials that were not made yet.

    Returns:
        Whether all are made; False where the operator ended here.

    Raises:
        ArmLostError: A node is gone. The trial is recorded as interrupted.
        TrainingError: A file cannot be read or written.
    """
    for case in comparison.cases:
        while store.settled(case.trial) is None:
            attempt = store.attempts(case.trial) + 1
            now = LiveCase(case.trial, case.pair, case.side, attempt)
            if not _try(comparison, now, store, pictures, arm, judge):
                return False
    return True


def _try(
    comparison: Comparison,
    case: LiveCase,
    store: LiveStore,
    pictures: StartPictures,
    arm: LiveArm,
    judge: TrialJudge,
) -> bool:
    """Make one attempt; return False where the operator ended here."""
    first = None if case.opens else store.settled(case.trial - 1)
    start = None if first is None else pictures.find(first.case.trial, first.case.attempt)
    instruction = comparison.instruction(case)
    notice = Notice(case, len(comparison.cases), instruction, start)
    while True:
        # Home first: what the arm brushes on its way is laid out after that.
        blocked = arm.problem(judge.attend) or arm.home(judge.attend)
        remark = blocked or _astray(arm.pose(), first)
        if not judge.lay_out(replace(notice, remark=remark)):
            return False
        if not blocked and not arm.problem(judge.attend):
            break
    seen, pose = arm.picture(), arm.pose()
    apart = math.nan if start is None or seen is None else difference(start, seen)
    if seen is not None:
        pictures.keep(case.trial, case.attempt, seen)

    def record(outcome: Outcome, run: LiveRun) -> None:
        measures = measure_reference(arm.joint_names, run.times_ns, run.positions)
        result = LiveResult(
            instruction, outcome, run.ended, run.cause, run.duration_s, apart, pose, measures
        )
        store.add(case, result)

    run = _nothing("CANCELED", "Ctrl-C", len(arm.joint_names))
    try:
        run = arm.run(case.side, instruction, comparison.limit_s, judge.watch)
        verdict = run.verdict
        # What was interrupted is no success, also where it was said to be one just then.
        if verdict is None or (verdict is Verdict.SUCCESS and run.interrupted):
            verdict = judge.judge(notice, run)
    except ArmLostError as error:
        record(Outcome.INTERRUPTED, _nothing(LOST, str(error), len(arm.joint_names)))
        raise
    except KeyboardInterrupt:
        record(Outcome.INTERRUPTED, run)
        raise
    if verdict is Verdict.QUIT:
        record(Outcome.INTERRUPTED, run)
        return False
    record(_outcome(verdict, run), run)
    return True


def _outcome(verdict: Verdict, run: LiveRun) -> Outcome:
    if verdict is Verdict.AGAIN:
        return Outcome.INTERRUPTED if run.interrupted else Outcome.AGAIN
    return Outcome.SUCCESS if verdict is Verdict.SUCCESS else Outcome.FAILURE


def _astray(pose: tuple[float, ...], first: LiveLine | None) -> str:
    """Say how far the arm is from where it was before the pair's first trial."""
    if first is None or len(first.result.start_rad) != len(pose):
        return ""
    apart = max(abs(a - b) for a, b in zip(pose, first.result.start_rad, strict=True))
    if apart <= POSE_RAD:
        return ""
    return f"the arm is {apart:.2f} rad from where it began this pair; bring it back there"


def _nothing(ended: str, cause: str, joints: int) -> LiveRun:
    return LiveRun(ended, cause, math.nan, np.zeros(0, np.int64), np.zeros((0, joints)))
