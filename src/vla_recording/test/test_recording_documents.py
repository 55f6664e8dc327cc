# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from node_kit.tables import renew
from vla_recording.tables import TABLES


def test_the_table_of_the_readme_is_that_of_the_code():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "<!-- table: black_box -->\n|" in text
    assert renew(text, TABLES) == text
