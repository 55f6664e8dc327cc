# SPDX-License-Identifier: Apache-2.0
"""From bags to a LeRobot dataset: the rows that were judged while the bag was recorded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from vla_recording.dataset import (
    IMAGE,
    VIDEO,
    Codec,
    ContractRows,
    DatasetWriter,
)
from vla_recording.dataset.catalogue import RowKind, load, own_features, read_info
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import checked_features
from vla_recording.dataset.files import INFO
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.holding import EpisodeHold
from vla_recording.episodes.inputs import EpisodeSources
from vla_recording.episodes.notes import EpisodeNotes
from vla_recording.episodes.preview import Preview
from vla_recording.episodes.reading import RecordedEpisode, Yielded, recovered
from vla_recording.episodes.rows import EpisodeRow
from vla_recording.episodes.words import EpisodeWords, read_words, write_words


@dataclass(frozen=True)
class Stored:
    """How pictures are stored.

    Attributes:
        pictures: `VIDEO`, or `IMAGE` (PNG, without loss); empty: as the dataset has them that is
            there, else video.
        codec: Of videos.
    """

    pictures: str = ""
    codec: Codec = field(default_factory=Codec)


def convert(
    bag: Path,
    dataset: Path,
    stored: Stored,
    say: Callable[[str], None],
    *,
    wait: bool = False,
) -> EpisodeWords:
    """Add an episode's rows to a dataset, which is made where there is none.

    Args:
        bag: Folder of the episode's bag.
        dataset: Folder of the dataset.
        stored: How pictures are stored.
        say: Is told, in words, what became of it.
        wait: For others that are at the bag or write on the dataset, rather than give up.

    Returns:
        What is said of the episode now; it is written into the bag's folder, too.

    Raises:
        EpisodeError: The bag cannot be used, is being recorded, or yields no rows.
        DatasetError: The rows do not fit the dataset, or it cannot be written.
    """
    with EpisodeHold(bag, wait=wait):
        words = read_words(bag)
        index = place_in(dataset, bag, words.name)
        if index is None:
            words = _converted(bag, words, dataset, stored, say, wait)
        else:
            say(f"{words.name}: is in {dataset} already, as episode {index}")
            if not words.dataset:
                # It was cut off before it could say so here.
                words = _counted(RecordedEpisode(bag, words), words)[1]
                words = replace(words, dataset=str(dataset.absolute()), episode_index=index)
                write_words(bag, words)
    return words


def misfit(dataset: Path, sources: EpisodeSources, fps: int, pictures: str) -> str:
    """Say why rows would not fit a dataset, empty where they will, and where there is none yet.

    Args:
        dataset: Its folder.
        sources: What rows are made of.
        fps: Rows a second.
        pictures: How they are stored, as `Stored` has it.
    """
    if not (dataset / INFO).is_file():
        return ""
    try:
        have, _ = read_info(dataset)
        sizes = {}
        for image in sources.contract.images:
            there, shape = have.features.get(image.feature), sources.image_shape(image)
            # Of a picture that stays as it comes nobody knows the size before it has come.
            known = there.shape if there is not None and there.is_picture else (64, 64, 3)
            sizes[image.feature] = (shape[0] or known[0], shape[1] or known[1])
        kind = kind_of_pictures(dataset, pictures)
        rows = ContractRows(sources.contract, sizes, stored=kind, holder=True)
        features = checked_features(rows.features, str(dataset))
        problem = have.misfit(RowKind(fps, sources.robot.name, features))
    except DatasetError as error:
        return str(error)
    return f"{dataset}: {problem}" if problem else ""


def place_in(dataset: Path, bag: Path, name: str) -> int | None:
    """Return the index of an episode in a dataset, None where it is not there.

    Raises:
        DatasetError: The dataset is damaged.
    """
    if not (dataset / INFO).is_file():
        return None
    return EpisodeNotes(dataset).find(name, bag, len(load(dataset).episodes))


def _converted(
    bag: Path,
    words: EpisodeWords,
    dataset: Path,
    stored: Stored,
    say: Callable[[str], None],
    wait: bool,
) -> EpisodeWords:
    episode = RecordedEpisode(bag, words)
    found, words = _counted(episode, words)
    for note in found.notes:
        say(f"{words.name}: {note}")
    if not found.rows:
        raise EpisodeError(f"{bag}: yields no row: {words.message or 'it is too short'}")
    index, no_video = _add(episode, found, words, dataset, stored, wait)
    if no_video:
        say(f"{words.name}: has no video to look at: {no_video}")
    words = replace(words, dataset=str(dataset.absolute()), episode_index=index)
    write_words(bag, words)
    say(f"{words.name}: {found.rows} rows are episode {index} of {dataset}")
    return words


def _counted(episode: RecordedEpisode, words: EpisodeWords) -> tuple[Yielded, EpisodeWords]:
    """Return what rows an episode has, and what is said of it now."""
    if words.end_ns:
        counted = words.rows, words.rows_intervened
        return Yielded(words.begin_ns, *counted, words.end_ns, None, ()), words
    found = episode.newest_stretch() if words.highlight else episode.survey()
    return found, recovered(words, found)


def _add(
    episode: RecordedEpisode,
    found: Yielded,
    words: EpisodeWords,
    dataset: Path,
    stored: Stored,
    wait: bool,
) -> tuple[int, str]:
    """Add the rows; return their episode's index, and why no preview was made of them."""
    contract = episode.sources.contract
    rows = episode.rows(found)
    first = next(rows, None)
    if first is None:
        raise _other_rows(episode, 0)
    pictures = first.assembled.observation.images
    sizes = {name: (pixels.shape[0], pixels.shape[1]) for name, pixels in pictures.items()}
    kind = kind_of_pictures(dataset, stored.pictures)
    maker = ContractRows(contract, sizes, stored=kind, holder=True)
    shown = contract.images[0].feature if contract.images else ""
    preview = Preview(episode.folder, shown, found.rows, words.fps)

    def add(row: EpisodeRow) -> None:
        writer.add_frame(
            maker.row(
                row.assembled,
                row.action,
                row.now_ns,
                holder=row.source,
                intervention=row.intervention,
            )
        )
        preview.add(row)

    robot = episode.sources.robot.name
    with (
        closing(preview),
        DatasetWriter(
            dataset,
            maker.features,
            words.fps,
            robot,
            resume=(dataset / INFO).is_file(),
            codec=stored.codec,
            wait=wait,
        ) as writer,
    ):
        add(first)
        count = 1
        for row in rows:
            add(row)
            count += 1
        if count != found.rows:
            raise _other_rows(episode, count)
        index = len(writer.catalogue.episodes)
        # Before the episode itself: what is noted and was never saved is told by its place.
        notes = EpisodeNotes(dataset)
        notes.cut(index)
        notes.note(index, words, episode.folder)
        writer.save_episode(words.task)
        # What is kept comes first, also on a disk that becomes full.
        preview.finish()
    return index, preview.problem


def _other_rows(episode: RecordedEpisode, count: int) -> EpisodeError:
    return EpisodeError(
        f"{episode.folder}: yields {count} rows, and {episode.words.rows} were counted when it "
        "was recorded: was a file of it exchanged?"
    )


def kind_of_pictures(dataset: Path, wanted: str) -> str:
    """Return how a dataset will have its pictures: `VIDEO` or `IMAGE`.

    Args:
        dataset: Its folder; there may be none yet.
        wanted: As `Stored` has it.

    Raises:
        DatasetError: It is damaged.
    """
    if wanted or not (dataset / INFO).is_file():
        return wanted or VIDEO
    kinds = {f.dtype for f in read_info(dataset)[0].features.values() if f.is_picture}
    return IMAGE if kinds == {IMAGE} else VIDEO


def delete_last(dataset: Path) -> str:
    """Take the newest episode out of a dataset, and return the name of its bag, where it is said.

    Raises:
        DatasetError: There is none, or the dataset cannot be written.
    """
    found = load(dataset)
    with DatasetWriter(
        dataset, own_features(found.features), found.fps, found.robot_type, resume=True
    ) as writer:
        notes, index = EpisodeNotes(dataset), len(writer.catalogue.episodes) - 1
        name = str(notes.told(index).get("episode", ""))
        writer.delete_last_episode()
        notes.cut(index)
    return name
