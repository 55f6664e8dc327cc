# SPDX-License-Identifier: Apache-2.0
"""The contract: which topics feed which features of which policy, and what its action commands.

Nothing in it has a silent default. Every error is one line, ``file: key: problem; what to do``.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from strict_yaml import StrictYamlError, read_yaml
from vla_contract.images import ENCODINGS, READ_AS
from vla_contract.table import ContractError as ContractError
from vla_contract.table import ContractTable
from vla_contract.units import Unit
from vla_policies import FeatureKind, FeatureSpec, PolicySpec
from vla_policies.option_paths import beside
from vla_policies.protocol import NATIVE
from vla_policies.training import plain_name

IMAGE_TYPE = "sensor_msgs/msg/Image"
STATE_TYPE = "sensor_msgs/msg/JointState"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
RESIZE = ("stretch", "crop")
STATE_FIELDS = ("position", "velocity")
SHARED, OWN = "shared", "own"
REFUSE, WARN = "refuse", "warn"
CHUNKS = ("continue", "blend", "replace", "ensemble")
CONTINUOUS, STOP_AND_GO = "continuous", "stop_and_go"
# Where nothing is ever taken for frozen.
ENDLESS = "frozen_after_s"


@dataclass(frozen=True)
class ImageSource:
    """A camera topic that feeds an image feature.

    Attributes:
        feature: Name of the feature, as the policy knows it.
        topic: Relative topic name.
        encoding: The only encoding accepted, or None for any that can be converted to rgb8.
        max_age_s: Oldest image that may be used, s.
        frozen_after_s: Bit-identical images for longer than this are refused, s.
        compressed: The topic has JPEG or PNG files.
        read_as: What an encoding without an order of colours (8UC3) is.
        resize: How an image of another size than the policy's is brought to it; None: refused.
    """

    feature: str
    topic: str
    encoding: str | None
    max_age_s: float
    frozen_after_s: float
    compressed: bool = False
    read_as: str | None = None
    resize: str | None = None


@dataclass(frozen=True)
class StateSource:
    """A joint state topic that feeds a state feature.

    Attributes:
        feature: Name of the feature, as the policy knows it.
        topic: Relative topic name.
        field: Field of the message that is read, one of `STATE_FIELDS`.
        joints: Joints of the robot, in the order of the feature's elements.
        unit: Unit of the feature. The message is always in SI.
        max_age_s: Oldest state that may be used, s.
    """

    feature: str
    topic: str
    field: str
    joints: tuple[str, ...]
    unit: Unit
    max_age_s: float


@dataclass(frozen=True)
class Contract:
    """A contract that has been read and checked.

    Attributes:
        path: The file it was read from, for messages.
        policy_name: Name under which the policy is registered.
        policy_options: Options for the policy.
        policy_process: `SHARED` with the node, or `OWN`.
        policy_python: Interpreter of its own process; empty for the node's.
        policy_environment: Variables of its own process.
        unit_check: `REFUSE` numbers that look like another unit or order, or `WARN` of them.
        chunks: How a chunk follows the one before it, one of `CHUNKS`; None where the node says.
        execution: `CONTINUOUS`, or `STOP_AND_GO`: the arm rests while the policy is at work.
        images: One entry an image feature.
        states: One entry a state feature.
        action_joints: Joints of the robot, in the order of the action's columns.
        action_unit: Unit of the action's columns.
    """

    path: str
    policy_name: str
    policy_options: Mapping[str, Any]
    policy_process: str
    policy_python: str
    policy_environment: Mapping[str, str]
    unit_check: str
    chunks: str | None
    execution: str
    images: tuple[ImageSource, ...]
    states: tuple[StateSource, ...]
    action_joints: tuple[str, ...]
    action_unit: Unit

    @property
    def sources(self) -> tuple[ImageSource | StateSource, ...]:
        """Every source, images first."""
        return (*self.images, *self.states)

    def error(self, key: str, problem: str) -> ContractError:
        """Make an error that names this contract's file and a key of it."""
        return ContractError(f"{self.path}: {key}: {problem}")

    def narrowed_to(self, spec: PolicySpec) -> "Contract":
        """Return the contract with the features that a policy needs, and no others.

        Raises:
            ContractError: A feature is missing or of another kind, size or unit, or the action's
                columns are not the policy's.
        """
        sources = {source.feature: source for source in self.sources}
        images: list[ImageSource] = []
        states: list[StateSource] = []
        for feature in spec.observation:
            source = sources.get(feature.name)
            key = f"observation.{feature.name}"
            if source is None:
                raise self.error(key, self._missing(feature, spec))
            if isinstance(source, ImageSource):
                self._require_kind(key, feature, FeatureKind.IMAGE, STATE_TYPE)
                images.append(source)
            else:
                self._require_kind(key, feature, FeatureKind.STATE, IMAGE_TYPE)
                self._require_state(key, feature, source)
                states.append(source)
        self._require_columns(spec)
        return replace(self, images=tuple(images), states=tuple(states))

    def _missing(self, feature: FeatureSpec, spec: PolicySpec) -> str:
        """Say what to do about a feature that the contract lacks."""
        problem = f"{spec.policy_id} needs it, the contract has "
        problem += ", ".join(source.feature for source in self.sources) or "none"
        needed = {each.name for each in spec.observation}
        kind = ImageSource if feature.kind is FeatureKind.IMAGE else StateSource
        spare = [
            each.feature
            for each in self.sources
            if isinstance(each, kind) and each.feature not in needed
        ]
        if not spare:
            return f"{problem}; add it"
        return (
            f"{problem}; if {' or '.join(spare)} shows the same, write {feature.name} in its "
            "place: the key is the policy's name for it, the topic may have any"
        )

    def _require_kind(self, key: str, feature: FeatureSpec, kind: FeatureKind, other: str) -> None:
        if feature.kind is not kind:
            raise self.error(
                f"{key}.type", f"the policy needs kind {feature.kind.value} here; write {other}"
            )

    def _require_state(self, key: str, feature: FeatureSpec, source: StateSource) -> None:
        size = feature.shape[0]
        if size is not None and size != len(source.joints):
            raise self.error(
                f"{key}.joints", f"are {len(source.joints)}, the policy needs {size}; list {size}"
            )
        self._require_no_benchmark(key, feature.units)
        if feature.units != source.unit.name:
            raise self.error(
                f"{key}.units",
                f"is {source.unit.name}, the policy needs {feature.units}; write {feature.units}",
            )
        self._require_order(f"{key}.joints", source.joints, feature.names, "needs")

    def _require_no_benchmark(self, key: str, units: str) -> None:
        if units == NATIVE:
            raise self.error(
                key, "the policy speaks a benchmark's own numbers, which no arm follows; run it "
                "with vla-eval --world"
            )  # fmt: skip

    def _require_columns(self, spec: PolicySpec) -> None:
        if len(spec.joint_names) != len(self.action_joints):
            raise self.error(
                "action.joints",
                f"are {len(self.action_joints)}, the policy returns {len(spec.joint_names)} "
                f"columns ({', '.join(spec.joint_names)}); list one joint for each",
            )
        self._require_order("action.joints", self.action_joints, spec.joint_names, "returns")
        self._require_no_benchmark("action", spec.units)
        if spec.units != self.action_unit.name:
            raise self.error(
                "action.units",
                f"is {self.action_unit.name}, the policy returns {spec.units}; write {spec.units}",
            )

    def _require_order(
        self, key: str, joints: Sequence[str], names: Sequence[str], what: str
    ) -> None:
        # A policy may have words of its own for its joints, but must not mean another joint.
        for ours, theirs in zip(joints, map(plain_name, names), strict=False):
            if theirs in joints and theirs != ours:
                listed = ", ".join(map(plain_name, names))
                raise self.error(
                    key, f"{ours} stands where the policy {what} {theirs}; write [{listed}]"
                )


def load_contract(path: str | Path, arm: Collection[str], gripper: str | None) -> Contract:
    """Read and check a contract.

    Args:
        path: The YAML file.
        arm: The arm's joints, from the robot file. The action must command every one.
        gripper: The gripper's joint, or None for a robot without one.

    Raises:
        ContractError: The file is missing or any key of it is unknown, missing or wrong.
    """
    joints = (*arm, gripper) if gripper is not None else tuple(arm)
    try:
        document = read_yaml(path, unbounded=(ENDLESS,))
    except StrictYamlError as error:
        raise ContractError(f"{path}: {error}") from None

    root = ContractTable(str(path), "", document)
    root.only("policy", "observation", "action")
    policy = root.table("policy")
    own = ("python", "environment")
    optional = ("process", *own, "unit_check", "chunks", "execution")
    policy.only("name", "options", *optional, optional=optional)
    process = policy.one_of("process", (SHARED, OWN)) if "process" in policy.keys else SHARED
    for key in own:
        if process == SHARED and key in policy.keys:
            raise policy.error(key, f"is for a process of its own; write process: {OWN}, too")
    observation = root.table("observation")
    images: list[ImageSource] = []
    states: list[StateSource] = []
    for feature in observation.keys:
        source = observation.table(feature)
        kind = source.one_of("type", (IMAGE_TYPE, COMPRESSED_TYPE, STATE_TYPE))
        if kind != STATE_TYPE:
            images.append(_image(feature, source))
        else:
            states.append(_state(feature, source, joints))
    action = root.table("action")
    action.only("joints", "units")
    columns = action.joints(joints)
    missing = [joint for joint in arm if joint not in columns]
    if missing:
        raise action.error(
            "joints",
            f"lacks {', '.join(missing)}; a plan moves every joint of the arm, so list them all",
        )
    return Contract(
        path=str(path),
        policy_name=policy.text("name"),
        policy_options=beside(Path(path), policy.table("options").value),
        policy_process=process,
        policy_python=policy.text("python") if "python" in policy.keys else "",
        policy_environment=policy.variables("environment"),
        unit_check=policy.choice("unit_check", (REFUSE, WARN)),
        chunks=policy.one_of("chunks", CHUNKS) if "chunks" in policy.keys else None,
        execution=policy.choice("execution", (CONTINUOUS, STOP_AND_GO)),
        images=tuple(images),
        states=tuple(states),
        action_joints=columns,
        action_unit=action.unit(),
    )


def _image(feature: str, source: ContractTable) -> ImageSource:
    optional: tuple[str, ...] = ("resize",)
    compressed = source.value["type"] == COMPRESSED_TYPE
    if not compressed:
        optional = ("encoding", "read_as", "resize")
    source.only("topic", "type", "max_age_s", "frozen_after_s", *optional, optional=optional)

    def one_of(key: str, choices: tuple[str, ...]) -> str | None:
        return source.one_of(key, choices) if key in source.keys else None

    return ImageSource(
        feature=feature,
        topic=source.topic(),
        encoding=one_of("encoding", ENCODINGS),
        max_age_s=source.age(),
        frozen_after_s=source.positive(ENDLESS),
        compressed=compressed,
        read_as=one_of("read_as", READ_AS),
        resize=one_of("resize", RESIZE),
    )


def _state(feature: str, source: ContractTable, joints: tuple[str, ...]) -> StateSource:
    source.only("topic", "type", "field", "joints", "units", "max_age_s")
    return StateSource(
        feature=feature,
        topic=source.topic(),
        field=source.one_of("field", STATE_FIELDS),
        joints=source.joints(joints),
        unit=source.unit(),
        max_age_s=source.age(),
    )
