# SPDX-License-Identifier: Apache-2.0
"""What a step of the node wants published and said."""

from dataclasses import dataclass, field

from node_kit.log import LogLevel, LogLine
from smooth_motion import GripperPlan, Plan
from vla_policy_node.core.received_chunk import ReceivedChunk
from vla_policy_node.core.session import Ended, RunState, RunStatistics


@dataclass
class StepOutputs:
    """What a step wants published, in this order. A chunk in place of a plan goes out as it is."""

    log: list[LogLine] = field(default_factory=list)
    chunk: ReceivedChunk | None = None
    arm: Plan | ReceivedChunk | None = None
    gripper: GripperPlan | ReceivedChunk | None = None
    ended: list[Ended] = field(default_factory=list)

    def say(self, level: LogLevel, text: str) -> None:
        """Add a line to the log."""
        self.log.append(LogLine(level, text))


@dataclass(frozen=True)
class Execution:
    """Who holds the arm, and what becomes of chunks.

    Attributes:
        holder: Name of the source that holds the arm, empty where none does.
        lease: Number of its grant, 0 where there is none.
        statistics: Of what was sent under this grant, or under the last one.
        last_end: Who lost the arm last and why, empty where nobody has.
        waiting_for: Why nothing can be planned now.
        strangers: Chunks of those who did not hold the arm, since the start.
        stranger: Why the newest of these was refused, empty where none was.
    """

    holder: str
    lease: int
    statistics: RunStatistics
    last_end: str
    waiting_for: tuple[str, ...]
    strangers: int
    stranger: str

    @property
    def digest(self) -> tuple[object, ...]:
        """What is worth a message of its own when it changes."""
        counts = (self.statistics.plans, self.statistics.plans_refused, self.strangers > 0)
        return (self.lease, self.last_end, len(self.waiting_for), counts)


@dataclass(frozen=True)
class Status:
    """What the node is doing; times in s, NaN where there is none yet."""

    state: RunState
    instruction: str
    policy_id: str
    phase: str
    waiting_for: tuple[str, ...]
    statistics: RunStatistics
    elapsed_s: float
    remarks: tuple[str, ...] = ()

    @property
    def digest(self) -> tuple[object, ...]:
        """What is worth a message of its own when it changes."""
        counts = (self.statistics.plans, self.statistics.plans_refused)
        said = (len(self.waiting_for), len(self.remarks))
        return (self.state, self.instruction, self.phase, said, counts)
