# SPDX-License-Identifier: Apache-2.0
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

pytest.importorskip("safetensors", reason="safetensors is not installed: vla_training[torch]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: vla_training[torch]")

from vla_training.evaluation.perturb import MEANINGS
from vla_training.rl.settings import ReinforcementSettings
from vla_training.settings import ImitationSettings, parse_settings
from vla_training.start import Size

PACKAGE = Path(__file__).resolve().parents[1]
TOP = PACKAGE.parents[1]


@pytest.mark.parametrize(
    ("settings", "file"),
    [(ImitationSettings(), "vla_training/settings.py"),
     (ReinforcementSettings(), "vla_training/rl/settings.py")],
)  # fmt: skip
def test_the_readme_lists_every_setting_with_its_default(settings, file):
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    table = text.split(f"a test holds them to {file}")[1].split("\n\n")[0]
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", table, flags=re.MULTILINE))
    for each in fields(settings):
        if each.name == "size":
            assert all(f"`{part.name}`" in table for part in fields(Size))
            continue
        value = getattr(settings, each.name)
        value = list(value) if isinstance(value, tuple) else value
        assert yaml.safe_load(told[each.name]) == value, each.name


def test_the_page_of_vla_eval_lists_every_perturbation_with_its_meaning():
    page = TOP / "docs" / "reference" / "evaluation.md"
    table = page.read_text(encoding="utf-8").split("| perturbation |")[1].split("\n\n")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.M)) == MEANINGS


def test_the_settings_of_the_tutorial_are_good():
    page = TOP / "docs" / "tutorials" / "first_recording_and_training.md"
    block = re.search(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.S).group(1)
    assert parse_settings(yaml.safe_load(block), page.name).steps > 0
