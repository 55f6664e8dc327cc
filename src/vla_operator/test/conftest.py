# SPDX-License-Identifier: Apache-2.0
"""Test files import what lies beside them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """Let no page go because the host is busy: what a test waits for is not the host's time."""
    from vla_operator import server
    from vla_operator.core import viewers

    monkeypatch.setattr(viewers, "SILENT_S", 300.0)
    monkeypatch.setattr(server, "_SEND_S", 300.0)


@pytest.fixture
def asked():
    """What a page asked for."""
    from page_client import Recorder

    return Recorder()


@pytest.fixture
def server(asked):
    """A page's server, without a node behind it."""
    from page_client import server_with

    server = server_with(asked)
    yield server
    server.close()


@pytest.fixture
def graph(tmp_path):
    """The page's node beside the real monitor, which permits plans."""
    from operator_graph import OperatorGraph

    graph = OperatorGraph(tmp_path)
    try:
        graph.until(lambda: graph.around.newest.permit)
        yield graph
    finally:
        graph.close()
