# SPDX-License-Identifier: Apache-2.0
"""The command vla-policy."""

import pytest

from vla_policies.cli import VERBS, main


def test_help_lists_every_verb_and_needs_no_model_library(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


def test_make_tiny_writes_a_checkpoint_and_refuses_to_write_over_it(tmp_path, capsys):
    for name in ("safetensors", "tokenizers"):
        pytest.importorskip(name, reason=f"{name} is not installed: vla_policies[smolvla]")
    folder = tmp_path / "tiny"
    assert main(["make-tiny", str(folder), "--cameras", "top"]) == 0
    assert (folder / "model.safetensors").is_file()
    capsys.readouterr()
    assert main(["make-tiny", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "holds something already" in error
