# SPDX-License-Identifier: Apache-2.0
"""Read an episode out of its bag: what it says of itself, and the rows that it yields."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vla_contract.contract import ContractError, load_contract
from vla_contract.robot import RobotConfigError, load_robot
from vla_recording.episodes.decode import Decoder
from vla_recording.episodes.errors import EpisodeError
from vla_recording.episodes.inputs import EpisodeSources, Inputs
from vla_recording.episodes.rows import EpisodeRow, EpisodeRows, RowRefusal
from vla_recording.episodes.words import EndReason, EpisodeWords
from vla_recording.report.errors import ReportError
from vla_recording.report.files import Channel, Findings, messages, new_scratch

CONTRACT_TOPIC, ROBOT_TOPIC = "contract_file", "robot_file"
TEXT_TYPE, TEXT_DEFINITION = "std_msgs/msg/String", "string data"
# A raw picture of 4096 x 4096 in four bytes a pixel.
LARGEST_MESSAGE = 1 << 26


def text_message(text: str) -> bytes:
    """Return a std_msgs/String as it is on the wire."""
    raw = text.encode() + b"\0"
    return b"\0\1\0\0" + len(raw).to_bytes(4, "little") + raw


def load_sources(
    contract_text: str, robot_text: str, picture_size: tuple[int, ...] = ()
) -> EpisodeSources:
    """Return what a contract and a robot file say, of their texts.

    Raises:
        EpisodeError: One of them cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="episode_") as folder:
        paths = [Path(folder) / name for name in ("contract.yaml", "robot.yaml")]
        for path, text in zip(paths, (contract_text, robot_text), strict=True):
            path.write_text(text, encoding="utf-8")
        try:
            robot = load_robot(str(paths[1]))
            contract = load_contract(paths[0], robot.limits.joint_names, robot.gripper.joint)
        except (ContractError, RobotConfigError) as error:
            raise EpisodeError(str(error).replace(f"{folder}/", "recorded ")) from None
    size = (picture_size[0], picture_size[1]) if picture_size else None
    return EpisodeSources(replace(contract, path="the recorded contract"), robot, size)


@dataclass(frozen=True)
class Yielded:
    """What the rows of a bag come to.

    Attributes:
        begin_ns: Time of row 0, ROS time.
        rows: How many are kept.
        intervened: Of these, in which somebody other than the policy held the arm.
        end_ns: When the last message that counts was heard.
        refusal: The input that ended it; None where none did.
        notes: What is wrong with the file.
    """

    begin_ns: int
    rows: int
    intervened: int
    end_ns: int
    refusal: RowRefusal | None
    notes: tuple[str, ...]


class RecordedEpisode:
    """An episode's bag."""

    def __init__(self, folder: Path, words: EpisodeWords) -> None:
        """Find out what it is made of.

        Args:
            folder: Of the bag, or its MCAP file.
            words: What is said of it.

        Raises:
            EpisodeError: It has no contract, or nothing can be read.
        """
        self.folder, self.words = folder, words
        found: dict[str, str] = {}
        decoder = Decoder()
        for channel, _, data in self._messages(frozenset((TEXT_TYPE,)), Findings()):
            name = channel.topic.rpartition("/")[2]
            if name in (CONTRACT_TOPIC, ROBOT_TOPIC):
                decoder.learn(TEXT_TYPE, TEXT_DEFINITION)
                found[name] = str(decoder.decode(TEXT_TYPE, data).data)
            if len(found) == 2:
                break
        if len(found) < 2:
            raise EpisodeError(
                f"{folder}: has no contract and robot file in it; the episode recorder puts them "
                "there at the start of a bag"
            )
        self.sources = load_sources(found[CONTRACT_TOPIC], found[ROBOT_TOPIC], words.picture_size)
        self.notes: tuple[str, ...] = ()

    def survey(self) -> Yielded:
        """Return what its rows come to from where the words say, without keeping one."""
        inputs = Inputs(self.sources)
        rows, last_ns = self._rows(inputs, self.words.begin_ns), self.words.begin_ns
        for name, message, received_ns in self._heard():
            rows.until(received_ns)
            if rows.refusal is not None:
                break
            inputs.hear(name, message, received_ns)
            last_ns = max(last_ns, received_ns)
        end_ns = self.words.end_ns or last_ns
        rows.until(end_ns)
        made, refusal = (rows.made, rows.intervened), rows.refusal
        return Yielded(self.words.begin_ns, *made, end_ns, refusal, self.notes)

    def newest_stretch(self) -> Yielded:
        """Return the last stretch in which no input failed, since where the words say.

        Raises:
            EpisodeError: There is none.
        """
        inputs, rows = Inputs(self.sources), None
        found, begin_ns, why = None, 0, ""
        for name, message, received_ns in self._heard():
            if rows is not None:
                rows.until(received_ns)
                if rows.made:
                    made = rows.made, rows.intervened
                    found = Yielded(begin_ns, *made, received_ns, None, ())
                if rows.refusal is not None:
                    rows, inputs = None, Inputs(self.sources) if inputs.fault else inputs
            inputs.hear(name, message, received_ns)
            if rows is None and received_ns >= self.words.begin_ns:
                problems = inputs.problems(received_ns)
                why = str(problems[0]) if problems else ""
                if not problems:
                    begin_ns = received_ns + 1
                    rows = self._rows(inputs, begin_ns)
        if found is None:
            raise EpisodeError(f"{self.folder}: yields no row{': ' + why if why else ''}")
        return replace(found, notes=self.notes)

    def rows(self, found: Yielded) -> Iterator[EpisodeRow]:
        """Yield the rows that a survey has found."""
        inputs = Inputs(self.sources)
        rows = self._rows(inputs, found.begin_ns)
        for name, message, received_ns in self._heard():
            if received_ns > found.end_ns:
                break
            for row in rows.until(received_ns):
                if row.index < found.rows:
                    yield row
            if rows.made >= found.rows:
                return
            inputs.hear(name, message, received_ns)
        for row in rows.until(found.end_ns):
            if row.index < found.rows:
                yield row

    def _rows(self, inputs: Inputs, begin_ns: int) -> EpisodeRows:
        return EpisodeRows(self.sources, inputs, self.words.fps, begin_ns, self.words.task)

    def _heard(self) -> Iterator[tuple[str, Any, int]]:
        """Yield name, as the contract has it, message and time of all that rows are made of."""
        types = self.sources.topics
        names = _names(self.words.topics, types)
        decoder, findings = Decoder(), Findings(largest_message=LARGEST_MESSAGE)
        for channel, received_ns, data in self._messages(frozenset(types.values()), findings):
            name = names.get(channel.topic)
            if name is None or types[name] != channel.msgtype:
                continue
            decoder.learn(channel.msgtype, channel.definition)
            try:
                message = decoder.decode(channel.msgtype, data)
            except EpisodeError as error:
                message = error
            yield name, message, received_ns
        self.notes = tuple(findings.notes)

    def _messages(
        self, wanted: frozenset[str], findings: Findings
    ) -> Iterator[tuple[Channel, int, bytes]]:
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(new_scratch()))
            try:
                yield from messages(self.folder, wanted, findings, scratch)
            except ReportError as error:
                raise EpisodeError(str(error)) from None


def _names(topics: Mapping[str, str], types: Mapping[str, str]) -> dict[str, str]:
    """Return the contract's name of each topic of the bag."""
    return {topics.get(name, f"/{name}"): name for name in types}


def recovered(words: EpisodeWords, found: Yielded) -> EpisodeWords:
    """Return what is said of an episode whose recorder did not live to say it."""
    if words.end_ns:
        return words
    message, cut = words.message, 0
    reason = words.reason or EndReason.SHUT_DOWN.name
    if found.refusal is not None:
        message, cut = str(found.refusal), found.refusal.cut
        reason = EndReason.INPUT_REFUSED.name
    return replace(
        words,
        begin_ns=found.begin_ns,
        end_ns=found.end_ns,
        reason=reason,
        message=message or "the recorder ended without a word; what it had written is kept",
        rows=found.rows,
        rows_cut=cut,
        rows_intervened=found.intervened,
    )
