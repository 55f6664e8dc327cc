# SPDX-License-Identifier: Apache-2.0
"""A policy server in a thread of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_policies import (
    STATE,
    Action,
    FeatureKind,
    FeatureSpec,
    Observation,
    PolicyError,
    PolicySpec,
)
from vla_policies.wire.server import PolicyServer, ServerConfig

FRONT = "observation.images.front"
SPEC = PolicySpec(
    "counter 1",
    (
        FeatureSpec(FRONT, FeatureKind.IMAGE, (8, 8, 3)),
        FeatureSpec(STATE, FeatureKind.STATE, (2,), "rad"),
    ),
    ("a", "b"),
    "rad",
    0.1,
    3,
)


class Counter:
    """Returns how often it was asked since its reset, and keeps what it saw."""

    spec = SPEC

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.committed: list[object] = []
        self.resets = self.count = 0
        self.closed = False
        self.gate: threading.Semaphore | None = None
        self.entered = threading.Event()

    def reset(self) -> None:
        self.resets += 1
        self.count = 0

    def infer(self, observation: Observation) -> Action:
        return self.continue_chunk(observation, None)

    def continue_chunk(self, observation: Observation, committed) -> Action:
        self.entered.set()
        if self.gate is not None:
            self.gate.acquire()
        if observation.task == "fail":
            raise PolicyError("there is nothing to do")
        if observation.task == "break":
            raise ZeroDivisionError("oh")
        self.count += 1
        self.seen.append(observation)
        self.committed.append(committed)
        rows = np.full((3, 2), float(self.count))
        return Action(rows, 0.1, ("a", "b"), phase=f"count {self.count}")

    def close(self) -> None:
        self.closed = True


class Running:
    """A server that runs in a thread."""

    def __init__(self, make: Callable[[], Counter], config: ServerConfig) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self.server = PolicyServer(make, config)
        self.port = 0
        self.returned: bool | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60.0)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def _run(self) -> None:
        def ready(port: int) -> None:
            self.port = port
            self._ready.set()

        self.returned = self._loop.run_until_complete(self.server.run(self._stop, ready))
        self._loop.close()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60.0)
        assert not self._thread.is_alive()


@pytest.fixture
def policy() -> Counter:
    return Counter()


@pytest.fixture
def start(policy: Counter) -> Iterator[Callable[..., Running]]:
    """Start a server of the policy, by default at any free port without a token."""
    started: list[Running] = []

    def run(make: Callable[[], Counter] = lambda: policy, **config: object) -> Running:
        # Changed fields only, so that the defaults under test are the real ones.
        running = Running(make, replace(ServerConfig(port=0), **config))  # type: ignore[arg-type]
        started.append(running)
        return running

    yield run
    for running in started:
        running.stop()


@pytest.fixture
def spec() -> PolicySpec:
    return SPEC


@pytest.fixture
def observe() -> Callable[..., Observation]:
    """Make an observation."""

    def make(task: str = "do it", stamp_ns: int = 7) -> Observation:
        image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
        return Observation(stamp_ns, {FRONT: image}, {STATE: np.array([0.25, -1.0])}, task)

    return make


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("0123456789abcdef\n")
    return path
