# SPDX-License-Identifier: Apache-2.0
"""The command vla-policy."""

import importlib
import sys

import pytest

from vla_policies import PolicyError, load_policy
from vla_policies.cli import VERBS, main


def test_help_lists_every_verb_and_needs_no_model_library(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


@pytest.mark.parametrize("found", ["10.4", "9.1", "14.2", None])
def test_the_websockets_of_a_distribution_are_named_with_what_to_install(
    tmp_path, capsys, monkeypatch, found
):
    def version(name):
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    for name in [name for name in sys.modules if name.startswith("vla_policies.wire")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "vla_policies.remote", raising=False)
    assert main(["serve", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"(found: {found or 'none'}," in error
    assert error.count("pip install") == error.count("pip install 'websockets>=15'") == 1
    with pytest.raises(PolicyError, match="pip install 'websockets>=15'"):
        load_policy("remote", {})
