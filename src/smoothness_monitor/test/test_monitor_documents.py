# SPDX-License-Identifier: Apache-2.0
import ast
import re
import runpy
from pathlib import Path

import pytest

from node_kit.tables import renew
from smoothness_monitor.hazards import HAZARDS
from smoothness_monitor.tables import TABLES

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parents[1]
# What speaks of the stop.
OTHERS = ("src/vla_recording", "src/node_kit", "src/vla_operator", "verification")
SPOKEN = [PACKAGE, *(ROOT / name for name in OTHERS)]
DOCUMENTS = [PACKAGE / "README.md", ROOT / "SAFETY.md"]


def read(path):
    return path.read_text(encoding="utf-8")


def docstrings():
    return {
        node.name: ast.get_docstring(node) or ""
        for folder in SPOKEN
        for path in folder.glob("test/test_*.py")
        for node in ast.parse(read(path)).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_of_the_documents_are_those_of_the_code(path):
    assert renew(read(path), TABLES) == read(path)


def test_every_table_is_in_a_document():
    text = "".join(read(path) for path in DOCUMENTS)
    for name in TABLES:
        assert f"<!-- table: {name} -->\n|" in text


@pytest.mark.parametrize("hazard", HAZARDS, ids=lambda hazard: hazard.id)
def test_every_hazard_is_shown_by_tests_that_name_it(hazard):
    found = docstrings()
    assert hazard.tests
    for name in hazard.tests:
        assert re.match(rf"{hazard.id}\b", found[name]), name


def test_every_test_that_names_a_hazard_is_listed_with_it():
    listed = {(hazard.id, name) for hazard in HAZARDS for name in hazard.tests}
    for name, text in docstrings().items():
        named = re.match(r"(H\d+)\b", text)
        assert named is None or (named.group(1), name) in listed, name


def test_no_word_promises_more_than_there_is():
    files = [path for each in SPOKEN for kind in ("*.py", "*.md") for path in each.rglob(kind)]
    for path in files:
        if path != Path(__file__).resolve():
            words = r"\bsafe\b(?!=)|emergency stop|protective stop|\bSIL\b|\bPL [a-e]\b"
            assert not re.search(words, read(path)), path


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", read(PACKAGE / "README.md"), re.S).group(1)
    script = tmp_path / "example.py"
    script.write_text(code, encoding="utf-8")
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(script))
    assert "STARTUP" in capsys.readouterr().out
