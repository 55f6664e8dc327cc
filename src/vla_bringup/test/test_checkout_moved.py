# SPDX-License-Identifier: Apache-2.0
"""An environment belongs to the checkout that it was made in."""

import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).resolve().parents[3] / "Makefile"
ENVIRONMENTS = (".venv", ".venv-policy", ".venv-noble", ".venv-jammy")


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "a checkout"
    for name in ENVIRONMENTS:
        (folder / name).mkdir(parents=True)
    shutil.copy(MAKEFILE, folder)
    return folder


def held(checkout: Path, name: str) -> str:
    """Let make look at an environment, as it does when it holds that one's lock."""
    words = ["make", "--dry-run", f"ENVIRONMENT={name}/.installed", "make-environment"]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("word", ["EPISODE=20", "episodes=20", "POLICIES:=adversary"])
def test_a_setting_that_make_does_not_have_is_not_passed_over(checkout, word):
    """`make demo EPISODE=20` ran three episodes."""
    words = ["make", "--dry-run", "OUT=a folder/x=y", word, "help"]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    name = word.partition("=")[0].rstrip(":")
    assert f"nothing here is called {name}; there are ROBOT POLICY EPISODES" in done.stderr
    known = ["make", "--dry-run", "OUT=a folder/x=y", "EPISODES=20", "help"]
    assert subprocess.run(known, cwd=checkout, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_of_a_checkout_that_was_moved_or_copied_is_made_anew(checkout, name):
    for each in ENVIRONMENTS:
        (checkout / each / ".place").write_text("/where it was\n")
    assert f"{name} is made anew: it was made in /where it was" in held(checkout, name)
    there = {each for each in ENVIRONMENTS if (checkout / each).exists()}
    assert there == {*ENVIRONMENTS} - {name}


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_where_it_was_made_is_left_as_it_is(checkout, name):
    (checkout / name / ".place").write_text(f"{checkout.resolve()}\n")
    assert "anew" not in held(checkout, name)
    assert (checkout / name / ".place").exists()
