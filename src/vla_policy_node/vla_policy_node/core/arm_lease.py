# SPDX-License-Identifier: Apache-2.0
"""Who holds the arm: one source of chunks at a time, by a lease that is asked for and answered."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from node_kit.log import LogLevel
from vla_policy_node.core.chunk_blending import REPLACE
from vla_policy_node.core.chunk_check import ChunkCheck
from vla_policy_node.core.latency import DurationPercentile
from vla_policy_node.core.session import RunStatistics

NAME_LENGTH = 64
# Who asks again within this time is still asking. It is kept of so many sources.
REPEAT_NS, MAX_NAMES = 1_000_000_000, 64
# Of those who do not hold the arm so many lines are logged until it is granted anew.
MAX_SAID = 20


class End(enum.Enum):
    """Why a source does not hold the arm any more."""

    GIVEN_BACK = "gave the arm back"
    TAKEN_OVER = "another source took the arm over"
    STOPPED = "the monitor withdrew its permit"
    SILENT = "sent nothing usable for too long"
    FAILED = "sent too many chunks in a row of which none moved the arm"


@dataclass(eq=False)
class ChunkSource:
    """Somebody whose chunks can move the arm, and how they are treated.

    Attributes:
        name: As the log and the status say it.
        blending: How a chunk follows the one before it, see `chunk_blending`.
        whole: Each chunk is carried out from row 0 on, out of rest, whenever it comes.
        check: Judges its chunks where their columns and units are its own; None for the robot's.
        refuses: A chunk that the check doubts is refused; else it is only remarked upon.
        timeout_ns: Without a usable chunk for this long it loses the arm; None for never.
        delay: From a chunk's stamp to the moment from which the arm follows it.
    """

    name: str
    blending: str = REPLACE
    whole: bool = False
    check: ChunkCheck | None = None
    refuses: bool = True
    timeout_ns: int | None = None
    delay: DurationPercentile = field(default_factory=DurationPercentile)


@dataclass(eq=False)
class Lease:
    """One grant of the arm.

    Attributes:
        number: Of the grant, unlike any other's.
        source: Who holds the arm by it.
        statistics: Of what was sent under it.
        usable_ns: When a usable chunk came last, or it was granted; by the clock of the motion.
        first: No chunk was accepted yet.
        failures: Chunks in a row of which none moved the arm.
        remarks: What does not stop the arm but matters, by its kind.
        end: Why it is over, None while it is not.
        message: The same in words.
    """

    number: int
    source: ChunkSource
    statistics: RunStatistics
    usable_ns: int
    first: bool = True
    failures: int = 0
    remarks: dict[str, str] = field(default_factory=dict)
    end: End | None = None
    message: str = ""


@dataclass(frozen=True)
class Grant:
    """What became of a request for the arm.

    Attributes:
        lease: The grant, None where it was refused.
        message: Why it was refused, or from whom the arm was taken over.
        holder: Who holds the arm now, empty where nobody does.
    """

    lease: Lease | None
    message: str
    holder: str


class Arbiter:
    """Grants the arm to one source at a time. Nobody loses it unasked but by `end`.

    Attributes:
        holder: By which lease the arm is held, None where nobody holds it.
        last: The lease that ended last.
        strangers: How many chunks came from others than the holder.
        stranger: What was wrong with the newest of those.
    """

    def __init__(
        self, say: Callable[[LogLevel, str], None], max_failures: int, base: int = 0
    ) -> None:
        """Begin without a holder.

        Args:
            say: Writes to the log.
            max_failures: Chunks in a row of which none moves the arm that cost it.
            base: Grants are numbered from the next one on. What another run of the node granted
                must not be mistaken for a grant of this one.
        """
        self._say, self._max_failures, self._number = say, max_failures, base
        self.holder: Lease | None = None
        self.last: Lease | None = None
        self.strangers, self.stranger, self._said = 0, "", 0
        # Who asked during a stop, and when last.
        self._asked_in_vain: dict[str, int] = {}

    @property
    def held(self) -> str:
        """Name of the source that holds the arm, empty where none does."""
        return "" if self.holder is None else self.holder.source.name

    def problem(self, name: str, permit: str, latched: bool, steady_ns: int) -> str:
        """Say why a source that asks now cannot have the arm, empty where it can.

        Who asks again and again through a stop is not answered by its reset: that must never move
        the arm.

        Args:
            name: Of the source.
            permit: Why nothing may be planned, empty when it may.
            latched: Whether the monitor has stopped, or is stopping, the arm.
            steady_ns: Steady clock.
        """
        problem = name_problem(name)
        if problem:
            return problem
        since_ns = steady_ns - self._asked_in_vain.pop(name, steady_ns - REPEAT_NS)
        if latched or since_ns < REPEAT_NS:
            self._asked_in_vain[name] = steady_ns
            while len(self._asked_in_vain) > MAX_NAMES:
                self._asked_in_vain.pop(next(iter(self._asked_in_vain)))
        if not permit and since_ns < REPEAT_NS:
            return f"has asked since before the reset; pause for {REPEAT_NS / 1e9:g} s"
        return permit

    def acquire(
        self, source: ChunkSource, statistics: RunStatistics, take_over: bool, steady_ns: int
    ) -> Grant:
        """Grant the arm, unless another holds it and is not to be taken over from."""
        before, message = self.holder, ""
        if before is not None and before.source is not source:
            if not take_over:
                held = before.source.name
                return Grant(None, f"{held} holds the arm; ask to take over, or wait", held)
            message = f"taken over from {before.source.name}"
            self.end(before, End.TAKEN_OVER, f"{source.name} took the arm over")
        elif before is not None:
            self.end(before, End.GIVEN_BACK, "asked for the arm anew")
        self._number += 1
        self._said = 0
        self.holder = Lease(self._number, source, statistics, steady_ns)
        if source.timeout_ns is not None:
            said = f", {message}" if message else ""
            self._say(LogLevel.INFO, f"{source.name} holds the arm{said}")
        return Grant(self.holder, message, source.name)

    def find(self, number: int) -> Lease | None:
        """Return the holder's lease where it has this number."""
        holder = self.holder
        return holder if holder is not None and holder.number == number else None

    def release(self, number: int) -> str:
        """End the lease of this number; say why not, empty where it is ended."""
        lease = self.find(number)
        if lease is None:
            return f"lease {number} does not hold the arm{self._why_not(number)}"
        self.end(lease, End.GIVEN_BACK)
        return ""

    def end(self, lease: Lease, end: End, message: str = "") -> None:
        """End a lease, unless it is over. The plan that runs ends at rest by itself."""
        if lease is not self.holder:
            return
        lease.end, lease.message = end, message or end.value
        self.holder, self.last = None, lease
        # The policy's runs are told by themselves.
        if lease.source.timeout_ns is not None:
            level = LogLevel.INFO if end is End.GIVEN_BACK else LogLevel.WARN
            self._say(level, f"{lease.source.name} holds the arm no longer: {lease.message}")

    def refuse(self, lease: Lease, chunk_id: int, reason: str) -> None:
        """Note that a chunk of the holder moves nothing. Too many in a row cost it the arm."""
        lease.statistics.plans_refused += 1
        lease.statistics.last_refusal = reason
        text = f"chunk {chunk_id} of {lease.source.name} yields no plan: {reason}"
        self._say(LogLevel.WARN, text)
        self.failed(lease, reason)

    def failed(self, lease: Lease, reason: str) -> None:
        """Count what moved nothing."""
        lease.failures += 1
        if lease.failures >= self._max_failures:
            text = f"{lease.failures} chunks in a row moved nothing; the last one: {reason}"
            self.end(lease, End.FAILED, text)

    def refuse_stranger(self, name: str, number: int) -> None:
        """Note a chunk of a source that does not hold the arm by this lease."""
        self.unread(f"{name!a} holds no lease {number} of the arm{self._why_not(number)}")

    def unread(self, what: str) -> None:
        """Note a chunk that was refused unseen, and say so once."""
        self.strangers += 1
        before, self.stranger = self.stranger, what
        if what != before and self._said < MAX_SAID:
            self._said += 1
            self._say(LogLevel.WARN, f"chunks are refused: {what}")

    def remark(self, lease: Lease, kind: str, text: str) -> None:
        """Say something in the log once a lease, and keep it for the status."""
        if kind not in lease.remarks:
            lease.remarks[kind] = text
            self._say(LogLevel.WARN, text)

    def _why_not(self, number: int) -> str:
        last = self.last
        return f": {last.message}" if last is not None and last.number == number else ""


def name_problem(name: str) -> str:
    """Say why a source cannot be called so, empty where it can."""
    if not name.strip() or not name.isprintable() or len(name) > NAME_LENGTH:
        return (
            f"source is {name[:NAME_LENGTH]!a}; write a name of 1 to {NAME_LENGTH} "
            "printable characters"
        )
    return ""
