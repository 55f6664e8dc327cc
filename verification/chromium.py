# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, by its own protocol (Chrome DevTools): for tests, timings and pictures.

aiohttp speaks it, which the page's server is made of anyway: nothing else is installed for it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Of the host's time: not what is expected, but what proves that something hangs.
_HANGS_S = 300.0
_LOOK_S = 0.1
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def found() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Begin; `socket` is that of the page's own protocol."""
        self._socket, self._count = socket, 0
        self.errors: list[str] = []

    async def call(self, method: str, **words: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._count += 1
        number = self._count
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": words}))
        while True:
            message = await asyncio.wait_for(self._socket.receive_json(), _HANGS_S)
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"])[:2000])
            if message.get("method") == "Log.entryAdded":
                entry = message["params"]["entry"]
                if entry["level"] == "error" and entry["source"] != "network":
                    self.errors.append(f"{entry['source']}: {entry['text']}")
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    async def evaluate(self, script: str) -> Any:
        """Return what an expression of JavaScript is; a promise is awaited."""
        done = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(f"{script}: {done['exceptionDetails']}")
        return done["result"].get("value")

    async def until(self, script: str) -> Any:
        """Wait until an expression is true, and return it."""
        end = time.monotonic() + _HANGS_S  # a look takes long where the host is busy
        while time.monotonic() < end:
            value = await self.evaluate(script)
            if value:
                return value
            await asyncio.sleep(_LOOK_S)
        shown = await self.evaluate("document.body.innerText")
        raise AssertionError(f"never true: {script}; errors {self.errors}; the page:\n{shown}")

    async def goto(self, address: str) -> None:
        """Open an address."""
        await self.call("Page.navigate", url=address)
        blank = "true" if address == "about:blank" else "location.href !== 'about:blank'"
        await self.until(f"document.readyState === 'complete' && {blank}")

    async def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(await self.evaluate(f"document.querySelector({selector!r}).innerText"))

    async def click(self, selector: str) -> None:
        """Press and let go the mouse in the middle of an element, wherever it is on the page."""
        place = await self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    async def activate(self, selector: str) -> None:
        """Give a button the focus and press Enter: wherever it is, and whatever moves it."""
        await self.evaluate(f"document.querySelector({selector!r}).focus()")
        await self.press("Enter", "Enter", 13, "\r")

    async def press(
        self, key: str, code: str, number: int, text: str = "", shift: int = 0
    ) -> None:
        """Press and let go a key.

        Args:
            key: Its value, as JavaScript has it.
            code: Its place on the keyboard.
            number: Its number on Windows, which the protocol asks for.
            text: What it writes.
            shift: 8 with the shift key.
        """
        given = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": shift}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    async def space(self, *, shift: bool = False) -> None:
        """Press the space bar."""
        await self.press(" ", "Space", 32, " ", 8 if shift else 0)

    async def write(self, selector: str, text: str) -> None:
        """Write into a field, as if it were pasted."""
        await self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r});"
            " e.focus(); e.select(); })()"
        )
        await self.call("Input.insertText", text=text)

    async def size(
        self, width: int, height: int, *, scale: float = 1.0, phone: bool = False
    ) -> None:
        """Be a screen of so many pixels, of a phone or not."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )
        await self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    async def picture(self, path: Path) -> None:
        """Write what is shown into a PNG file."""
        taken = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(taken["data"]))


@contextlib.asynccontextmanager
async def chromium(path: str) -> AsyncIterator[Chromium]:
    """Start a browser, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # Who is root has no sandbox, and a test looks at no page but ours.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        words = [path, *_OPTIONS, *root, f"--user-data-dir={folder}", "about:blank"]
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            port = await _port(Path(folder) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                yield Chromium(session, port)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 30.0)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()


class Chromium:
    """A running Chromium."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        """Begin; its protocol is at a port of this computer."""
        self._session, self._place = session, f"http://127.0.0.1:{port}"

    async def open(self) -> Tab:
        """Return a new, empty page."""
        async with self._session.put(f"{self._place}/json/new?about:blank") as answer:
            told = await answer.json()
        socket = await self._session.ws_connect(told["webSocketDebuggerUrl"], max_msg_size=1 << 26)
        tab = Tab(socket)
        for domain in ("Page", "Runtime", "Log"):
            await tab.call(f"{domain}.enable")
        return tab


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    """Wait until a browser tells its port."""
    for _ in range(round(_HANGS_S / _LOOK_S)):
        if process.returncode is not None:
            raise RuntimeError(f"the browser ended at once, with {process.returncode}")
        if file.is_file() and (text := file.read_text()):
            return int(text.split()[0])
        await asyncio.sleep(_LOOK_S)
    raise RuntimeError("the browser tells no port")
