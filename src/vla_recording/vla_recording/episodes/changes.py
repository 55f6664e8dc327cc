# SPDX-License-Identifier: Apache-2.0
"""Change what is kept: the mark and the task of an episode, and whether it is there at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vla_recording.dataset import set_task
from vla_recording.dataset.catalogue import load
from vla_recording.episodes.convert import delete_last, place_in
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.holding import EpisodeHold
from vla_recording.episodes.notes import EpisodeNotes
from vla_recording.episodes.store import DATASET, EpisodeFolder
from vla_recording.episodes.words import EpisodeWords, Mark, read_words, write_words


def edit(bag: Path, mark: Mark | None = None, task: str = "") -> EpisodeWords:
    """Change what is said of an episode, in its bag and in the datasets that have its rows.

    Raises:
        EpisodeError: The task is none, it is no episode's bag, or is being recorded.
        DatasetError: A dataset cannot be written.
    """
    with EpisodeHold(bag):
        before = read_words(bag)
        words = before.changed(mark, task)
        for dataset, index in _places(bag, words):
            if words.task != before.task:
                set_task(dataset, index, words.task)
            EpisodeNotes(dataset).note(index, words, bag)
        write_words(bag, words)
    return words


def _places(bag: Path, words: EpisodeWords) -> Iterator[tuple[Path, int]]:
    """Yield each dataset that has an episode's rows, and its index there."""
    beside = bag.absolute().parent.parent / DATASET
    named = Path(words.dataset) if words.dataset else beside
    for dataset in {beside.resolve(): beside, named.resolve(): named}.values():
        index = place_in(dataset, bag, words.name)
        if index is None:
            continue
        # A recorder's folder may have been copied: the first one's dataset is not this bag's.
        of = Path(str(EpisodeNotes(dataset).told(index).get("bag", bag)))
        if dataset == beside or not of.exists() or of.resolve() == bag.resolve():
            yield dataset, index


def delete_newest(folder: EpisodeFolder, name: str = "") -> str:
    """Take the newest episode out of the dataset, put its bag aside, and say what was done.

    Args:
        folder: That the recorder writes to.
        name: Which one is meant; empty for whichever is the newest.

    Raises:
        EpisodeError: There is none, another is meant, or it is in the dataset and not its last.
        DatasetError: The dataset cannot be written.
        OSError: The bag cannot be moved.
    """
    names = folder.names()
    if not names:
        raise EpisodeError(f"{folder.bags}: has no episode to delete")
    newest = names[-1]
    if name not in ("", newest):
        raise EpisodeError(f"only the newest episode is deleted, which is {newest}")
    with EpisodeHold(folder.bag(newest)):
        return _delete(folder, newest)


def _delete(folder: EpisodeFolder, name: str) -> str:
    said = ""
    index = place_in(folder.dataset, folder.bag(name), name)
    if index is not None:
        count = len(load(folder.dataset).episodes)
        if index != count - 1:
            raise EpisodeError(
                f"{name}: is episode {index} of {count} in {folder.dataset}; only the last can "
                "be taken out"
            )
        delete_last(folder.dataset)
        said = f"episode {index} is taken out of {folder.dataset}, "
    return f"{said}the bag is in {folder.take_out(name)}"
