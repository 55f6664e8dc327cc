# SPDX-License-Identifier: Apache-2.0
"""Which files make a recording, and the messages in them, whoever wrote them.

The files themselves say what is in them. metadata.yaml is asked for their order and compression
alone: where it is edited, damaged or missing, they are read all the same.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vla_recording.report import unpack
from vla_recording.report.errors import ReportError

# No message of joints is larger, by far.
LARGEST_MESSAGE = 1 << 20
_LARGEST_METADATA = 16 << 20
SUFFIXES = (".mcap", ".db3", ".bag")
_MAGIC = {b"\x89MCAP0\r\n": ".mcap", b"SQLite format 3\0": ".db3", b"#ROSBAG V2.0\n": ".bag"}


@dataclass(eq=False)
class Channel:
    """One topic of one file.

    Attributes:
        topic: Its name.
        msgtype: As in ROS 2: package/msg/Name.
        encoding: Of its messages: cdr, ros1, or what is not read here.
        definition: Of its type, or empty.
        definition_format: msg, idl, or empty.
    """

    topic: str
    msgtype: str
    encoding: str
    definition: str = ""
    definition_format: str = ""


@dataclass
class Findings:
    """What was wrong with a recording, and what was seen of it.

    Attributes:
        notes: In words, each once.
        incomplete: Why something that was recorded may not have been read, or empty.
        channels: Every topic that was met.
        messages: Of each topic.
        largest_message: What is larger is left out, bytes.
    """

    notes: list[str] = field(default_factory=list)
    incomplete: str = ""
    channels: dict[str, Channel] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    largest_message: int = LARGEST_MESSAGE

    def note(self, line: str) -> None:
        """Note something that does not change what was seen."""
        if line not in self.notes and len(self.notes) < 50:
            self.notes.append(line)

    def lost(self, line: str) -> None:
        """Note that something was not read."""
        self.note(line)
        self.incomplete = self.incomplete or line


Messages = Iterator[tuple[Channel, int, bytes]]


def one_line(error: BaseException) -> str:
    """Return what a library says, as one line without its own hints of where to complain."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split("; please")[0].split(" Please report")[0][:300].rstrip(".")


def messages(path: Path, wanted: frozenset[str], findings: Findings, scratch: Path) -> Messages:
    """Yield channel, time of reception in ns and bytes of every message of the wanted types.

    Args:
        path: A rosbag2 folder, a file of it, or a file of ROS 1.
        wanted: Types, as in ROS 2.
        findings: Takes what is wrong.
        scratch: A folder for what must be unpacked.

    Raises:
        ReportError: It is no recording, or nothing of it can be read.
    """
    # Late, as each needs a module of its own.
    from vla_recording.report.mcap_file import read_mcap
    from vla_recording.report.ros1_file import read_ros1
    from vla_recording.report.sqlite_file import read_sqlite

    files, packed = _parts(path, findings)
    readers = {".mcap": read_mcap, ".db3": read_sqlite, ".bag": read_ros1}
    refused: list[str] = []
    for file in files:
        try:
            plain = _unpacked(file, scratch) if file.suffix == ".zstd" else file
            kind = _kind(plain, file)
            yield from readers[kind](plain, wanted, findings, scratch, packed)
        except (ReportError, OSError) as error:
            reason = str(error.strerror if isinstance(error, OSError) else error)
            line = reason if str(file) in reason else f"{file}: {reason}"
            if isinstance(error, PermissionError):
                line += "; give yourself the right to read it (chmod u+r)"
            refused.append(line)
            findings.lost(line)
    if len(refused) == len(files):
        raise ReportError("; ".join(refused))


def _parts(path: Path, findings: Findings) -> tuple[list[Path], bool]:
    """Return the files of a recording in order, and whether each message in them is packed."""
    try:
        if not path.exists():
            raise ReportError(
                f"{path}: does not exist; give a rosbag2 folder, or a .mcap, .db3 or .bag file"
            )
        if not path.is_dir():
            if not path.is_file():
                raise ReportError(f"{path}: is no file; give a folder, or a .mcap or .db3 file")
            folder = path.parent / "metadata.yaml"
            values = _metadata(folder, Findings()) if path.suffix == ".db3" else {}
            return [path], _packed(values)
        found = sorted(
            (
                file
                for file in path.iterdir()
                if file.suffix in SUFFIXES
                or (file.suffix == ".zstd" and file.with_suffix("").suffix in SUFFIXES)
            ),
            key=_numbered,
        )
    except OSError as error:
        raise ReportError(f"{path}: cannot be read ({error.strerror})") from None
    values = _metadata(path / "metadata.yaml", findings)
    listed = values.get("relative_file_paths")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    # What lies outside the folder is not part of it, whatever the list says.
    files = [path / Path(name).name for name in names if Path(name).name]
    missing = [file.name for file in files if not file.is_file()]
    present = [file for file in dict.fromkeys(files) if file.is_file()]
    gone = [
        name for name in missing if not any(name == other.name[: -len(".zstd")] for other in found)
    ]
    if gone:
        findings.lost(f"{path}: {', '.join(gone[:3])} of metadata.yaml is not there; copy it too")
    others = [file for file in found if file not in present]
    if values and others and present:
        findings.note(f"{others[0].name} is not listed in metadata.yaml, and is read too")
    present += others
    if not present:
        what = "metadata.yaml alone" if values else "neither metadata.yaml nor a recording"
        raise ReportError(
            f"{path}: is no rosbag2 folder: it has {what}; give one with .mcap or .db3 files"
        )
    return present, _packed(values)


def _numbered(file: Path) -> tuple[int, str]:
    """Order bag_2 before bag_10."""
    tail = file.name.split(".")[0].rsplit("_", 1)[-1]
    return (int(tail) if tail.isdigit() and len(tail) < 9 else 0, file.name)


def _packed(values: dict[str, Any]) -> bool:
    return str(values.get("compression_mode", "")).upper() == "MESSAGE"


def _metadata(file: Path, findings: Findings) -> dict[str, Any]:
    """Return what metadata.yaml says of the bag, or nothing."""
    try:
        if not file.is_file():
            return {}
        if file.stat().st_size > _LARGEST_METADATA:
            raise ReportError(f"larger than {_LARGEST_METADATA >> 20} MiB")
        values = yaml.load(file.read_text(encoding="utf-8"), Loader=_NoAliases)
        inner = values.get("rosbag2_bagfile_information") if isinstance(values, dict) else None
        if not isinstance(inner, dict):
            raise ReportError("is not a bag's")
        return inner
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        findings.note(f"metadata.yaml cannot be used ({one_line(error)}); the files are read")
        return {}


class _NoAliases(yaml.SafeLoader):
    """YAML without references: a small file of them makes a large list."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise ReportError("it has references")
        return super().compose_node(parent, index)


def _kind(file: Path, named: Path) -> str:
    """Return what a file is by its first bytes; its name may lie."""
    if file.stat().st_size == 0:
        raise ReportError(f"{named}: is empty; nothing was recorded, or it was never written out")
    with file.open("rb") as stream:
        begins = stream.read(16)
    for magic, kind in _MAGIC.items():
        if begins.startswith(magic):
            return kind
    suffix = file.suffix if file.suffix in SUFFIXES else ""
    if suffix:
        raise ReportError(
            f"{named}: cannot be read: it does not begin as a {suffix} file does; is it damaged, "
            "or a pointer of Git LFS (git lfs pull)?"
        )
    raise ReportError(f"{named}: is no rosbag2 file; give a folder, or a .mcap or .db3 file")


def _unpacked(file: Path, scratch: Path) -> Path:
    """Unpack a file that rosbag2 compressed as a whole."""
    target = scratch / file.with_suffix("").name
    room = shutil.disk_usage(scratch).free // 2
    written = 0
    try:
        with file.open("rb") as packed, target.open("wb") as plain:
            for data in unpack.parts(packed):
                written += len(data)
                if written > room:
                    raise ReportError(
                        f"{file}: unpacks to more than half of the room in {scratch.parent}; "
                        "set TMPDIR to a folder on a larger disk"
                    )
                plain.write(data)
    except unpack.PackedError as error:
        if not written:
            raise ReportError(f"{file}: cannot be unpacked: {one_line(error)}") from None
    return target


def new_scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that goes when it is closed."""
    return tempfile.TemporaryDirectory(prefix="smoothness_")
