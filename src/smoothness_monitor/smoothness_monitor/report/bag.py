# SPDX-License-Identifier: Apache-2.0
"""Read the joints' motion out of a rosbag2 recording, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smoothness_monitor.report.errors import ReportError
from smoothness_monitor.report.streams import Recording, Role, StreamBuilder

try:
    from rosbags.interfaces import Connection, MessageDefinitionFormat
    from rosbags.rosbag2 import Reader
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
    from rosbags.typesys.store import Typestore
except ImportError as error:
    raise ReportError(f"reading bags needs rosbags: pip install rosbags ({error})") from None

from smoothness_monitor.report.layouts import CONTROLLER_STATE, JOINT_STATE, typestores

# A topic of joint states that carries what is asked of the joints, not where they are.
COMMAND_WORDS = ("command", "cmd", "target", "desired", "goal", "setpoint", "reference")
SUFFIXES = (".mcap", ".db3")

Deserialise = Callable[[bytes], Any]


def read_bag(path: Path) -> Recording:
    """Read every topic of joint states and controller states.

    Args:
        path: A rosbag2 folder, or one of its files (.mcap, .db3).

    Raises:
        ReportError: It is no bag, it cannot be read, or it has no such topic with a message.
    """
    builders: dict[tuple[str, str], StreamBuilder] = {}
    notes: list[str] = []
    seen: list[int] = []
    with _opened(path) as reader:
        wanted = [c for c in reader.connections if c.msgtype in (JOINT_STATE, CONTROLLER_STATE)]
        if not wanted:
            count = len({c.topic for c in reader.connections})
            raise ReportError(
                f"{path}: {count} topics, but none of sensor_msgs/JointState or "
                "control_msgs/JointTrajectoryControllerState; record joint_states"
            )
        decoders = _Decoders(path, notes)
        try:
            for connection, received_ns, data in reader.messages(wanted):
                message = decoders.decode(connection, bytes(data))
                seen.append(received_ns)
                if message is not None:
                    _take(builders, connection, received_ns, message)
        except ReportError:
            raise
        except Exception as error:
            # What a damaged file makes a library raise is not its interface.
            if not seen:
                raise ReportError(f"{path}: cannot be read: {_line(error)}") from None
            notes.append(f"the recording is damaged, the rest was left out: {_line(error)}")
    streams = [stream for builder in builders.values() for stream in builder.build()]
    if not streams:
        topics = ", ".join(sorted({c.topic for c in wanted}))
        reason = "; ".join(notes) or "no message has a position"
        raise ReportError(f"{path}: nothing to report on {topics}: {reason}")
    return Recording(path, min(seen), max(seen), tuple(streams), tuple(notes))


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    """Open a bag, given its folder or a file of it."""
    if not path.exists():
        raise ReportError(
            f"{path}: does not exist; give a rosbag2 folder, or a .mcap or .db3 file"
        )
    target = path
    if path.is_dir() and not (path / "metadata.yaml").exists():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if len(files) != 1:
            what = f"{len(files)} recordings" if files else "neither metadata.yaml nor a recording"
            raise ReportError(f"{path}: is no rosbag2 folder: it has {what}; give one file")
        (target,) = files
    elif path.is_file() and path.suffix not in SUFFIXES:
        raise ReportError(f"{path}: is no rosbag2 file; give a folder, or a .mcap or .db3 file")
    if target.is_file() and target.stat().st_size == 0:
        raise ReportError(f"{target}: is empty; nothing was recorded")
    try:
        reader = Reader(target)
        reader.open()
    except Exception as error:
        # Databases, decompressors and parsers each raise their own on a damaged file.
        hint = "; it was cut off: try `mcap recover`" if _is_cut(target) else ""
        raise ReportError(f"{path}: cannot be read: {_line(error)}{hint}") from None
    try:
        yield reader
    finally:
        reader.close()


def _is_cut(path: Path) -> bool:
    """Return whether an MCAP file, or the one in a folder, lacks its end."""
    magic = b"\x89MCAP0\r\n"
    for file in sorted(path.glob("*.mcap")) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            begins = stream.read(len(magic)) == magic
            stream.seek(max(-len(magic), -file.stat().st_size), 2)
            if begins and stream.read() != magic:
                return True
    return False


class _Decoders:
    """One deserialiser for each topic: by the bag's own definition, else by a known layout."""

    def __init__(self, path: Path, notes: list[str]) -> None:
        self._path, self._notes = path, notes
        self._known: dict[int, Deserialise | None] = {}
        self._layouts: list[Typestore] = []

    def decode(self, connection: Connection, data: bytes) -> Any | None:
        """Return the message, or None where it cannot be understood (which is noted once)."""
        if connection.id not in self._known:
            self._known[connection.id] = self._find(connection, data)
        decode = self._known[connection.id]
        if decode is None:
            return None
        try:
            return decode(data)
        except Exception as error:
            self._note(f"messages on {connection.topic} are damaged: {_line(error)}")
            return None

    def _note(self, line: str) -> None:
        if line not in self._notes:
            self._notes.append(line)

    def _find(self, connection: Connection, data: bytes) -> Deserialise | None:
        if connection.msgdef.format != MessageDefinitionFormat.NONE:
            try:
                return _by(_own_types(connection), connection.msgtype)
            except Exception as error:
                self._note(f"the definition of {connection.msgtype} is unusable: {_line(error)}")
        self._layouts = self._layouts or typestores()
        for store in self._layouts:
            decode = _by(store, connection.msgtype)
            try:
                decode(data)
            except Exception:
                continue
            return decode
        self._note(f"{connection.topic}: {connection.msgtype} has a layout that is not known here")
        return None


def _own_types(connection: Connection) -> Typestore:
    """Return the types that the bag defines for a topic."""
    text = connection.msgdef.data
    store = get_typestore(Stores.EMPTY)
    if connection.msgdef.format == MessageDefinitionFormat.MSG:
        store.register(get_types_from_msg(text, connection.msgtype))
        return store
    for part in text.split("=" * 80 + "\n"):
        if part.startswith("IDL: "):
            part = part.split("\n", 1)[1]
        if part.strip():
            store.register(get_types_from_idl(part))
    return store


def _by(store: Typestore, msgtype: str) -> Deserialise:
    return lambda data: store.deserialize_cdr(data, msgtype)


def _take(
    builders: dict[tuple[str, str], StreamBuilder],
    connection: Connection,
    received_ns: int,
    message: Any,
) -> None:
    """Add a message's content to the streams of its topic."""
    topic = connection.topic
    stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec

    def builder(source: str, role: Role) -> StreamBuilder:
        return builders.setdefault((topic, source), StreamBuilder(topic, source, role))

    if connection.msgtype == JOINT_STATE:
        last = topic.lower().rsplit("/", 1)[-1]
        role = Role.COMMAND if any(word in last for word in COMMAND_WORDS) else Role.MEASURED
        builder("", role).add(
            stamp_ns, received_ns, message.name, message.position, message.velocity
        )
        return
    now = hasattr(message, "reference")
    for source, role in (
        ("reference" if now else "desired", Role.COMMAND),
        ("feedback" if now else "actual", Role.MEASURED),
    ):
        point = getattr(message, source)
        # What is commanded is that of trajectory time; what is measured, that of the stamp.
        elapsed_ns = 0
        if role is Role.COMMAND:
            elapsed_ns = point.time_from_start.sec * 1_000_000_000 + point.time_from_start.nanosec
        builder(source, role).add(
            stamp_ns,
            received_ns,
            message.joint_names,
            point.positions,
            point.velocities,
            elapsed_ns,
        )


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rstrip(".")
