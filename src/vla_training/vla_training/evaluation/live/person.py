# SPDX-License-Identifier: Apache-2.0
"""The operator at a terminal: lays out scenes by the ghost, and says what came of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vla_training.evaluation.live.conduct import LiveRun, Notice, Verdict
from vla_training.evaluation.live.ghost import Pixels, ghost
from vla_training.evaluation.live.keys import END, Keys

STOP = " "
_ASKED = "y success   n failure   a again (does not count)   q quit"


class GhostScreen(Protocol):
    """Where the ghost is shown."""

    url: str

    def show(self, title: str, picture: Callable[[], Pixels | None]) -> None:
        """Show a title, and a picture that is asked for again and again."""


class PersonJudge:
    """Asks a person."""

    def __init__(
        self,
        keys: Keys,
        screen: GhostScreen,
        look: Callable[[], Pixels | None],
        stop: Callable[[], None],
        say: Callable[[str], None] = print,
    ) -> None:
        """Ask at a terminal.

        Args:
            keys: What the operator presses.
            screen: Shows the ghost.
            look: Returns what the camera sees, None without a camera.
            stop: Stops the arm.
            say: Tells the operator.
        """
        self._keys, self._screen, self._look = keys, screen, look
        self._stop, self._say = stop, say

    def lay_out(self, notice: Notice) -> bool:
        """Have the scene laid out; return False to end here."""
        # What was typed before it is asked for is of no account; from the question on it is.
        self.attend()
        self._screen.show(notice.title, self._ghost(notice.start))
        scene = "lay out a new scene"
        if notice.start is not None:
            scene = f"put the scene back as at the start of the last trial ({self._screen.url})"
        elif not notice.case.opens:
            scene = "put the scene back as at the start of the last trial"
        self._say(f"{notice.title}: {notice.instruction}")
        if notice.remark:
            self._say(f"  {notice.remark}")
        self._say(f"  {scene}, step back, then press ENTER   (q quits; SPACE stops the arm)")
        return self._wait("\r\nq") != "q"

    def attend(self) -> None:
        """Stop the arm where SPACE was pressed; whatever else was is of no account."""
        if STOP in self._keys.typed():
            self._stop()

    def watch(self) -> Verdict | None:
        """Return what was pressed meanwhile."""
        key = self._keys.press(0.0)
        if key == STOP:
            self._stop()
            return None
        if key == END:
            return Verdict.QUIT
        return Verdict(key) if key in {each.value for each in Verdict} else None

    def judge(self, notice: Notice, run: LiveRun) -> Verdict:
        """Ask how the trial went."""
        self.attend()
        if run.interrupted:
            # Not what the policy says of itself: that would tell which one it is.
            self._say(f"  interrupted, {run.ended}: {run.cause}")
            self._say("  a: made again, does not count   n: it was the policy's failure   q quit")
            return Verdict(self._wait("anq"))
        words = {"POLICY_FAILED": "the policy failed", "TIMED_OUT": "its time is over"}
        self._say(f"  {words.get(run.ended, 'it says that it is done')}: {_ASKED}")
        return Verdict(self._wait("ynaq"))

    def _ghost(self, start: Pixels | None) -> Callable[[], Pixels | None]:
        def picture() -> Pixels | None:
            live = self._look()
            return live if live is None or start is None else ghost(start, live)

        return picture

    def _wait(self, allowed: str) -> str:
        """Return the first key of some that is pressed; the input's end quits."""
        while True:
            key = self._keys.press(0.2)
            if key == STOP:
                self._stop()
            elif key == END:
                return "q"
            elif key is not None and key in allowed:
                return key
