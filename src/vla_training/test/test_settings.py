# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

pytest.importorskip("safetensors", reason="safetensors is not installed: vla_training[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: vla_training[torch]")

from vla_training.errors import TrainingError
from vla_training.rl.settings import read_reinforcement
from vla_training.settings import ImitationSettings, parse_settings, read_settings

TRAINING = Path(__file__).resolve().parents[3] / "config/training"


def test_settings_are_read_from_a_file(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("steps: 700\nlearning_rate: 0.002\nrelative: [pan]\nsize: {text_layers: 6}\n")
    found = read_settings(path)
    assert (found.steps, found.learning_rate, found.relative) == (700, 0.002, ("pan",))
    assert found.size.text_layers == 6
    assert found.batch == ImitationSettings().batch


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stepz: 3", "stepz: is unknown"),
        ("steps: 0", "steps: is 0; write 1 to"),
        ("steps: 3.5", "steps: is 3.5; write a whole number"),
        ("steps: true", "steps: is True; write a whole number"),
        ("learning_rate: .nan", "learning_rate"),
        ("learning_rate: .inf", "learning_rate"),
        ("learning_rate: fast", "write a number"),
        ("batch: 100000", "batch: is 100000; write 1 to 4096"),
        ("train: some", "train: is 'some'; write all or expert"),
        ("optimiser: sgd", "optimiser: is 'sgd'; write adamw or muon"),
        ("precision: int8", "precision: is 'int8'; write float32 or bfloat16"),
        ("stored: int8", "stored: is 'int8'; write float32 or bfloat16"),
        ("compile: 1", "compile: is 1; write true or false"),
        ("near_weight: -1", "near_weight: is -1; write 0 to 100"),
        ("relative: pan", "relative: is 'pan'; write a list"),
        ("relative: [pan, pan]", "each once"),
        ("size: {image: 100}", "no multiple of patch x shuffle"),
        ("size: {text_hidden: 100}", "write a multiple of 64"),
        ("size: {depth: 3}", "size.depth: is unknown"),
        ("steps: 10", "refer_steps: is 600, more than the 10"),
        ("- steps", "is no mapping"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line_that_names_it(tmp_path, text, says):
    path = tmp_path / "settings.yaml"
    path.write_text(text + "\n")
    with pytest.raises(TrainingError) as caught:
        read_settings(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_kept_of_settings_gives_them_again():
    settings = ImitationSettings(steps=700, relative=("pan",))
    assert parse_settings(settings.document(), "kept") == settings


@pytest.mark.parametrize("path", sorted(TRAINING.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_settings_of_here_can_be_read(path):
    assert (read_reinforcement if path.stem.endswith("_rl") else read_settings)(path)
