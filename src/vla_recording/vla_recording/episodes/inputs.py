# SPDX-License-Identifier: Apache-2.0
"""What an episode's rows are made of: the contract's sources, the command, and who holds the arm.

The action of a row is the reference of the controllers (`controller_state`): what the joints are
really commanded, behind planner and gate, whoever holds the arm. A plan may be refused or slowed
down, and a chunk is what somebody wanted. It is taken at the moment of the observation, as row 0
of a chunk is meant for the observation's stamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vla_contract.contract import (
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    STATE_TYPE,
    Contract,
    ImageSource,
    StateSource,
)
from vla_contract.images import ImageError, decompressed, to_rgb
from vla_contract.observation import Assembled, ObservationBuffer, Problem
from vla_contract.robot import Robot
from vla_policies import Observation
from vla_recording.episodes.errors import EpisodeError

# The command's two parts. No feature of a contract has such a name: policies know none.
COMMAND_ARM, COMMAND_GRIPPER = "action/arm", "action/gripper"
REFERENCE_TYPE = "control_msgs/msg/JointTrajectoryControllerState"
EXECUTOR_TYPE, POLICY_TYPE = "vla_msgs/msg/ExecutorStatus", "vla_msgs/msg/PolicyStatus"
EXECUTOR_TOPIC, POLICY_TOPIC = "arm/executor_status", "vla_policy_node/status"
# A controller publishes its state each cycle, 100 times a second or more often.
COMMAND_AGE_S = 0.2
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class EpisodeSources:
    """Which topics a row is made of.

    Attributes:
        contract: All of its features are recorded.
        robot: Names the controllers.
        picture_size: Height and width to which pictures are brought whose entry in the contract
            says `resize`; None: they stay as they come.
    """

    contract: Contract
    robot: Robot
    picture_size: tuple[int, int] | None = None

    @property
    def commands(self) -> tuple[StateSource, ...]:
        """The parts of the action, as sources."""
        contract, robot = self.contract, self.robot
        arm = tuple(j for j in contract.action_joints if j in robot.limits.joint_names)
        parts = [(COMMAND_ARM, robot.arm_controller, arm)]
        if robot.gripper.joint in contract.action_joints:
            parts.append((COMMAND_GRIPPER, robot.gripper.controller, (robot.gripper.joint,)))
        return tuple(
            StateSource(
                feature,
                f"{controller}/controller_state",
                "position",
                joints,
                contract.action_unit,
                COMMAND_AGE_S,
            )
            for feature, controller, joints in parts
        )

    @property
    def features(self) -> tuple[str, ...]:
        """The contract's features, and the parts of the command."""
        return tuple(s.feature for s in (*self.contract.sources, *self.commands))

    @property
    def topics(self) -> dict[str, str]:
        """Name, as the contract has it, and type of every topic that is needed or looked at."""
        found = {}
        for image in self.contract.images:
            found[image.topic] = COMPRESSED_TYPE if image.compressed else IMAGE_TYPE
        found |= {state.topic: STATE_TYPE for state in self.contract.states}
        found |= {command.topic: REFERENCE_TYPE for command in self.commands}
        return {**found, EXECUTOR_TOPIC: EXECUTOR_TYPE, POLICY_TOPIC: POLICY_TYPE}

    def image_shape(self, image: ImageSource) -> tuple[int | None, ...]:
        """Return (H, W, 3) of a camera's pictures in a row; None where any size will do."""
        if image.resize and self.picture_size:
            return (*self.picture_size, 3)
        return (None, None, 3)


@dataclass(frozen=True)
class InputsNow:
    """What the inputs are at one moment.

    Attributes:
        assembled: What a policy would see, and the stamps of its parts.
        action: (J,) what is commanded then, in the contract's order and units.
    """

    assembled: Assembled
    action: NDArray[np.float64]


class Inputs:
    """The newest of every source, and what is wrong with them.

    Attributes:
        fault: A message that was stamped before the one before it, or was heard before it; there
            is no way back from that. None where there was none.
        holder: Who holds the arm, empty where nobody does.
        policy_id: Which policy there is, empty where none was heard of.
        task: What the policy carries out, or did last.
    """

    def __init__(self, sources: EpisodeSources) -> None:
        """Start without a message."""
        contract, commands = sources.contract, sources.commands
        self._sources, self._contract = sources, contract
        heard = replace(contract, states=(*contract.states, *commands))
        shapes = {image.feature: sources.image_shape(image) for image in contract.images}
        self._buffer = ObservationBuffer(heard, shapes)
        self._images = _by_topic(contract.images)
        self._states = _by_topic(heard.states)
        # Newest stamp by topic and, of joints, by which ones the message has.
        self._stamps: dict[tuple[str, ...], int] = {}
        self._newest: dict[str, int] = {}
        self._heard_ns = 0
        self._features = sources.features
        names = {name: i for part in commands for i, name in enumerate(part.joints)}
        self._columns = [
            (COMMAND_ARM if j in sources.robot.limits.joint_names else COMMAND_GRIPPER, names[j])
            for j in contract.action_joints
        ]
        self.fault: Problem | None = None
        self.holder = self.policy_id = self.task = ""

    def anew(self) -> Inputs:
        """Return inputs that know who holds the arm, and nothing else."""
        found = Inputs(self._sources)
        found.holder, found.policy_id, found.task = self.holder, self.policy_id, self.task
        return found

    def hear(self, topic: str, message: Any, received_ns: int) -> None:
        """Take in a message.

        Args:
            topic: As the contract names it.
            message: With the fields of its type, or the error of reading it.
            received_ns: ROS time at which it was heard.
        """
        if received_ns < self._heard_ns:
            back_s = (self._heard_ns - received_ns) * 1e-9
            self._fail(topic, topic, f"was heard {back_s:.3f} s before the message before it: "
                       "the clock was set back")  # fmt: skip
            return
        self._heard_ns = received_ns
        if isinstance(message, EpisodeError):
            self._unread(topic, message, received_ns)
        elif topic == EXECUTOR_TOPIC:
            self.holder = str(message.holder)
        elif topic == POLICY_TOPIC:
            self.policy_id = str(message.policy_id)
            self.task = str(message.instruction) or self.task
        elif topic in self._images:
            self._hear_image(topic, message, received_ns)
        elif topic in self._states:
            self._hear_state(topic, message, received_ns)

    def problems(self, now_ns: int) -> tuple[Problem, ...]:
        """List what keeps a row from being made at a time, empty where nothing does."""
        if self.fault is not None:
            return (self.fault,)
        return self._buffer.problems(now_ns, now_ns)

    def look(self, now_ns: int, task: str) -> InputsNow | tuple[Problem, ...]:
        """Return what the inputs are, or everything that is wrong with them.

        Args:
            now_ns: ROS time.
            task: The instruction.
        """
        if self.fault is not None:
            return (self.fault,)
        found = self._buffer.assemble(now_ns, now_ns, task)
        if not isinstance(found, Assembled):
            return found
        seen, stamps = found.observation, dict(found.stamps_ns)
        command = {s.feature: seen.state[s.feature] for s in self._sources.commands}
        state = {s.feature: seen.state[s.feature] for s in self._contract.states}
        action = np.array([command[part][column] for part, column in self._columns])
        own = [stamps[source.feature] for source in self._contract.sources] or [now_ns]
        observation = Observation(max(own), dict(seen.images), state, task)
        return InputsNow(Assembled(observation, max(own) - min(own), stamps), action)

    def unchanged_since_ns(self, feature: str) -> int | None:
        """Return since which stamp a camera's picture is the same; None for what is no camera."""
        if any(image.feature == feature for image in self._contract.images):
            return self._buffer.unchanged_since_ns(feature)
        return None

    def ages_s(self, now_ns: int) -> list[float]:
        """Return how old the newest message of each source is, NaN of one never heard."""
        newest = self._newest
        return [
            (now_ns - newest[feature]) * 1e-9 if feature in newest else float("nan")
            for feature in self._features
        ]

    def _hear_image(self, topic: str, message: Any, received_ns: int) -> None:
        stamp_ns = _stamp(message)
        if not self._onward((topic,), stamp_ns):
            return
        for image in self._images[topic]:
            self._newest[image.feature] = stamp_ns
            try:
                pixels = _pixels(message, image)
            except ImageError as error:
                self._buffer.refuse(image.feature, str(error), stamp_ns, received_ns)
            else:
                self._buffer.image(image.feature, pixels, stamp_ns, received_ns)

    def _hear_state(self, topic: str, message: Any, received_ns: int) -> None:
        stamp_ns = _stamp(message)
        command = topic in {each.topic for each in self._sources.commands}
        names = list(message.joint_names if command else message.name)
        if not self._onward((topic, *names), stamp_ns):
            return
        for state in self._states[topic]:
            if command:
                # Humble's controllers call it desired.
                point = getattr(message, "reference", None) or message.desired
                values = point.positions
            else:
                values = getattr(message, state.field)
            found = np.array(values, dtype=np.float64)
            self._newest[state.feature] = stamp_ns
            self._buffer.state(state.feature, names, found, stamp_ns, received_ns)

    def _onward(self, key: tuple[str, ...], stamp_ns: int) -> bool:
        before = self._stamps.get(key)
        if before is not None and stamp_ns < before:
            topic = key[0]
            back_s = (before - stamp_ns) * 1e-9
            self._fail(self._feature(topic), topic, f"its stamp went back by {back_s:.3f} s")
            return False
        self._stamps[key] = stamp_ns
        return True

    def _unread(self, topic: str, error: EpisodeError, received_ns: int) -> None:
        if topic in self._images or topic in self._states:
            self._fail(self._feature(topic), topic, f"cannot be read: {error}")

    def _feature(self, topic: str) -> str:
        known = self._images.get(topic) or self._states.get(topic)
        return known[0].feature if known else topic

    def _fail(self, feature: str, topic: str, detail: str) -> None:
        if self.fault is None:
            self.fault = Problem(feature, topic, detail)


def _by_topic(sources: Any) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for source in sources:
        found.setdefault(source.topic, []).append(source)
    return found


def _stamp(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * SECOND_NS + int(stamp.nanosec)


def _pixels(message: Any, image: ImageSource) -> NDArray[np.uint8]:
    """Return RGB, (H, W, 3).

    Raises:
        ImageError: It is no such picture.
    """
    if image.compressed:
        return decompressed(bytes(message.data))
    if image.encoding is not None and message.encoding != image.encoding:
        raise ImageError(f"encoding is {message.encoding}, the contract says {image.encoding}")
    return to_rgb(
        message.data,
        message.encoding,
        int(message.height),
        int(message.width),
        int(message.step),
        image.read_as,
    )
