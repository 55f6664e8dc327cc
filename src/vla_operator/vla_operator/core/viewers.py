# SPDX-License-Identifier: Apache-2.0
"""Pages that are connected: what waits for each, who is in control, and who says too much."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass

# So many messages may be under way to a page that has not told of them: what is shown is then
# never older than these, however slow the way is.
WINDOW = 4
# Without a word from a page that owes one for so long, it is gone.
SILENT_S = 10.0
_MOST_ANSWERS = 32
# Messages of a page: as many at once, and as many a second.
_BURST, _A_SECOND = 200.0, 100.0
_MOST_BAD = 10


@dataclass(frozen=True)
class ShownPicture:
    """A camera's picture on its way.

    Attributes:
        camera: Whose.
        age_s: How old it was at `at_s`.
        at_s: A steady clock, s.
        jpeg: The file.
    """

    camera: str
    age_s: float
    at_s: float
    jpeg: bytes

    def packed(self, now_s: float) -> bytes:
        """Return it with its head: two bytes of length, then JSON. What it waited counts as age.

        Args:
            now_s: The clock of `at_s`.
        """
        age_s = self.age_s + max(0.0, now_s - self.at_s)
        head = json.dumps({"camera": self.camera, "age_s": round(age_s, 3)}).encode()
        return len(head).to_bytes(2, "big") + head + self.jpeg


Message = str | ShownPicture


class TooMuchError(RuntimeError):
    """A page says too much, or too much nonsense, and is to be disconnected."""


class Viewer:
    """One connected page: what waits for it. The newest of a kind replaces the one before."""

    def __init__(self, number: int, now_s: float) -> None:
        """Begin.

        Args:
            number: Which viewer.
            now_s: A steady clock, s.
        """
        self.number = number
        self.name = ""
        self._answers: deque[str] = deque()
        self._newest: OrderedDict[str, Message] = OrderedDict()
        self._sent = self._seen = 0
        self._heard_s = now_s
        self._tokens, self._filled_s = _BURST, now_s
        self._bad = 0

    def put(self, kind: str, message: Message) -> None:
        """Let something be shown; of its kind it replaces what is not yet under way."""
        # It keeps its turn: what comes often does not push back what comes seldom.
        self._newest[kind] = message

    def answer(self, message: str) -> None:
        """Let something be told that must not be left out.

        Raises:
            TooMuchError: Answers pile up, for a page that asks and does not listen.
        """
        if len(self._answers) >= _MOST_ANSWERS:
            raise TooMuchError("answers are not taken")
        self._answers.append(message)

    def take(self) -> Message | None:
        """Return what is to be sent next, None while there is nothing or the way is full."""
        if self._answers:
            self._sent += 1
            return self._answers.popleft()
        if not self._newest or self._sent - self._seen >= WINDOW:
            return None
        self._sent += 1
        return self._newest.popitem(last=False)[1]

    def seen(self, count: int, now_s: float) -> None:
        """Take in how many messages have arrived at the page in all.

        Raises:
            TooMuchError: More than were sent, or fewer than it said before.
        """
        if not self._seen <= count <= self._sent:
            raise TooMuchError("it counts what was not sent")
        self._seen, self._heard_s = count, now_s

    def silent(self, now_s: float) -> bool:
        """Return whether it owes a word for so long that it is gone."""
        return self._sent > self._seen and not now_s - self._heard_s <= SILENT_S

    def spoke(self, now_s: float) -> None:
        """Count a message of it.

        Raises:
            TooMuchError: There are too many.
        """
        gained = max(0.0, now_s - self._filled_s) * _A_SECOND
        self._tokens, self._filled_s = min(_BURST, self._tokens + gained), now_s
        if self._sent == self._seen:
            self._heard_s = now_s
        if not self._tokens >= 1.0:
            raise TooMuchError("it says too much")
        self._tokens -= 1.0

    def talked_nonsense(self) -> None:
        """Count a message that could not be read.

        Raises:
            TooMuchError: There were too many.
        """
        self._bad += 1
        if self._bad >= _MOST_BAD:
            raise TooMuchError("too many of its messages cannot be read")


class Viewers:
    """All of them, and which one is in control: one at a time, who takes it explicitly."""

    def __init__(self, most: int) -> None:
        """Begin; `most` may be there at once."""
        self._most, self._count = most, 0
        self._all: dict[int, Viewer] = {}
        self._operator: Viewer | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(list(self._all.values()))

    @property
    def operator(self) -> Viewer | None:
        """Who is in control, None where nobody is."""
        return self._operator

    def enter(self, now_s: float) -> Viewer | None:
        """Return a new viewer, None where there are too many."""
        if len(self._all) >= self._most:
            return None
        self._count += 1
        viewer = self._all[self._count] = Viewer(self._count, now_s)
        return viewer

    def leave(self, viewer: Viewer) -> bool:
        """Forget a viewer; return whether it was in control, which nobody is then."""
        self._all.pop(viewer.number, None)
        return self.release(viewer)

    def take(self, viewer: Viewer, name: str, *, over: bool) -> str:
        """Take control; return why not, empty where it is taken.

        Args:
            viewer: Who asks.
            name: As others will see it.
            over: Also from somebody who has it.
        """
        holder = self._operator
        if holder not in (None, viewer) and not over:
            assert holder is not None
            return f"{holder.name} is in control; take over explicitly"
        viewer.name, self._operator = name, viewer
        return ""

    def release(self, viewer: Viewer) -> bool:
        """Give control back; return whether the viewer had it."""
        if self._operator is not viewer:
            return False
        self._operator = None
        return True

    def control_of(self, viewer: Viewer) -> dict[str, object]:
        """Return what a viewer is told of who is in control."""
        return {
            "type": "control",
            "you": self._operator is viewer,
            "operator": self._operator.name if self._operator is not None else "",
            "viewers": len(self._all),
        }
