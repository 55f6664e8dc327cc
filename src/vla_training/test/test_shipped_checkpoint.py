# SPDX-License-Identifier: Apache-2.0
"""The policy that comes with the repository does what the contract says that it is for."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: vla_training[torch]")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")
pytest.importorskip("mujoco")

from vla_training.evaluation.loading import load_student
from vla_training.evaluation.trial import COLOURS, TrialCase, TrialSetup, TrialWorld

CONFIG = Path(__file__).resolve().parents[3] / "config"


def test_the_checkpoint_of_the_contract_brings_the_named_cubes_into_the_bin():
    setup = TrialSetup(
        CONFIG / "robots/so101/robot.yaml",
        CONFIG / "policies/so101_smolvla_cubes.yaml",
        limit_s=20.0,
    )
    # In this process: the interpreter that the contract names may be nowhere here.
    world = TrialWorld(
        setup, lambda contract, _: load_student(contract, contract.policy_options["checkpoint"])
    )
    try:
        cases = [TrialCase("smooth", (0.05, 0.10), "none", 0, colour) for colour in COLOURS]
        results = [world.run(case) for case in cases]
    finally:
        world.close()
    # It succeeds in 99 of 100; another processor rounds otherwise.
    assert sum(each.success for each in results) >= 2, results
