# SPDX-License-Identifier: Apache-2.0
"""`vla-record`: make a dataset of recorded episodes, list them, change what is said of them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vla_recording.dataset import IMAGE, VIDEO, Codec, DatasetError
from vla_recording.episodes.changes import delete_newest, edit
from vla_recording.episodes.convert import Stored, convert, place_in
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.listing import listed
from vla_recording.episodes.store import DATASET, EpisodeFolder
from vla_recording.episodes.words import FILE, Mark

DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 where something could not be done."""
    parser = argparse.ArgumentParser(prog="vla-record", description=__doc__)
    parser.add_argument("--nice", type=int, default=0, help="let other processes go first")
    parser.add_argument(
        "--wait", action="store_true", help="for others that convert just now, in place of failing"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_convert(verbs)
    verb = verbs.add_parser("list", help="list the episodes of a recorder's folder")
    verb.add_argument("folder", type=Path, help="that the recorder writes to")
    _add_changes(verbs)
    given = parser.parse_args(arguments)
    if given.nice:
        os.nice(given.nice)
    try:
        code = int(_VERBS[given.verb](given))
        sys.stdout.flush()
        return code
    except (EpisodeError, DatasetError) as error:
        return _failed(given.verb, str(error))
    except BrokenPipeError:
        # Whoever reads has enough, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        return _failed(given.verb, f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        return 130


def _failed(verb: str, text: str) -> int:
    print(f"vla-record {verb}: {' '.join(text.split())}", file=sys.stderr)
    return FAILED


def _add_convert(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser(
        "convert",
        help="make rows of bags",
        description="Add the rows of episodes to a LeRobot dataset, which is made where there is "
        "none. An episode that is in it already is passed over. What a recorder that was killed "
        "left is converted as far as it goes.",
    )
    verb.add_argument("bags", type=Path, nargs="+", help="folders of bags, or of a recorder")
    verb.add_argument(
        "--output", type=Path, help="folder of the dataset (default: beside the recorder's bags)"
    )
    verb.add_argument(
        "--pictures",
        choices=[VIDEO, IMAGE],
        default="",
        help="video, or image: PNG without loss (default: as the dataset has them, else video)",
    )
    verb.add_argument(
        "--codec", choices=["libsvtav1", "h264"], default="libsvtav1", help="of videos"
    )


def _add_changes(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("mark", help="say how an episode went")
    verb.add_argument("bag", type=Path, help="its folder")
    verb.add_argument("mark", choices=[mark.name.lower() for mark in Mark])
    verb = verbs.add_parser("retask", help="give an episode another instruction")
    verb.add_argument("bag", type=Path, help="its folder")
    verb.add_argument("task", help="the instruction")
    verb = verbs.add_parser(
        "delete-last", help="take the newest episode out of the dataset and put its bag aside"
    )
    verb.add_argument("folder", type=Path, help="that the recorder writes to")


def _bags(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        folder = EpisodeFolder(path)
        if (path / FILE).is_file() or not folder.names():
            found.append(path)
        else:
            found += [folder.bag(name) for name in folder.names()]
    return found


def _convert(given: argparse.Namespace) -> int:
    stored, code = Stored(given.pictures, Codec(given.codec)), DONE
    for bag in _bags(given.bags):
        output = given.output or bag.absolute().parent.parent / DATASET
        try:
            convert(bag, output, stored, print, wait=given.wait)
        except (EpisodeError, DatasetError) as error:
            code = _failed("convert", str(error))
    return code


def _list(given: argparse.Namespace) -> int:
    folder = EpisodeFolder(given.folder)
    names = folder.names()
    if not names:
        raise EpisodeError(f"{folder.bags}: has no episode")
    code = DONE
    for episode in listed(folder, names):
        name, words = episode.name, episode.words
        if words is None:
            code = _failed("list", episode.problem)
            continue
        index = place_in(folder.dataset, folder.bag(name), name)
        place = "not converted" if index is None else f"episode {index}"
        rows = f"{words.rows} rows" if words.end_ns else "rows not counted"
        ended = words.reason.lower() or "not ended"
        print(f"{name}  {rows}  {words.mark.lower()}  {ended}  {place}  {words.task}")
    return code


def _mark(given: argparse.Namespace) -> int:
    edit(given.bag, mark=Mark[given.mark.upper()])
    return DONE


def _retask(given: argparse.Namespace) -> int:
    if not given.task.strip():
        raise EpisodeError("task: is empty; write what is to be done")
    edit(given.bag, task=given.task)
    return DONE


def _delete_last(given: argparse.Namespace) -> int:
    print(delete_newest(EpisodeFolder(given.folder)))
    return DONE


_VERBS = {
    "convert": _convert,
    "list": _list,
    "mark": _mark,
    "retask": _retask,
    "delete-last": _delete_last,
}

if __name__ == "__main__":
    sys.exit(main())
