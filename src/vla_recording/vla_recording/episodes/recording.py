# SPDX-License-Identifier: Apache-2.0
"""One episode under way: what is heard goes into its bag, and the rows that come of it are judged.

No ROS here, and no clock: time is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vla_recording.dataset.held import MAX_HELD_BYTES
from vla_recording.episodes.bag import EpisodeBag
from vla_recording.episodes.inputs import EpisodeSources, Inputs
from vla_recording.episodes.png_size import PngSize
from vla_recording.episodes.rows import EpisodeRows
from vla_recording.episodes.words import EndReason, EpisodeWords

# Of what a dataset holds of one episode: how large it becomes is a guess.
MOST_PNG_BYTES = MAX_HELD_BYTES * 9 // 10
_TOO_LARGE = (
    f"its pictures as PNG come to some {MOST_PNG_BYTES >> 20} MiB, and a dataset takes no more of "
    "one episode; record shorter ones, a smaller picture_size, or pictures:=video"
)


class Recording:
    """Records until it is ended, or an input or the disk fails.

    Attributes:
        words: What is said of it.
        inputs: What its rows are made of.
        over: It has ended; its bag may still be written.
    """

    def __init__(
        self,
        bag: EpisodeBag,
        words: EpisodeWords,
        sources: EpisodeSources,
        max_duration_s: float,
        *,
        png: bool = False,
    ) -> None:
        """Begin.

        Args:
            bag: That it is written to.
            words: What is said of it: when row 0 is, above all.
            sources: What its rows are made of.
            max_duration_s: When it ends by itself, s.
            png: Its pictures become PNG, of which a dataset does not take any number.
        """
        self.bag, self.words, self.inputs = bag, words, Inputs(sources)
        self._rows = EpisodeRows(sources, self.inputs, words.fps, words.begin_ns, words.task)
        self._last_ns = words.begin_ns + round(max_duration_s * 1e9) - 1
        self._max_duration_s = max_duration_s
        self._png = PngSize(words.fps) if png else None
        self.over = False

    @property
    def rows(self) -> EpisodeRows:
        """Its rows."""
        return self._rows

    def remember(self, name: str | None, topic: str, message: Any, ns: int, data: bytes) -> None:
        """Take in what was heard before it began."""
        if name is not None:
            self.inputs.hear(name, message, ns)
        self.bag.put(topic, ns, data)

    def hear(
        self, name: str | None, topic: str, message: Any, received_ns: int, data: bytes
    ) -> None:
        """Take in a message.

        Args:
            name: Of its topic in the contract; None for one that no row is made of.
            topic: Its name.
            message: What it says, where a row is made of it.
            received_ns: ROS time at which it was heard.
            data: As it came.
        """
        self.tick(received_ns)
        if self.over:
            return
        if name is not None:
            self.inputs.hear(name, message, received_ns)
        if not self.bag.put(topic, received_ns, data) and not self._disk_failed(received_ns):
            text = f"{topic}: messages come faster than the disk takes them"
            self.end(EndReason.MESSAGES_DROPPED, text, received_ns)

    def tick(self, now_ns: int) -> None:
        """Make the rows that are due, and end where that has to be."""
        if self.over:
            return
        for row in self._rows.until(min(now_ns, self._last_ns)):
            if self._png is not None:
                self._png.add(row)
        if self._rows.refusal is not None:
            self.end(EndReason.INPUT_REFUSED, str(self._rows.refusal), now_ns)
        elif self._png is not None and self._png.bytes > MOST_PNG_BYTES:
            self.end(EndReason.TOO_LARGE, _TOO_LARGE, now_ns)
        elif now_ns > self._last_ns:
            self.end(EndReason.TIMED_OUT, f"{self._max_duration_s:g} s are over", self._last_ns)
        else:
            self._disk_failed(now_ns)

    def end(self, reason: EndReason, message: str, now_ns: int) -> None:
        """End it at a time, and let its bag be finished."""
        if self.over:
            return
        self._rows.until(min(now_ns, self._last_ns))
        refusal = self._rows.refusal
        if refusal is not None and reason is not EndReason.INPUT_REFUSED:
            reason, message = EndReason.INPUT_REFUSED, str(refusal)
        self.over = True
        self.words = replace(
            self.words,
            end_ns=now_ns,
            reason=reason.name,
            message=message,
            rows=self._rows.made,
            rows_cut=refusal.cut if refusal else 0,
            rows_intervened=self._rows.intervened,
        )
        said = {"episode": self.words.name, "task": self.words.task, "reason": reason.name}
        self.bag.end(said)

    def closed(self) -> bool:
        """Say whether its bag is finished; then its words are complete."""
        if not self.over or not self.bag.done.is_set():
            return False
        bag, words = self.bag, self.words
        words = replace(words, messages=bag.written, messages_dropped=dict(bag.dropped))
        if bag.full or bag.problem:
            # What waited to be written is not in it: its rows are counted when they are read.
            reason = EndReason.NO_SPACE if bag.full else EndReason.WRITING_FAILED
            words = replace(words, end_ns=0, reason=reason.name, message=self._disk())
        self.words = words
        return True

    def _disk_failed(self, now_ns: int) -> bool:
        if not (self.bag.full or self.bag.problem):
            return False
        reason = EndReason.NO_SPACE if self.bag.full else EndReason.WRITING_FAILED
        self.end(reason, self._disk(), now_ns)
        return True

    def _disk(self) -> str:
        if self.bag.full:
            return f"the disk of {self.bag.folder} is full; what was written is kept"
        return self.bag.problem
