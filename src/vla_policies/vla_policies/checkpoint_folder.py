# SPDX-License-Identifier: Apache-2.0
"""The folder that a user names, the checkpoint in it, and which one it is by its content.

A training run of LeRobot keeps its checkpoints as ``checkpoints/<step>/pretrained_model``, with a
link ``checkpoints/last``; so every one has the same name, and only its bytes tell it from others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vla_policies.protocol import PolicyError

CONFIG, BUNDLE = "config.json", "bundle.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"
MODEL, RUN, LAST, SNAPSHOTS = "pretrained_model", "checkpoints", "last", "snapshots"
ID_LENGTH = 12
# What says what a policy does. Others beside it, a readme or a log, may change.
_CONTENT = frozenset((".json", ".safetensors", ".xml", ".bin"))
_NO_CONTENT = frozenset(("train_config.json", "training_state.json"))
_PARTS = ("", "vlm")
_PIECE = 1 << 22


def find_checkpoint(given: str | Path) -> Path:
    """Return the checkpoint folder that a user means.

    It is the folder itself, LeRobot's ``pretrained_model`` in it, the last one of a training run,
    or the only snapshot of a folder of the hub's cache.

    Args:
        given: A local folder; nothing is downloaded.

    Raises:
        PolicyError: It holds no checkpoint, or one that cannot be run as it is; with what to do.
    """
    folder = Path(given).expanduser()
    if not folder.is_dir():
        on_hub = str(given).count("/") == 1
        hint = f"; run: hf download {given} --local-dir DIR" if on_hub else ""
        raise PolicyError(f"{given}: there is no such folder; give that of a checkpoint{hint}")
    for place in _places(folder):
        if (place / BUNDLE).is_file():
            return place
        if (place / ADAPTER_CONFIG).is_file() or (place / ADAPTER).is_file():
            raise PolicyError(_adapter(place))
        if (place / CONFIG).is_file():
            return place
    inside = (path for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{CONFIG}"))
    below = sorted(path.parent for path in inside)
    hint = f"give one of those in it, e.g. {below[0]}" if below else "give that of a checkpoint"
    raise PolicyError(f"{folder}: holds no {CONFIG}, so it is no checkpoint; {hint}")


def checkpoint_name(folder: Path) -> str:
    """Return what people call a checkpoint: of LeRobot's, the run and the step."""
    place = folder.resolve()
    if place.name != MODEL:
        return folder.name or place.name
    step = place.parent
    run = step.parent.parent if step.parent.name == RUN else step.parent
    return "/".join(part for part in (run.name, step.name) if part)


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a checkpoint's weights: one, or the shards that its index names.

    Raises:
        PolicyError: There are none, or the index or a shard is missing or damaged.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file():
        others = [p.name for p in folder.glob("*.bin")] + [p.name for p in folder.glob("*.pt*")]
        hint = f"; {others[0]} can run code and is not read" if others else ""
        raise PolicyError(f"{folder / WEIGHTS}: there is no such file; a checkpoint has one{hint}")
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        plain = all(Path(name).name == name for name in named)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        named, plain = set(), False
    if not named or not plain:
        raise PolicyError(f"{index}: names no files of this folder; copy the checkpoint again")
    for name in sorted(named):
        if not (folder / name).is_file():
            raise PolicyError(f"{folder / name}: is missing, {INDEX} names it; copy it too")
    return [folder / name for name in sorted(named)]


def content_id(files: Iterable[Path], options: Mapping[str, Any] | None = None) -> str:
    """Return which content this is, as `ID_LENGTH` hexadecimal digits.

    Args:
        files: Their names and all of their bytes count, where they lie does not.
        options: What else decides what a policy does.

    Raises:
        PolicyError: A file cannot be read.
    """
    found = hashlib.sha256()
    for path in sorted(files, key=lambda path: (path.name, str(path))):
        one = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    one.update(piece)
        except OSError as error:
            raise PolicyError(f"{path}: cannot be read ({error.strerror})") from None
        found.update(f"{path.name}\0".encode() + one.digest())
    if options:
        found.update(json.dumps(options, sort_keys=True, default=str).encode())
    return found.hexdigest()[:ID_LENGTH]


def content_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a checkpoint or a bundle that say what it does."""
    for part in _PARTS:
        place = folder / part
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.suffix in _CONTENT and path.name not in _NO_CONTENT and path.is_file():
                yield path


def _places(folder: Path) -> Iterator[Path]:
    """Yield where a checkpoint may lie, the best first."""
    yield folder
    yield folder / MODEL
    for run in (folder / RUN, folder):
        yield run / LAST / MODEL
        steps = [path for path in run.glob(f"*/{MODEL}") if path.parent.name.isdigit()]
        yield from sorted(steps, key=lambda path: -int(path.parent.name))
    snapshots = [path for path in folder.glob(f"{SNAPSHOTS}/*") if path.is_dir()]
    if len(snapshots) == 1:
        yield snapshots[0]
    elif snapshots:
        raise PolicyError(
            f"{folder}: holds {len(snapshots)} snapshots; give one of them, e.g. {snapshots[0]}"
        )


def _adapter(folder: Path) -> str:
    try:
        about = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        base = about["base_model_name_or_path"] or "its base"
    except (OSError, ValueError, KeyError, TypeError):
        base = "its base"
    return (
        f"{folder}: is a PEFT adapter, without the weights that it adapts; merge it once, where "
        f"it was trained: load {base}, then peft's PeftModel.from_pretrained(base, "
        f"{str(folder)!r}).merge_and_unload().save_pretrained(NEW), copy policy_*processor* of "
        "the adapter into NEW, and give that folder"
    )
