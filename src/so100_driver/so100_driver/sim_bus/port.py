# SPDX-License-Identifier: Apache-2.0
"""A pseudo-terminal in front of a simulated bus: what opens it finds a serial port."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

from so100_driver.core.registers import BAUD_RATE

from .bus import SimulatedBus

_LONGEST_STEP_S = 0.05
_IDLE_S = 0.005
# Linux: a rate that has no constant of its own is only in this older request's larger answer.
_TCGETS2 = 0x802C542A
_TERMIOS2 = struct.Struct("=4IB19s2I")


def baud_rate(terminal: int) -> int:
    """Return the rate to which a terminal is set, in bits per second."""
    answer = fcntl.ioctl(terminal, _TCGETS2, bytes(_TERMIOS2.size))
    return int(_TERMIOS2.unpack(answer)[-1])


class SimulatedPort:
    """Serves a bus on a pseudo-terminal, from a thread of its own.

    Attributes:
        path: What a driver opens; a symbolic link where one was asked for.
    """

    def __init__(
        self, bus: SimulatedBus, link: Path | None = None, *, own_time: bool = True
    ) -> None:
        """Open the pseudo-terminal and begin to answer.

        Args:
            bus: What answers. While the port serves it, use it within `bus()` only.
            link: Name for the port, such as `/tmp/so101_follower`; replaced if it is a link.
            own_time: The servos live in the host's time, and answers take as long as the wire
                does. Else their time goes on only where others advance the bus, and answers come
                at once.
        """
        self._bus, self._own_time = bus, own_time
        self._lock = threading.Lock()
        self._link = link
        self._plugged = True
        self._changed = threading.Condition()
        self._connect()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="simulated_bus", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def bus(self) -> Iterator[SimulatedBus]:
        """Look at the bus or change it while it is served."""
        with self._lock:
            yield self._bus

    def unplug(self) -> None:
        """Pull the USB cable: the port is gone; the servos keep their supply and their goals."""
        self._plug(False)

    def replug(self) -> None:
        """Put the USB cable back: there is a port again, under the link's name or a new one."""
        self._plug(True)

    def close(self) -> None:
        """Stop answering and remove the port."""
        self._ends.set()
        self._thread.join()
        self._disconnect()

    def _plug(self, wanted: bool) -> None:
        """Have the thread, which alone uses the terminal, connect or disconnect it."""
        with self._changed:
            self._plugged = wanted
            self._changed.wait_for(lambda: (self._master >= 0) is wanted)

    def _connect(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = Path(os.ttyname(self._slave))
        if self._link is not None:
            if self._link.is_symlink():
                self._link.unlink()
            self._link.symlink_to(self.path)
            self.path = self._link

    def _disconnect(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def _follow_the_cable(self) -> bool:
        """Return whether the cable is in, once the terminal agrees with it."""
        with self._changed:
            if self._plugged and self._master < 0:
                self._connect()
            elif not self._plugged and self._master >= 0:
                self._disconnect()
            self._changed.notify_all()
            return self._plugged

    def _at_its_baud_rate(self) -> bool:
        return baud_rate(self._slave) == BAUD_RATE

    def _serve(self) -> None:
        # A computer that is too busy to step the plant in time gets a slow arm, not one that falls
        # further and further behind and answers nobody.
        behind_s, last_s = 0.0, time.monotonic()
        while not self._ends.is_set():
            if self._follow_the_cable():
                ready, _, _ = select.select([self._master], [], [], _IDLE_S)
                data = self._read() if ready else b""
            else:
                time.sleep(_IDLE_S)
                data = b""
            with self._lock:
                now_s = time.monotonic() - behind_s if self._own_time else self._bus.now_s
                if self._own_time and now_s - last_s > _LONGEST_STEP_S:
                    behind_s += now_s - last_s - _LONGEST_STEP_S
                    now_s = last_s + _LONGEST_STEP_S
                last_s = now_s
                if not data or not self._at_its_baud_rate():
                    # Bytes at another rate are noise to the servos.
                    self._bus.advance(now_s)
                    continue
                answers = self._bus.receive(data, now_s)
            for answer in answers:
                delay_s = answer.due_s + behind_s - time.monotonic()
                if self._own_time and delay_s > 0:
                    time.sleep(delay_s)
                with contextlib.suppress(BlockingIOError, OSError):
                    os.write(self._master, answer.data)

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 4096)
        except (BlockingIOError, OSError):
            return b""
