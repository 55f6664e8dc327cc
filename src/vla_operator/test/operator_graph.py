# SPDX-License-Identifier: Apache-2.0
"""The page's node beside the real monitor and what is around that, and pages that are open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from page_client import Browser, browsed

from verification.monitor_graph import MonitorGraph
from vla_operator.node import OperatorPage


class OperatorGraph(MonitorGraph):
    """Monitor, surroundings and page in one executor; what a browser does is in a thread."""

    def __init__(self, latch_folder: Path) -> None:
        super().__init__(latch_folder)
        self.page = OperatorPage()
        self.executor.add_node(self.page)

    @property
    def port(self) -> int:
        return int(self.page.url.rpartition(":")[2])

    def browse(self, what: Callable[[Browser], Awaitable[Any]]) -> Any:
        """Let a browser do something while the graph runs; return what came of it."""
        return browsed(self.port, what, self.until)

    def close(self) -> None:
        self.page.destroy_node()
        super().close()
