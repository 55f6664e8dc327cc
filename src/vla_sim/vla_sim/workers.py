# SPDX-License-Identifier: Apache-2.0
"""The node's two threads: control on its grid, and cameras, which must not delay it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vla_sim.core.grid import TickGrid
from vla_sim.world import Renderer, Snapshot, World

# What a stalled host made late is caught up with, which takes a small part of that time. Ticks
# that are given up are missing motion: the reference goes on without the joints, and the monitor
# trips. Later than this, the monitor would take the stamps for those of another clock.
SLIP_NS = 900_000_000
_LONGEST_SLEEP_S = 0.1  # so that a stop, or a clock that was set back, is noticed

Picture = NDArray[np.uint8]


class _Worker(threading.Thread):
    """A thread that reports an exception instead of dying of it in silence."""

    def __init__(self, name: str, on_failure: Callable[[Exception], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._stopping = threading.Event()
        self._on_failure = on_failure

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        if self.is_alive():
            self.join(5.0)

    def run(self) -> None:
        """Work until stopped."""
        try:
            self.work()
        except Exception as error:  # whatever it is, the process must not live on without it
            self._on_failure(error)

    def work(self) -> None:
        """What the thread does; it must return soon after `_stopping` is set."""
        raise NotImplementedError


class ControlWorker(_Worker):
    """Calls `tick` for every multiple of the period in system time, late ones included."""

    def __init__(
        self,
        period_ns: int,
        tick: Callable[[int], None],
        on_slip: Callable[[int], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Prepare the thread.

        Args:
            period_ns: Time between ticks.
            tick: Called with a tick's time.
            on_slip: Called with the ns by which the grid was moved after a long stall.
            on_failure: Called with what `tick` raised; the thread ends then.
        """
        super().__init__("control", on_failure)
        self._period_ns = period_ns
        self._tick = tick
        self._on_slip = on_slip

    def work(self) -> None:
        """Tick until stopped."""
        grid = TickGrid(time.time_ns(), self._period_ns, SLIP_NS)
        while not self._stopping.is_set():
            ahead_s = (grid.next_ns - time.time_ns()) / 1e9
            if ahead_s > 0.0:
                time.sleep(min(ahead_s, _LONGEST_SLEEP_S))
            due = grid.due(time.time_ns())
            if due.slipped_ns:
                self._on_slip(due.slipped_ns)
            for tick_ns in due.ticks_ns:
                self._tick(tick_ns)


class CameraWorker(_Worker):
    """Draws the newest snapshot that it was offered, from every camera."""

    def __init__(
        self,
        world: World,
        cameras: tuple[str, ...],
        size: tuple[int, int],
        publish: Callable[[str, int, Picture], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Prepare the thread.

        Args:
            world: What to draw; only its model is used.
            cameras: Names of its cameras.
            size: Width and height of the pictures, px.
            publish: Called with camera, stamp in ns and picture, rgb (H, W, 3).
            on_failure: Called with what was raised after the start; the thread ends then.
        """
        super().__init__("cameras", on_failure)
        self._world, self._cameras, self._size = world, cameras, size
        self._publish = publish
        self._offered = threading.Condition()
        self._newest: tuple[int, Snapshot] | None = None
        self._ready = threading.Event()
        self._problem: Exception | None = None

    def start_drawing(self) -> None:
        """Start the thread and wait until it can draw.

        Raises:
            RenderError: It cannot.
        """
        self.start()
        self._ready.wait()
        if self._problem is not None:
            raise self._problem

    def offer(self, stamp_ns: int, snapshot: Snapshot) -> bool:
        """Hand over a snapshot; False when the one before had not been drawn and is lost."""
        with self._offered:
            in_time = self._newest is None
            self._newest = (stamp_ns, snapshot)
            self._offered.notify()
        return in_time

    def stop(self) -> None:
        """End the thread, which closes its renderer, and wait for it."""
        self._stopping.set()
        with self._offered:
            self._offered.notify()
        super().stop()

    def work(self) -> None:
        """Draw until stopped."""
        try:
            renderer = Renderer(self._world, *self._size)
            for camera in self._cameras:  # the first picture of each takes long
                renderer.render(camera, self._world.snapshot())
        except Exception as error:  # handed to the thread that waits in start_drawing
            self._problem = error
            return
        finally:
            self._ready.set()
        try:
            while (offered := self._next()) is not None:
                stamp_ns, snapshot = offered
                for camera in self._cameras:
                    self._publish(camera, stamp_ns, renderer.render(camera, snapshot))
        finally:
            renderer.close()

    def _next(self) -> tuple[int, Snapshot] | None:
        with self._offered:
            self._offered.wait_for(lambda: self._newest is not None or self._stopping.is_set())
            newest, self._newest = self._newest, None
        return None if self._stopping.is_set() else newest
