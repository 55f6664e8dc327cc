# SPDX-License-Identifier: Apache-2.0
"""Serves a policy to several clients, one observation at a time, the newest of each.

The event loop reads, checks and writes; one thread asks the policy, others decode pictures, and
where each client has a policy of its own, one more loads it. A client that is slow to read or
floods the server holds up itself alone: whatever its bytes ask for is bounded before it is begun
(`wire.codec.MessageLimits`, `wire.guard`, `wire.jpeg`). Clients take turns. Nothing that one of
them told the policy reaches another: it is reset in between.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from vla_policies.protocol import Observation, Policy, PolicyError
from vla_policies.rtc import continuing
from vla_policies.warm_up import warm_up
from vla_policies.wire.codec import MessageLimits, WireError, decode, encode
from vla_policies.wire.guard import Doorway, GuardedConnection
from vla_policies.wire.messages import (
    Description,
    Request,
    describe,
    read_request,
    write_answer,
)
from vla_policies.wire.quiet import native_stderr_closed
from vla_policies.wire.worker import Worker

HEALTH = "/healthz"
GRACE_S = 5.0
TRY_LATER = 1013
HANDSHAKE_S = 5.0
DECODERS = 2
LOG = logging.getLogger("vla_policies.server")


@dataclass(frozen=True)
class ServerConfig:
    """How to serve.

    Attributes:
        host: Address to listen at.
        port: 0 for any that is free.
        token: Every client must know it; empty for none.
        tls: Encrypts; None for not.
        clients: At most this many at a time.
        own_policy: Each client gets a policy of its own.
        warm_up: Ask each policy once before a client may.
        hang_s: A call that takes longer makes the server unhealthy, s.
        idle_s: A client that has not asked for longer makes room for one more than `clients`, s.
        limits: Of what is read.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    tls: ssl.SSLContext | None = None
    clients: int = 8
    own_policy: bool = False
    warm_up: bool = False
    hang_s: float = 30.0
    idle_s: float = 60.0
    limits: MessageLimits = field(default_factory=MessageLimits)


class PolicyServer:
    """Serves what a factory makes."""

    def __init__(
        self,
        make_policy: Callable[[], Policy],
        config: ServerConfig,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Make the first policy.

        Args:
            make_policy: Called again for each further client where each gets its own.
            config: How to serve.
            now_ns: Stamp of observations that have none.
        """
        self._make_policy, self._config, self._now_ns = make_policy, config, now_ns
        self._policy = make_policy()
        self.description = Description(self._policy.spec, continuing(self._policy) is not None)
        self._worker = Worker("policy")
        # Loading a policy takes long, and nobody else waits for that.
        self._loader = Worker("loader") if config.own_policy else self._worker
        self._decoders = ThreadPoolExecutor(DECODERS, "decoder")
        self._doorway = Doorway()
        self._turn = asyncio.Lock()
        self._clients: set[_Client] = set()
        self._owner: _Client | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event, ready: Callable[[int], None]) -> bool:
        """Serve until `stop` is set; then finish the answer under way.

        Args:
            stop: Set to end.
            ready: Called with the port once clients can connect.

        Returns:
            Whether the policy has returned. If not, its thread is left behind.
        """
        config = self._config
        if not await self._warm(stop):
            return await self._end()
        async with serve(
            self._serve_client,
            config.host,
            config.port,
            ssl=config.tls,
            compression=None,
            max_size=config.limits.message_bytes,
            max_queue=2,
            # No browser's page may reach the server.
            origins=[None],
            process_request=self._admit,
            open_timeout=HANDSHAKE_S,
            close_timeout=1.0,
            # A factory, which is all that is asked of it.
            create_connection=cast(
                type[ServerConnection], partial(GuardedConnection, doorway=self._doorway)
            ),
            ssl_handshake_timeout=None if config.tls is None else HANDSHAKE_S,
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            ready(port)
            await stop.wait()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._turn.acquire(), GRACE_S)
            server.close()
        return await self._end()

    async def _warm(self, stop: asyncio.Event) -> bool:
        """Ask the policy for the first time; return whether to serve."""
        if self._config.warm_up:
            LOG.info("loaded; its first answer, which may take long, is waited for")
            asked = asyncio.ensure_future(self._worker.do(partial(_warm_up, self._policy)))
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait({asked, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
        return not stop.is_set()

    async def _end(self) -> bool:
        self._decoders.shutdown(wait=False, cancel_futures=True)
        returned = await self._worker.end(GRACE_S)
        if self._loader is not self._worker:
            returned = await self._loader.end(GRACE_S) and returned
        if returned:
            for policy in {self._policy, *(client.policy for client in self._clients)}:
                policy.close()
        return returned

    # -- before a connection is one ---------------------------------------------------------------

    def _admit(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        if request.path == HEALTH:
            busy_s = self._worker.busy_s()
            if busy_s > self._config.hang_s:
                text = f"the policy has not returned for {busy_s:.0f} s\n"
                return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, text)
            return connection.respond(HTTPStatus.OK, "OK\n")
        if request.path != "/":
            return connection.respond(HTTPStatus.NOT_FOUND, f"there are / and {HEALTH}\n")
        given = request.headers.get_all("Authorization")
        if self._config.token and not _authorised(given, self._config.token):
            text = "the token is wrong or missing\n" if given else "a token is needed\n"
            return connection.respond(HTTPStatus.UNAUTHORIZED, text)
        return None

    # -- a client ---------------------------------------------------------------------------------

    async def _serve_client(self, connection: ServerConnection) -> None:
        self._doorway.leave(cast(GuardedConnection, connection))
        now_s = asyncio.get_running_loop().time()
        if len(self._clients) >= self._config.clients and not self._make_room(now_s):
            await connection.close(TRY_LATER, f"{self._config.clients} clients are served already")
            return
        client = _Client(connection, self._policy, now_s)
        self._clients.add(client)
        LOG.info("%s connected", client.name)
        tasks = []
        try:
            if self._config.own_policy:
                client.policy = await self._loader.do(self._make_warm)
            await connection.send(encode(describe(self.description)))
            tasks = [asyncio.create_task(self._read(client)),
                     asyncio.create_task(self._answer(client))]  # fmt: skip
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except ConnectionClosed:
            pass
        finally:
            LOG.info("%s left", client.name)
            for task in tasks:
                task.cancel()
            self._clients.discard(client)
            if self._owner is client:
                self._owner = None
            if client.policy is not self._policy:
                self._worker.send(client.policy.close)

    def _make_room(self, now_s: float) -> bool:
        """Send away the client that has been idle for longest, if one has been for too long."""
        client = min(self._clients, key=lambda client: client.asked_s)
        idle_s = now_s - client.asked_s
        if not idle_s > self._config.idle_s:
            return False
        self._clients.discard(client)
        reason = f"idle for {idle_s:.0f} s, and another client came"
        task = asyncio.create_task(client.connection.close(TRY_LATER, reason))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return True

    async def _read(self, client: _Client) -> None:
        """Keep the newest observation; tell the client of those it overtook, and of bad ones."""
        limits = self._config.limits
        async for data in client.connection:
            # Messages that are there already would else be read without a turn for anybody else.
            await asyncio.sleep(0)
            try:
                if isinstance(data, str):
                    raise WireError("texts are not read; send MessagePack")
                request = read_request(decode(data, limits), self.description, limits)
            except PolicyError as error:
                await client.connection.send(str(error))
                continue
            client.asked_s = asyncio.get_running_loop().time()
            older = client.offer(request)
            if older is not None:
                await _reply(client, older, {"overtaken": True}, "overtaken by a newer one")

    async def _answer(self, client: _Client) -> None:
        while True:
            await client.asked.wait()
            request = client.take()
            try:
                observation = await self._decode(request)
            # cv2 and memory raise what they like; it is this client's alone.
            except Exception as error:
                client.forgo(request)
                await _reply(client, request, {"error": str(error)}, str(error))
                continue
            # A fair lock: each client waits for one turn of every other.
            async with self._turn:
                try:
                    answer = await self._worker.do(
                        partial(self._infer, client, request, observation)
                    )
                except PolicyError as error:
                    problem = str(error)
                except Exception as error:
                    LOG.exception("the policy failed")
                    problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
                else:
                    problem = ""
            if problem:
                await _reply(client, request, {"error": problem}, problem)
            else:
                await client.connection.send(answer)

    def _make_warm(self) -> Policy:
        policy = self._make_policy()
        if self._config.warm_up:
            _warm_up(policy)
        return policy

    async def _decode(self, request: Request) -> Observation:
        """Decode the pictures, where nobody else's turn waits for it."""

        def job() -> Observation:
            with native_stderr_closed():
                return request.observation(self.description.spec, self._now_ns())

        return await asyncio.get_running_loop().run_in_executor(self._decoders, job)

    def _infer(self, client: _Client, request: Request, observation: Observation) -> bytes:
        """Ask the policy, in the worker's thread."""
        policy = client.policy
        shared = policy is self._policy
        if request.reset or client.fresh or (shared and self._owner is not client):
            policy.reset()
        client.fresh = False
        if shared:
            self._owner = client
        began = time.perf_counter()
        follower = continuing(policy)
        if request.committed is None or follower is None:
            action = policy.infer(observation)
        else:
            action = follower.continue_chunk(observation, request.committed)
        took_ms = 1e3 * (time.perf_counter() - began)
        return encode(write_answer(action, request, took_ms))


@dataclass(eq=False)
class _Client:
    connection: ServerConnection
    policy: Policy
    asked_s: float
    fresh: bool = True
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    _newest: Request | None = None

    @property
    def name(self) -> str:
        """Where it is."""
        return str(self.connection.remote_address)

    def offer(self, request: Request) -> Request | None:
        """Keep an observation and return the one that it overtakes."""
        older, self._newest = self._newest, request
        if older is not None and older.reset and not request.reset:
            # The instruction began with the older one, which the policy will never see.
            self._newest = replace(request, reset=True)
        self.asked.set()
        return older

    def forgo(self, request: Request) -> None:
        """Remember what began with an observation that the policy will never see."""
        self.fresh = self.fresh or request.reset

    def take(self) -> Request:
        """Return the newest observation, once."""
        request, self._newest = self._newest, None
        self.asked.clear()
        if request is None:
            raise RuntimeError("nothing was asked")
        return request


def _warm_up(policy: Policy) -> None:
    began = time.monotonic()
    problem = warm_up(policy)
    took_s = time.monotonic() - began
    LOG.info("warm after %.1f s%s", took_s, f", by a refusal ({problem})" if problem else "")


async def _reply(client: _Client, request: Request, own: dict[str, Any], text: str) -> None:
    """Say what became of an observation that has no chunk, in the words of its client."""
    if request.own:
        await client.connection.send(encode({"id": request.number, **own}))
    else:
        await client.connection.send(text)


def _authorised(given: list[str], token: str) -> bool:
    """Compare in constant time. openpi's clients say Api-Key, others Bearer."""
    if len(given) != 1:
        return False
    scheme, _, secret = given[0].partition(" ")
    same = hmac.compare_digest(secret.encode(), token.encode())
    return same and scheme in ("Api-Key", "Bearer")
