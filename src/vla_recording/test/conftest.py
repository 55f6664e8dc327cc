# SPDX-License-Identifier: Apache-2.0
"""Test files import what lies beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def graph(tmp_path):
    """The episode recorder as a node, with a robot around it."""
    from verification.recorder_graph import recorded_graph

    with recorded_graph(tmp_path) as found:
        yield found
