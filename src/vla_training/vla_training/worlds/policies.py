# SPDX-License-Identifier: Apache-2.0
"""Who acts in a world: its expert, or a policy that a file of ``config/worlds`` names.

The file is the section ``policy`` of a contract, and which of the world's cameras shows what the
policy's image features are called. There are no topics and no joints: a benchmark has its own
numbers for state and action, and the policy has to speak them (units ``native``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from strict_yaml import StrictYamlError, read_yaml
from vla_contract.table import ContractError, ContractTable
from vla_policies import Observation, Policy, check_action
from vla_policies.option_paths import beside
from vla_policies.protocol import NATIVE, FeatureKind, FeatureSpec
from vla_training.errors import TrainingError
from vla_training.evaluation.loading import OWN, PolicyChoice, open_policy
from vla_training.worlds.interface import Array, BenchmarkWorld, Picture

EXPERT = "expert"
SHARED = "shared"
_SAME_DT = 0.01  # of a step, by which a policy's rows may be further apart


@dataclass(frozen=True)
class WorldPolicyFile:
    """A policy for a world, read and checked; as much of a contract as `open_policy` reads.

    Attributes:
        path: Of the file, for messages.
        policy_name: As registered.
        policy_options: Its options.
        policy_process: `SHARED` with this process, or `OWN`.
        policy_python: Interpreter of its own process; empty for this one's.
        policy_environment: Variables of its own process.
        cameras: The world's camera by image feature.
    """

    path: str
    policy_name: str
    policy_options: Mapping[str, Any]
    policy_process: str
    policy_python: str
    policy_environment: Mapping[str, str]
    cameras: Mapping[str, str]


def read_policy_file(path: Path) -> WorldPolicyFile:
    """Read and check the file of a policy.

    Raises:
        TrainingError: It cannot be read, or a key is unknown, missing or wrong.
    """
    try:
        root = ContractTable(str(path), "", read_yaml(path))
        root.only("policy", "cameras")
        policy = root.table("policy")
        optional = ("process", "python", "environment")
        policy.only("name", "options", *optional, optional=optional)
        process = policy.choice("process", (SHARED, OWN))
        if process == SHARED and {"python", "environment"} & {*policy.keys}:
            raise policy.error(
                "process", f"is {SHARED}; write {OWN} for an environment of its own"
            )
        cameras = root.table("cameras")
        return WorldPolicyFile(
            path=str(path),
            policy_name=policy.text("name"),
            policy_options=beside(path, policy.table("options").value),
            policy_process=process,
            policy_python=policy.text("python") if "python" in policy.keys else "",
            policy_environment=policy.variables("environment"),
            cameras={feature: cameras.text(feature) for feature in cameras.keys},
        )
    except StrictYamlError as error:
        raise TrainingError(f"{path}: {error}") from None
    except ContractError as error:
        raise TrainingError(str(error)) from None


class WorldPolicy:
    """A policy in front of a world."""

    def __init__(self, world: BenchmarkWorld, policy: Policy, file: WorldPolicyFile) -> None:
        """Check that the policy fits the world.

        Args:
            world: Where it acts.
            policy: It is closed by `close`.
            file: Which camera shows what.

        Raises:
            TrainingError: It does not fit.
        """
        self._world, self._policy, self._path = world, policy, file.path
        spec, known = policy.spec, world.spec
        self._images: list[tuple[str, str, tuple[int, int]]] = []
        self._states: list[str] = []
        for feature in spec.observation:
            if feature.kind is FeatureKind.IMAGE:
                self._images.append(self._image(feature, file))
            else:
                self._check_state(feature)
                self._states.append(feature.name)
        if sorted(spec.joint_names) != sorted(known.action_names):
            raise self._error(
                f"joints: are {', '.join(spec.joint_names)}; an action of {known.name} has "
                f"{', '.join(known.action_names)}"
            )
        if spec.units != NATIVE:
            raise self._error(f"joints: are in {spec.units}; write {NATIVE} for each")
        if not abs(spec.dt_s / known.dt_s - 1.0) <= _SAME_DT:
            raise self._error(
                f"dt_s: its rows are {spec.dt_s:g} s apart, the steps of {known.name} "
                f"{known.dt_s:g} s; a policy has to be trained at that rate"
            )
        self._columns = [spec.joint_names.index(name) for name in known.action_names]

    @property
    def name(self) -> str:
        """Name and version of the policy, for records."""
        return self._policy.spec.policy_id

    @property
    def rows(self) -> int:
        """Of its chunks."""
        return self._policy.spec.chunk_size

    def reset(self) -> None:
        """A new episode begins."""
        self._policy.reset()

    def ask(self, task: str, now_ns: int) -> Array:
        """Look, and return a chunk (T, A) in the world's order.

        Raises:
            PolicyError: The policy cannot answer, or answers what it does not promise.
        """
        drawn: dict[tuple[str, tuple[int, int]], Picture] = {}
        images = {}
        for feature, camera, size in self._images:
            if (camera, size) not in drawn:
                drawn[camera, size] = self._world.picture(camera, size)
            images[feature] = drawn[camera, size]
        state = {name: self._world.state() for name in self._states}
        action = self._policy.infer(Observation(now_ns, images, state, task))
        check_action(action, self._policy.spec)
        return np.asarray(action.positions, dtype=np.float64)[:, self._columns]

    def close(self) -> None:
        """End the policy."""
        self._policy.close()

    def _image(
        self, feature: FeatureSpec, file: WorldPolicyFile
    ) -> tuple[str, str, tuple[int, int]]:
        known = self._world.spec
        camera = file.cameras.get(feature.name)
        if camera is None:
            raise self._error(
                f"cameras.{feature.name}: is missing; write which of {', '.join(known.cameras)} "
                "shows it"
            )
        if camera not in known.cameras:
            raise self._error(
                f"cameras.{feature.name}: {known.name} has no camera {camera!r}; it has "
                f"{', '.join(known.cameras)}"
            )
        height, width = feature.shape[:2]
        return feature.name, camera, (height or known.image_size[0], width or known.image_size[1])

    def _check_state(self, feature: FeatureSpec) -> None:
        known = self._world.spec
        if feature.shape[0] not in (None, len(known.state_names)):
            raise self._error(
                f"{feature.name}: the policy wants {feature.shape[0]} elements; {known.name} has "
                f"{', '.join(known.state_names)}"
            )
        if feature.names and feature.names != known.state_names:
            raise self._error(
                f"{feature.name}: is of {', '.join(feature.names)}; list "
                f"{', '.join(known.state_names)}"
            )
        if feature.units != NATIVE:
            raise self._error(f"{feature.name}: is in {feature.units}; write {NATIVE} for each")

    def _error(self, problem: str) -> TrainingError:
        return TrainingError(f"{self._path}: {problem}")


def open_world_policy(
    world: BenchmarkWorld,
    path: Path,
    checkpoint: Path | None,
    opened: Callable[[PolicyChoice, Path | None], Policy] | None = None,
) -> WorldPolicy:
    """Load the policy of a file, and put it in front of a world.

    Args:
        world: Where it acts.
        path: Of the file.
        checkpoint: In place of the file's; None for that.
        opened: Loads it; None for `open_policy`.

    Raises:
        TrainingError: It cannot be loaded, or does not fit.
    """
    file = read_policy_file(path)
    policy = (opened or open_policy)(file, checkpoint)
    try:
        return WorldPolicy(world, policy, file)
    except TrainingError:
        policy.close()
        raise
