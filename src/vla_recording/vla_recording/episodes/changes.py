# SPDX-License-Identifier: Apache-2.0
"""Change what is kept: the mark and the task of an episode, and whether it is there at all."""

from __future__ import annotations

from pathlib import Path

from vla_recording.dataset import set_task
from vla_recording.dataset.catalogue import load
from vla_recording.dataset.files import INFO
from vla_recording.episodes.convert import delete_last
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.notes import EpisodeNotes
from vla_recording.episodes.store import EpisodeFolder
from vla_recording.episodes.words import EpisodeWords, Mark, read_words, write_words


def place_in(dataset: Path, name: str) -> int | None:
    """Return the index of an episode in a dataset, None where it is not there.

    Raises:
        DatasetError: The dataset is damaged.
    """
    if not (dataset / INFO).is_file():
        return None
    return EpisodeNotes(dataset).find(name, len(load(dataset).episodes))


def edit(bag: Path, mark: Mark | None = None, task: str = "") -> EpisodeWords:
    """Change what is said of an episode, in its bag and in the dataset that has its rows.

    Raises:
        EpisodeError: The task is none, or it is no episode's bag.
        DatasetError: The dataset cannot be written.
    """
    before = read_words(bag)
    words = before.changed(mark, task)
    dataset = Path(words.dataset) if words.dataset else None
    index = place_in(dataset, words.name) if dataset else None
    if dataset and index is not None:
        if words.task != before.task:
            set_task(dataset, index, words.task)
        EpisodeNotes(dataset).note(index, words, bag)
    write_words(bag, words)
    return words


def delete_newest(folder: EpisodeFolder) -> str:
    """Take the newest episode out of the dataset, put its bag aside, and say what was done.

    Raises:
        EpisodeError: There is none, or it is in the dataset and not its last.
        DatasetError: The dataset cannot be written.
        OSError: The bag cannot be moved.
    """
    names = folder.names()
    if not names:
        raise EpisodeError(f"{folder.bags}: has no episode to delete")
    name, said = names[-1], ""
    index = place_in(folder.dataset, name)
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
