# SPDX-License-Identifier: Apache-2.0
"""A toy robot with three joints, its contract, and a policy that fits it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vla_contract.contract import load_contract
from vla_policies import FeatureKind, FeatureSpec, PolicySpec

ARM = ("pan", "lift", "elbow")
CONTRACT = (Path(__file__).with_name("three_joints") / "contract.yaml").read_text(encoding="utf-8")


@pytest.fixture
def write_contract(tmp_path: Path) -> Callable[..., Path]:
    """Write the contract, with one text replaced by another."""

    def write(old: str = "", new: str = "") -> Path:
        assert old in CONTRACT
        path = tmp_path / "contract.yaml"
        path.write_text(CONTRACT.replace(old, new) if old else CONTRACT)
        return path

    return write


@pytest.fixture
def contract(write_contract: Callable[..., Path]):
    return load_contract(write_contract(), ARM, "gripper")


@pytest.fixture
def spec() -> PolicySpec:
    return PolicySpec(
        policy_id="noise 1",
        observation=(
            FeatureSpec("observation.images.front", FeatureKind.IMAGE, (None, None, 3)),
            FeatureSpec("observation.state", FeatureKind.STATE, (4,), "rad"),
        ),
        joint_names=(*ARM, "gripper"),
        units="rad",
        dt_s=1 / 30,
        chunk_size=50,
    )
