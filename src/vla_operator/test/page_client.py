# SPDX-License-Identifier: Apache-2.0
"""A page's side of the socket, for tests: the server is the real one, and so are the sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from vla_operator.server import PageServer
from vla_operator.settings import ServerSettings


class Recorder:
    """Notes what pages ask for, and answers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.stops = self.lost = 0
        self.late = False
        self.videos: dict[str, bytes] = {}
        self.looked: list[str] = []
        self.mute = False
        self._lock = threading.Lock()

    def stop(self, answer: Callable[[bool, str], None]) -> None:
        with self._lock:
            self.stops += 1
        if not self.late:
            answer(True, "the arm is being stopped")

    def ask(self, do: str, given: Any, answer: Callable[[bool, str], None]) -> None:
        with self._lock:
            self.asked.append((do, dict(given)))
        answer(True, f"{do} is done")

    def video(self, name: str, answer: Callable[[bytes | None, str], None]) -> None:
        self.looked.append(name)
        found = self.videos.get(name)
        if not self.mute:
            answer(found, "" if found is not None else "there is no such episode")

    def control_lost(self) -> None:
        self.lost += 1


def server_with(asked: Any, **more: Any) -> PageServer:
    """Return a server at a free port of this computer, begun."""
    given: dict[str, Any] = {"address": "127.0.0.1", "port": 0, **more}
    server = PageServer(ServerSettings(**given), asked)
    server.start()
    return server


class Page:
    """One connected page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.count, self.got = socket, 0, 0
        self.shown: dict[str, Any] = {}
        self.pictures: list[Any] = []
        self.acknowledges = True

    async def next(self) -> Any:
        """Take in one message and tell that it is here; return it, None when it was the last."""
        message = await asyncio.wait_for(self.socket.receive(), 60.0)
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            return None
        self.got += 1
        if self.acknowledges:
            with contextlib.suppress(ConnectionError):  # the server has closed meanwhile
                await self.say(do="seen", n=self.got)
        if message.type is aiohttp.WSMsgType.BINARY:
            length = int.from_bytes(message.data[:2], "big")
            head = json.loads(message.data[2 : 2 + length])
            found = {"type": "picture", **head, "jpeg": message.data[2 + length :]}
        else:
            found = json.loads(message.data)
        self.shown[found["type"]] = found
        return found

    async def until(self, kind: str, right: Callable[[Any], Any] = lambda _: True) -> Any:
        """Take messages in until one is right; return it."""
        while (found := await self.next()) is not None:
            if found["type"] == kind and right(found):
                return found
        raise AssertionError(f"the socket was closed ({self.socket.close_code}) before a {kind}")

    async def say(self, **words: Any) -> None:
        await self.socket.send_str(json.dumps(words))

    async def ask(self, do: str, **words: Any) -> Any:
        """Ask for something and return the answer."""
        self.count += 1
        number = self.count
        await self.say(do=do, n=number, **words)
        return await self.until("answer", lambda found: found["n"] == number)

    async def closed(self) -> int | None:
        """Take messages in until the server closes; return its code."""
        while await self.next() is not None:
            pass
        return self.socket.close_code


class Browser:
    """Opens pages at a server, as a browser does: with its Host and Origin."""

    def __init__(self, port: int, host: str = "", scheme: str = "http", **more: Any) -> None:
        self.place = f"{scheme}://127.0.0.1:{port}"
        host = host or f"localhost:{port}"
        self.head = {"Host": host, "Origin": f"{scheme}://{host}"}
        self._more = more

    async def __aenter__(self) -> Browser:
        jar = aiohttp.CookieJar(unsafe=True)
        connector = aiohttp.TCPConnector(limit=0, force_close=False, **self._more)
        self.session = aiohttp.ClientSession(cookie_jar=jar, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def open(self, **head: str) -> Page:
        """Open a page."""
        given = {**self.head, **head}
        origin = given.pop("Origin", None)
        socket = await self.session.ws_connect(
            f"{self.place}/socket", headers=given, origin=origin, max_msg_size=1 << 22
        )
        return Page(socket)

    async def send(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        head = {**self.head, **more.pop("head", {})}
        head = {key: value for key, value in head.items() if value is not None}
        async with self.session.request(
            method, f"{self.place}{path}", headers=head, **more
        ) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if answer.content_type.endswith(
                "json"
            ) else body


def browsed(
    port: int,
    what: Callable[[Browser], Awaitable[Any]],
    until: Callable[[Callable[[], Any]], Any],
) -> Any:
    """Let a browser do something, in a thread, while a graph runs; return what came of it.

    Args:
        port: Of the page.
        what: It does.
        until: Lets the graph run until something holds.
    """
    found: list[Any] = []

    async def within() -> Any:
        async with Browser(port) as browser:
            return await what(browser)

    def work() -> None:
        try:
            found.append((asyncio.run(within()), None))
        except BaseException as error:  # handed on to the test
            found.append((None, error))

    thread = threading.Thread(target=work, name="browser")
    thread.start()
    until(lambda: found)
    thread.join()
    result, error = found[0]
    if error is not None:
        raise error
    return result
