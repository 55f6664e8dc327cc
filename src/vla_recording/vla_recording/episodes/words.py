# SPDX-License-Identifier: Apache-2.0
"""What is said of an episode: `episode.json` in the folder of its bag.

It is written when the episode begins, so that a recorder that is killed leaves a bag that can be
converted, again at its end, and whenever somebody changes the mark or the task.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from vla_contract.texts import visible
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.files import read_json, write_json
from vla_recording.episodes.errors import EpisodeError

FILE = "episode.json"
VERSION = 1
MAX_LETTERS = 10_000
MAX_FPS = 1000
# Of an episode, so that no number overflows on the way.
MAX_DURATION_S = 86_400.0


class Mark(enum.Enum):
    """How an episode went, as a person saw it. The numbers are those of RecorderStatus."""

    UNMARKED = 0
    SUCCESS = 1
    FAILURE = 2


class EndReason(enum.Enum):
    """Why an episode ended. The numbers are those of the action RecordEpisode."""

    FINISHED = 0
    CANCELED = 1
    TIMED_OUT = 2
    INPUT_REFUSED = 3
    MESSAGES_DROPPED = 4
    NO_SPACE = 5
    DISCARDED = 6
    REFUSED = 7
    WRITING_FAILED = 8
    SHUT_DOWN = 9
    TOO_LARGE = 10


@dataclass(frozen=True)
class EpisodeWords:
    """What is said of one episode.

    Attributes:
        name: Of its bag's folder.
        task: The instruction.
        fps: Rows a second.
        begin_ns: Time of row 0, ROS time.
        operator: Who acts or watches.
        policy_id: Which policy acts.
        robot: Which robot.
        started: When, by the host's clock, UTC.
        topics: What each topic of the contract is called in the bag.
        picture_size: See `EpisodeSources`; empty where pictures stay as they come.
        mark: How it went.
        highlight: It was remembered: its rows are those of the last stretch without a fault.
        end_ns: Time after which there is no row, ROS time. 0: the bag itself has to tell, for it
            is being recorded, the recorder was killed, or the disk became full.
        reason: Why it ended; empty while it is recorded, and of one that was killed.
        message: The same in words.
        rows: That are kept.
        rows_cut: Taken back at the end.
        rows_intervened: Of those kept, in which somebody other than the policy held the arm.
        messages: In the bag.
        messages_dropped: By topic, those that did not get into the bag.
        dataset: Folder of the dataset that has its rows; empty where none has.
        episode_index: In that dataset, -1 likewise.
    """

    name: str
    task: str
    fps: int
    begin_ns: int
    operator: str = ""
    policy_id: str = ""
    robot: str = ""
    started: str = ""
    topics: Mapping[str, str] = field(default_factory=dict)
    picture_size: tuple[int, ...] = ()
    mark: str = Mark.UNMARKED.name
    highlight: bool = False
    end_ns: int = 0
    reason: str = ""
    message: str = ""
    rows: int = 0
    rows_cut: int = 0
    rows_intervened: int = 0
    messages: int = 0
    messages_dropped: Mapping[str, int] = field(default_factory=dict)
    dataset: str = ""
    episode_index: int = -1

    def changed(self, mark: Mark | None = None, task: str = "") -> EpisodeWords:
        """Return them with another mark or task; as they are where none is given.

        Raises:
            EpisodeError: The task is none.
        """
        found = self if mark is None else replace(self, mark=mark.name)
        if not task:
            return found
        problem = text_problem("task", task)
        if problem:
            raise EpisodeError(problem)
        return replace(found, task=task)


def text_problem(name: str, text: str, *, needed: bool = True) -> str:
    """Say why a text cannot be one of an episode, empty where it can."""
    shown = visible(text)
    if len(text) > MAX_LETTERS or not all(c.isprintable() or c == "\n" for c in shown):
        return f"{name}: write at most {MAX_LETTERS} printable letters"
    if needed and not shown.strip():
        return f"{name}: is empty; write what is to be done, as a policy would be told"
    return ""


def write_words(folder: Path, words: EpisodeWords) -> None:
    """Write them, in whole or not at all.

    Raises:
        DatasetError: They cannot be written.
    """
    write_json(folder / FILE, {"version": VERSION, **asdict(words)})


def read_words(folder: Path) -> EpisodeWords:
    """Read them.

    Raises:
        EpisodeError: They are missing or damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise EpisodeError(f"{folder}: is no recorded episode: there is no {FILE}")
    try:
        document = read_json(path)
    except DatasetError as error:
        raise EpisodeError(str(error)) from None
    if document.pop("version", None) != VERSION:
        raise EpisodeError(f"{path}: version: {VERSION} is read here")
    kinds = {item.name: item for item in fields(EpisodeWords)}
    unknown = [str(key) for key in document if key not in kinds]
    if unknown:
        raise EpisodeError(f"{path}: {unknown[0]}: is no key of it; take it out")
    size = document.get("picture_size", [])
    document["picture_size"] = tuple(size) if isinstance(size, list) else size
    try:
        words = EpisodeWords(**document)
    except TypeError:
        needed = ("name", "task", "fps", "begin_ns")
        missing = next(name for name in needed if name not in document)
        raise EpisodeError(f"{path}: {missing}: is missing; write it") from None
    problem = _problem(words)
    if problem:
        raise EpisodeError(f"{path}: {problem}")
    return words


def _problem(words: EpisodeWords) -> str:
    for item in fields(words):
        value: Any = getattr(words, item.name)
        kind = {"str": str, "int": int, "bool": bool}.get(str(item.type))
        if kind is not None and type(value) is not kind:
            return f"{item.name}: is {value!r:.40}; write a {kind.__name__}"
    if words.mark not in Mark.__members__:
        return f"mark: is {words.mark!r:.40}; write {', '.join(Mark.__members__)}"
    if not 1 <= words.fps <= MAX_FPS:
        return f"fps: is {words.fps}; write 1 to {MAX_FPS}"
    for name, wanted in (("topics", str), ("messages_dropped", int)):
        table = getattr(words, name)
        if not isinstance(table, dict) or not all(type(v) is wanted for v in table.values()):
            return f"{name}: is no table of names"
    size = words.picture_size
    if not isinstance(size, tuple) or (
        size and (len(size) != 2 or not all(type(n) is int and 0 < n <= 4096 for n in size))
    ):
        return f"picture_size: is {size!r:.40}; write [height, width]"
    for name in ("begin_ns", "end_ns"):
        if not 0 <= getattr(words, name) < 2**63:
            return f"{name}: is no time"
    return text_problem("task", words.task)
