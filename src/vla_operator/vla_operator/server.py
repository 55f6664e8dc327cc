# SPDX-License-Identifier: Apache-2.0
"""Serves the page: in a thread of its own, so that nothing here waits for ROS or makes it wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from vla_operator.core import commands
from vla_operator.core.access import AccessError, AccessRefusal, Doorkeeper, Logins
from vla_operator.core.commands import Answer
from vla_operator.core.viewers import Message, TooMuchError, Viewer, Viewers
from vla_operator.door import Door, listen
from vla_operator.episodes import VideoAnswer
from vla_operator.settings import ServerSettings

# A page that cannot take a message in for so long is gone.
_SEND_S = 5.0
_LOOK_S = 1.0
_CLOSE_S = 2.0
# A video is sent in pieces, and so many at once: who takes them in slowly holds up nobody.
_PIECE_BYTES = 1 << 16
_MOST_VIDEOS = 8
_VIDEO_S = 60.0
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_HEADERS = {
    # Its own files, and no others: no inline script, no frame around it.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src blob:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Asked(Protocol):
    """Carries out what pages ask for. Called in the server's thread; must not wait."""

    def stop(self, answer: Answer) -> None:
        """Stop the arm; answer when it is known what came of it."""

    def ask(self, do: str, given: Mapping[str, Any], answer: Answer) -> None:
        """Carry out what the page that is in control asks for."""

    def video(self, name: str, answer: VideoAnswer) -> None:
        """Hand out the video of an episode that the recorder keeps."""

    def control_lost(self) -> None:
        """Take note that nobody is in control any more, or somebody else."""


class PageServer:
    """The server. `tell` may be called from any thread, and never waits."""

    def __init__(self, settings: ServerSettings, asked: Asked) -> None:
        """Bind the address.

        Raises:
            AccessError: No port of those is free, or the address is not this computer's.
        """
        self._settings, self._asked = settings, asked
        try:
            self._listener = listen(settings.address, settings.port)
        except OSError as error:
            raise AccessError(
                f"parameter address, port: the page cannot be served on {settings.address}, "
                f"port {settings.port} to {settings.port + 9} ({error.strerror or error}); "
                "choose others"
            ) from None
        self.port = int(self._listener.getsockname()[1])
        self._doorkeeper = Doorkeeper(
            settings.address, settings.names, encrypted=settings.context is not None
        )
        self._logins = Logins(settings.token)
        self._cookie = f"vla_operator_{self.port}"
        self._viewers = Viewers(settings.viewers)
        self._wake: dict[int, asyncio.Event] = {}
        # What a page that comes later is shown at once; by kind.
        self._kept: dict[str, Message] = {}
        self._files = _files()
        self._videos = 0
        self._loop = asyncio.new_event_loop()
        self._ended: asyncio.Event | None = None
        self._watched = threading.Event()
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Serve."""
        self._thread.start()
        self._began.wait(_CLOSE_S)

    def close(self) -> None:
        """Serve no more."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end)
            self._thread.join(_CLOSE_S)
        else:
            self._listener.close()

    @property
    def watched(self) -> bool:
        """Whether a page is connected."""
        return self._watched.is_set()

    def tell(self, kind: str, message: Message, *, keep: bool = True) -> None:
        """Show every page something; of its kind the newest counts.

        Args:
            kind: Of the message.
            message: What.
            keep: Show it to pages that come later, too.
        """
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._put, kind, message, keep)

    # -- in the server's thread -------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        app = web.Application(middlewares=[self._guard], client_max_size=commands.MOST_BYTES)
        app.router.add_get("/socket", self._on_socket)
        app.router.add_get("/session", self._on_session)
        # A name has no slash in it, also none that is written otherwise.
        video = "/episodes/{name:[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}}/video.mp4"
        app.router.add_get(video, self._on_video, allow_head=False)
        app.router.add_post("/stop", self._on_stop)
        app.router.add_post("/login", self._on_login)
        app.router.add_get("/{name:[a-z_]*(?:[.][a-z]+)?}", self._on_file)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=10.0)
        await runner.setup()
        make = runner.server
        assert make is not None
        settings = self._settings
        self.door = Door(self._listener, make, settings.connections, settings.context)
        self.door.open()
        looking = self._loop.create_task(self._look())
        self._began.set()
        await self._ended.wait()
        looking.cancel()
        await self.door.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(runner.cleanup(), _CLOSE_S)

    def _end(self) -> None:
        if self._ended is not None:
            self._ended.set()

    def _put(self, kind: str, message: Message, keep: bool) -> None:
        if keep:
            self._kept[kind] = message
        for viewer in self._viewers:
            viewer.put(kind, message)
            self._wake[viewer.number].set()

    async def _look(self) -> None:
        """Let go of pages that say nothing any more."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for viewer in self._viewers:
                if viewer.silent(self._loop.time()):
                    self._wake[viewer.number].set()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.door.asked(request.transport)
        refusal = self._doorkeeper.judge_host(request.headers.getall("Host", []))
        acts = request.method not in ("GET", "HEAD") or request.path == "/socket"
        if refusal is None and acts:
            origins = request.headers.getall("Origin", [])
            refusal = self._doorkeeper.judge_origin(origins, request.headers.get("Host", ""))
        if refusal is not None:
            return _refused(refusal)
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPException as error:
            return _refused(AccessRefusal(error.status, error.reason))
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    async def _on_file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"] or "index.html"
        found = self._files.get(name)
        if found is None:
            return _refused(AccessRefusal(404, "there is no such file"))
        kind, data = found
        return web.Response(body=data, content_type=kind, charset="utf-8")

    async def _on_login(self, request: web.Request) -> web.Response:
        try:
            # Of its bytes: what a request says of its letters may be anything.
            given = json.loads(await request.read())
            token = given["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return _refused(AccessRefusal(400, 'is no JSON {"token": "..."}'))
        if not self._logins.asked_for:
            return web.json_response({"ok": True, "text": "no token is asked for"})
        word = token if isinstance(token, str) else ""
        found = self._logins.log_in(word, request.remote or "", time.monotonic())
        if isinstance(found, AccessRefusal):
            return _refused(found)
        response = web.json_response({"ok": True, "text": ""})
        response.set_cookie(
            self._cookie,
            found,
            httponly=True,
            samesite="Strict",
            secure=self._settings.context is not None,
        )
        return response

    def _admitted(self, request: web.Request) -> bool:
        bearer = request.headers.get("Authorization", "")
        if bearer.startswith("Bearer ") and self._logins.matches(bearer[7:]):
            return True
        return self._logins.admits(request.cookies.get(self._cookie, ""))

    async def _on_session(self, request: web.Request) -> web.Response:
        """Tell a page whether it was let in: a socket that is refused does not say why."""
        return web.json_response({"ok": self._admitted(request)})

    async def _on_stop(self, request: web.Request) -> web.Response:
        """Stop: for a page whose socket is lost, and for scripts."""
        if not self._admitted(request):
            return _refused(AccessRefusal(401, "the token is needed"))
        ok, text = await self._answered(self._asked.stop)
        return web.json_response({"ok": ok, "text": text})

    async def _answered(self, ask: Callable[[Any], None]) -> Any:
        """Ask for something, and return what is answered in whichever thread."""
        done: asyncio.Future[Any] = self._loop.create_future()

        def answer(*found: Any) -> None:
            def tell() -> None:
                if not done.done():
                    done.set_result(found)

            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(tell)

        ask(answer)
        return await done

    async def _on_video(self, request: web.Request) -> web.StreamResponse:
        """Send the video of an episode to whoever may look."""
        if not self._admitted(request):
            return _refused(AccessRefusal(401, "the token is needed"))
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return _refused(AccessRefusal(403, "only this page itself may show it"))
        if self._videos >= _MOST_VIDEOS:
            return _refused(AccessRefusal(503, "too many videos are being sent; try again"))
        self._videos += 1
        try:
            name = request.match_info["name"]
            asked = self._answered(lambda answer: self._asked.video(name, answer))
            try:
                data, why = await asyncio.wait_for(asked, _VIDEO_S)
            except asyncio.TimeoutError:
                return _refused(AccessRefusal(503, "nobody hands the video out"))
            if data is None:
                return _refused(AccessRefusal(404, why))
            return await self._sent(request, data)
        finally:
            self._videos -= 1

    async def _sent(self, request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type, response.content_length = "video/mp4", len(data)
        await response.prepare(request)
        for begin in range(0, len(data), _PIECE_BYTES):
            piece = response.write(data[begin : begin + _PIECE_BYTES])
            try:
                await asyncio.wait_for(piece, _SEND_S)
            except asyncio.TimeoutError:
                # Whoever does not take it in has gone, as a page has.
                raise ConnectionResetError from None
            # It is not one that says nothing: its answer is under way.
            self.door.asked(request.transport)
        await response.write_eof()
        return response

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        if not self._admitted(request):
            return _refused(AccessRefusal(401, "the token is needed"))
        socket = web.WebSocketResponse(
            max_msg_size=commands.MOST_BYTES, compress=False, autoping=True, timeout=_CLOSE_S
        )
        if not socket.can_prepare(request).ok:
            return _refused(AccessRefusal(400, "is no WebSocket"))
        viewer = self._viewers.enter(self._loop.time())
        if viewer is None:
            return _refused(AccessRefusal(503, "too many pages are connected"))
        self._wake[viewer.number] = asyncio.Event()
        self._watched.set()
        sender: asyncio.Task[None] | None = None
        try:
            self.door.admit(request.transport)
            socket.headers.update(_HEADERS)
            await socket.prepare(request)
            for kind, message in self._kept.items():
                viewer.put(kind, message)
            self._tell_control()
            sender = self._loop.create_task(self._send(viewer, socket, request.transport))
            await self._hear(viewer, socket)
        finally:
            if sender is not None:
                sender.cancel()
            if self._viewers.leave(viewer):
                self._asked.control_lost()
            del self._wake[viewer.number]
            if not len(self._viewers):
                self._watched.clear()
            self._tell_control()
        return socket

    async def _send(
        self, viewer: Viewer, socket: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        wake = self._wake[viewer.number]
        try:
            while not viewer.silent(self._loop.time()):
                await wake.wait()
                wake.clear()
                while (message := viewer.take()) is not None:
                    if isinstance(message, str):
                        sending = socket.send_str(message)
                    else:
                        sending = socket.send_bytes(message.packed(time.monotonic()))
                    await asyncio.wait_for(sending, _SEND_S)
        except (asyncio.TimeoutError, ConnectionError, RuntimeError):
            pass
        # It takes nothing in, so there is no use in saying good-bye.
        if transport is not None:
            transport.abort()

    async def _hear(self, viewer: Viewer, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            try:
                if message.type is not WSMsgType.TEXT:
                    await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"text only")
                    return
                self._on_words(viewer, message.data)
            except TooMuchError as error:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=str(error).encode())
                return

    def _on_words(self, viewer: Viewer, words: str) -> None:
        try:
            command = commands.read(words)
        except commands.PageCommandError as error:
            viewer.spoke(self._loop.time())
            self._answer(viewer, 0, False, f"not understood: {error}")
            viewer.talked_nonsense()
            return
        answer = self._answer_to(viewer, command.number)
        if command.do == "stop":
            # Before it is counted: whoever says too much may still stop the arm.
            self._asked.stop(answer)
        viewer.spoke(self._loop.time())
        if command.do == "seen":
            viewer.seen(command.number, self._loop.time())
            self._wake[viewer.number].set()
        elif command.do == "take":
            self._take(viewer, command.given, answer)
        elif command.do == "release":
            if self._viewers.release(viewer):
                self._asked.control_lost()
            self._tell_control()
            answer(True, "")
        elif command.do != "stop":
            if self._viewers.operator is viewer:
                # What is asked again and again awaits no answer.
                quiet = command.number == 0
                self._asked.ask(command.do, command.given, _unheard if quiet else answer)
            else:
                answer(False, "this page is not in control; take control first")

    def _take(self, viewer: Viewer, given: Mapping[str, Any], answer: Answer) -> None:
        before = self._viewers.operator
        why_not = self._viewers.take(viewer, given["name"], over=given["over"])
        if not why_not and before not in (None, viewer):
            self._asked.control_lost()
        self._tell_control()
        answer(not why_not, why_not)

    def _answer_to(self, viewer: Viewer, number: int) -> Answer:
        def answer(ok: bool, text: str) -> None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer, viewer, number, ok, text)

        return answer

    def _answer(self, viewer: Viewer, number: int, ok: bool, text: str) -> None:
        wake = self._wake.get(viewer.number)
        if wake is None:
            return  # it is gone
        # One that does not take its answers is found by its silence.
        with contextlib.suppress(TooMuchError):
            viewer.answer(json.dumps({"type": "answer", "n": number, "ok": ok, "text": text}))
        wake.set()

    def _tell_control(self) -> None:
        for viewer in self._viewers:
            viewer.put("control", json.dumps(self._viewers.control_of(viewer)))
            self._wake[viewer.number].set()


def _unheard(ok: bool, text: str) -> None:
    """Take an answer that nobody waits for."""


def _refused(refusal: AccessRefusal) -> web.Response:
    return web.json_response(
        {"ok": False, "text": refusal.text}, status=refusal.status, headers=_HEADERS
    )


def _files() -> dict[str, tuple[str, bytes]]:
    """Return the page's files, by name: kind and content. No path is ever made of a request."""
    found = {}
    for item in resources.files("vla_operator").joinpath("page").iterdir():
        kind = _KINDS.get(f".{item.name.rpartition('.')[2]}")
        if kind is not None:
            found[item.name] = (kind, item.read_bytes())
    return found
