# SPDX-License-Identifier: Apache-2.0
"""The command smolvla, and what it and the policy say where a library is missing."""

import json
import sys

import pytest

from smolvla.cli import VERBS, main
from vla_policies import PolicyError, load_policy
from vla_policies.cli.serve import find


def test_help_lists_every_verb_and_needs_no_model_library(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


def test_make_tiny_writes_a_checkpoint_and_refuses_to_write_over_it(tmp_path, capsys):
    for name in ("safetensors", "tokenizers"):
        pytest.importorskip(name, reason=f"{name} is not installed: smolvla[torch]")
    folder = tmp_path / "tiny"
    assert main(["make-tiny", str(folder), "--cameras", "top"]) == 0
    assert (folder / "model.safetensors").is_file()
    capsys.readouterr()
    assert main(["make-tiny", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "holds something already" in error


@pytest.mark.parametrize(
    ("verb", "missing", "extra"),
    [("make-tiny", "safetensors", "torch"), ("convert", "openvino", "convert")],
)
def test_a_missing_library_says_what_to_install(
    tmp_path, capsys, monkeypatch, verb, missing, extra
):
    for name in [name for name in sys.modules if name.startswith("smolvla.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main([verb, str(tmp_path / "a"), *([str(tmp_path / "b")] * (verb == "convert"))]) == 2
    error = capsys.readouterr().err
    assert f"pip install './src/smolvla[{extra}]'" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("missing", ["safetensors", "tokenizers"])
def test_a_policy_whose_library_is_missing_says_what_to_install(monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith("smolvla.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(PolicyError, match=r"pip install '\./src/smolvla\[torch\]'") as caught:
        load_policy("smolvla", {"checkpoint": "x"})
    assert "\n" not in str(caught.value)


def test_vla_policy_serve_knows_a_checkpoint_by_its_type(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"type": "smolvla"}))
    assert find(str(tmp_path), {}) == ("smolvla", {"checkpoint": str(tmp_path)})
