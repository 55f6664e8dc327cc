# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

from node_kit.tables import renew
from vla_recording.tables import TABLES


def test_the_table_of_the_readme_is_that_of_the_code():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "<!-- table: black_box -->\n|" in text
    assert renew(text, TABLES) == text


def test_the_examples_of_the_datasets_page_run_as_they_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[3] / "docs/reference/datasets.md"
    examples = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(example, {})
    assert "put the red cube in the bin []" in capsys.readouterr().out
