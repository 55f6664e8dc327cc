# SPDX-License-Identifier: Apache-2.0
"""The node's two threads: control, tick by tick, and the cameras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from vla_sim.core.pace import Lockstep, Pace
from vla_sim.world import Renderer, World, WorldSnapshot

# How often the time is told while it stands, so that a node that lost a message, or comes only
# now, learns it, and so that a simulation that waits can be told from one that is no more.
ANNOUNCE_S = 0.05
# On a busy computer a picture takes seconds, and a process that ends while one is drawn crashes in
# the graphics library: a thread is waited for well beyond that, and not for ever.
END_S = 60.0

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
            self.join(END_S)

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
    """Calls `tick` for every multiple of the period in simulated time, and leaves none out."""

    def __init__(
        self,
        start_ns: int,
        period_ns: int,
        pace: Pace,
        lockstep: Lockstep,
        tick: Callable[[int], None],
        announce: Callable[[int], None],
        on_left_out: Callable[[tuple[str, ...]], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Prepare the thread.

        Args:
            start_ns: Time of the first tick.
            period_ns: Time between ticks.
            pace: How fast ticks may follow one another.
            lockstep: The nodes that must have dealt with the ticks before.
            tick: Called with a tick's time.
            announce: Called with the newest tick's time, again and again, while time stands.
            on_left_out: Called with the nodes that are waited for no longer.
            on_failure: Called with what `tick` raised; the thread ends then.
        """
        super().__init__("control", on_failure)
        self._next_ns, self._period_ns = start_ns, period_ns
        self._pace, self._lockstep = pace, lockstep
        self._tick, self._announce, self._on_left_out = tick, announce, on_left_out
        self._changed = threading.Condition()
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether time stands until it is told to go on."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        with self._changed:
            self._paused = paused
            self._changed.notify()

    def heard(self, name: str, stamp_ns: int) -> None:
        """Take in a node's word that it has dealt with everything up to a time."""
        with self._changed:
            self._lockstep.heard(name, stamp_ns)
            self._changed.notify()

    def keep(self, present: Collection[str]) -> None:
        """Wait no longer for nodes that are not present any more."""
        with self._changed:
            left = self._lockstep.keep(present)
            self._changed.notify()
        if left:
            self._on_left_out(left)

    @property
    def waits(self) -> bool:
        """Whether a node is waited for."""
        with self._changed:
            return bool(self._lockstep.behind(self._next_ns))

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        super().stop()

    def work(self) -> None:
        """Tick until stopped."""
        while self._await_turn():
            self._tick(self._next_ns)
            self._pace.ticked(time.monotonic_ns())
            self._next_ns += self._period_ns

    def _await_turn(self) -> bool:
        """Wait until the next tick may be; return False when there is to be none."""
        told_s = time.monotonic()
        while not self._stopping.is_set():
            with self._changed:
                left_out = self._lockstep.overdue(self._next_ns, time.monotonic_ns())
                hold_s = self._hold_s()
                if hold_s > 0.0:
                    self._changed.wait(min(hold_s, ANNOUNCE_S))
            if left_out:
                self._on_left_out(left_out)
            if hold_s <= 0.0:
                return True
            now_s = time.monotonic()
            if now_s - told_s >= ANNOUNCE_S:
                told_s = now_s
                self._announce(self._next_ns - self._period_ns)
        return False

    def _hold_s(self) -> float:
        if self._paused or self._lockstep.behind(self._next_ns):
            return ANNOUNCE_S
        return self._pace.wait_ns(time.monotonic_ns()) * 1e-9


class CameraWorker(_Worker):
    """Draws every snapshot that it is offered, from every camera."""

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
        self._newest: tuple[int, WorldSnapshot] | None = None
        self._drawing = False
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

    def offer(self, stamp_ns: int, snapshot: WorldSnapshot) -> None:
        """Hand over a snapshot; wait while the one before is being drawn.

        So a picture is never left out, nor older than the time between two: on a computer that
        draws slowly, simulated time is slow.
        """
        with self._offered:
            self._offered.wait_for(
                lambda: not (self._newest or self._drawing) or self._stopping.is_set()
            )
            self._newest = (stamp_ns, snapshot)
            self._offered.notify_all()

    def stop(self) -> None:
        """End the thread, which closes its renderer, and wait for it."""
        self._stopping.set()
        with self._offered:
            self._offered.notify_all()
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
            # Nobody must wait for a thread that has ended.
            self._stopping.set()
            with self._offered:
                self._offered.notify_all()
            renderer.close()

    def _next(self) -> tuple[int, WorldSnapshot] | None:
        with self._offered:
            self._drawing = False
            self._offered.notify_all()
            self._offered.wait_for(lambda: self._newest is not None or self._stopping.is_set())
            newest, self._newest = self._newest, None
            self._drawing = newest is not None
        return None if self._stopping.is_set() else newest
