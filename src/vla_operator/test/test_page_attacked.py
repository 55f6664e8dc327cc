# SPDX-License-Identifier: Apache-2.0
"""The page attacked: no token, other sites and names, floods, and senseless bytes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import resource
import socket
import struct

import aiohttp
import pytest
from page_client import Browser, server_with

from vla_operator.core.access import (
    AccessError,
    AccessRefusal,
    Doorkeeper,
    Logins,
    require_protection,
)

TOKEN = "f" * 32
# Of a socket whose end overtook the word that tells why.
LOST = 1006


@pytest.fixture
def guarded(asked):
    server = server_with(asked, token=TOKEN)
    yield server
    server.close()


def refused(status, opening):
    """Run something that is to be refused with a status."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as told:
        asyncio.run(opening())
    assert told.value.status == status


async def still_works(port, **more):
    """A page that is let in stops the arm, whatever others do."""
    async with Browser(port, **more) as browser:
        page = await browser.open()
        assert (await page.ask("stop"))["ok"]


def test_without_the_token_there_is_neither_socket_nor_stop(guarded, asked):
    """H34."""

    async def opening(**head):
        async with Browser(guarded.port) as browser:
            assert (await browser.send("GET", "/session", head=head))[1] == {"ok": False}
            status, said = await browser.send("POST", "/stop", head=head)
            assert status == 401, said
            await browser.open(**head)

    refused(401, opening)
    for head in (
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer "},
        {"Authorization": TOKEN},
        {"Cookie": f"vla_operator_{guarded.port}={TOKEN}"},
        {"Cookie": f"vla_operator_{guarded.port}="},
    ):
        refused(401, lambda head=head: opening(**head))
    assert asked.stops == 0


def test_the_token_opens_the_page_and_its_cookie_is_for_this_page_alone(guarded, asked):
    async def look():
        async with Browser(guarded.port) as browser:
            answer = await browser.session.post(
                f"{browser.place}/login", json={"token": TOKEN}, headers=browser.head
            )
            assert answer.status == 200
            assert (await browser.send("GET", "/session"))[1] == {"ok": True}
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
            page = await browser.open()
            assert (await page.ask("stop"))["ok"]
        async with Browser(guarded.port) as script:
            page = await script.open(Authorization=f"Bearer {TOKEN}")
            assert (await page.ask("stop"))["ok"]

    asyncio.run(look())
    assert asked.stops == 2


def test_tokens_cannot_be_tried_one_after_the_other():
    logins = Logins(TOKEN)
    for _ in range(5):
        assert logins.log_in("a" * 32, "here", 10.0) == AccessRefusal(401, "that is not the token")
    assert logins.log_in(TOKEN, "here", 11.0) == AccessRefusal(
        429, "too many wrong tokens; wait 2 s"
    )
    assert isinstance(logins.log_in(TOKEN, "there", 11.0), str), "nobody else is kept out"
    word = logins.log_in(TOKEN, "here", 12.5)
    assert isinstance(word, str)
    assert logins.admits(word)
    assert not logins.admits(word[:-1])
    assert not logins.admits("")


def test_a_token_of_any_form_is_compared_and_raises_nothing(guarded):
    async def look():
        async with Browser(guarded.port) as browser:
            for body in (
                b"",
                b"{",
                b"[]",
                b'{"token": 7}',
                b'{"token": null}',
                '{"token": "ä\\ud800"}'.encode(),
                b'{"token": "' + b"f" * 3000 + b'"}',
                b"[" * 4000,
            ):
                status, said = await browser.send("POST", "/login", data=body)
                assert status in (400, 401, 429), said
            assert (await browser.send("POST", "/login", data=b"x" * 10_000))[0] == 413
            odd = {"Content-Type": "application/json; charset=none-such"}
            body = b'{"token": "' + b"a" * 30 + b'"}'
            assert (await browser.send("POST", "/login", data=body, head=odd))[0] in (401, 429)

    asyncio.run(look())


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://localhost", "http://localhost:1", ""],
)
def test_another_site_opens_no_socket_and_stops_nothing(server, asked, origin):
    """H34: a page of another site in the operator's own browser, which sends its cookies along."""

    async def opening():
        async with Browser(server.port) as browser:
            assert (await browser.send("POST", "/stop", head={"Origin": origin}))[0] == 403
            assert (await browser.send("POST", "/login", head={"Origin": origin}))[0] == 403
            await browser.open(Origin=origin)

    refused(403, opening)
    assert asked.stops == 0


def test_who_says_no_site_at_all_is_refused_too(server, asked):
    async def opening():
        async with Browser(server.port) as browser:
            assert (await browser.send("POST", "/stop", head={"Origin": None}))[0] == 403
            del browser.head["Origin"]
            await browser.open()

    refused(403, opening)
    assert asked.stops == 0


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "192.0.2.7", "localhost@evil.example", "[::2]"],
)
def test_a_name_that_somebody_lets_point_here_is_refused(server, asked, host):
    """H34: DNS rebinding: to a browser the other site and this page are then one."""

    async def opening():
        async with Browser(server.port, host=f"{host}:{server.port}") as browser:
            assert (await browser.send("GET", "/"))[0] == 421
            assert (await browser.send("POST", "/stop"))[0] == 421
            await browser.open()

    refused(421, opening)
    assert asked.stops == 0


@pytest.mark.parametrize("head", ["", "Host: localhost\r\nHost: localhost\r\n", "Host: \r\n"])
def test_a_request_that_does_not_say_one_name_is_refused(server, head):
    with socket.create_connection(("127.0.0.1", server.port), 60.0) as raw:
        raw.sendall(f"GET / HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
        said = b""
        while more := raw.recv(4096):
            said += more
    assert said.split()[1] in (b"400", b"421"), said


def test_names_are_those_of_this_computer_and_numbers_only_where_it_is_served_to_others():
    here = Doorkeeper("127.0.0.1", ("robot",), encrypted=False)
    for host in ("localhost:8088", "LOCALHOST", "127.0.0.1:1", "[::1]:8088", "robot:8088"):
        assert here.judge_host([host]) is None, host
    for host in ("", "localhost:99999", "localhost:x", "localhost/x", "a" * 300, "192.0.2.7", " "):
        assert here.judge_host([host]) is not None, host
    assert here.judge_host([]) is not None
    there = Doorkeeper("0.0.0.0", (), encrypted=True)
    assert there.judge_host(["192.0.2.7:8088"]) is None
    assert there.judge_host(["evil.example"]) is not None
    assert there.judge_origin(["https://192.0.2.7:8088"], "192.0.2.7:8088") is None
    assert there.judge_origin(["http://192.0.2.7:8088"], "192.0.2.7:8088") is not None


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "robot.local"])
def test_other_computers_reach_it_only_with_a_token_and_tls(address):
    for token, certificate in ((False, False), (True, False), (False, True)):
        with pytest.raises(AccessError, match=r"takes a token and TLS: give .*_file"):
            require_protection(address, token=token, certificate=certificate)
    require_protection(address, token=True, certificate=True)
    for loopback in ("127.0.0.1", "127.0.0.9", "::1", "localhost"):
        require_protection(loopback, token=False, certificate=False)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "stop",
        "[]",
        "{}",
        '{"do": 7, "n": 1}',
        '{"do": "stop"}',
        '{"do": "stop", "n": -1}',
        '{"do": "stop", "n": true}',
        '{"do": "stop", "n": 1e3}',
        '{"do": "stop", "n": 1, "more": 1}',
        '{"do": "power_off", "n": 1}',
        '{"do": "__class__", "n": 1}',
        '{"do": "take", "n": 1, "name": "", "over": true}',
        '{"do": "take", "n": 1, "name": "a\\u0007b", "over": true}',
        '{"do": "take", "n": 1, "name": "x", "over": "yes"}',
        '{"do": "instruct", "n": 1, "text": "go", "seconds": NaN}',
        '{"do": "instruct", "n": 1, "text": "go", "seconds": 1e400}',
        '{"do": "instruct", "n": 1, "text": "go", "seconds": 0}',
        '{"do": "instruct", "n": 1, "text": ["go"], "seconds": 5}',
        '{"do": "instruct", "n": 1, "text": "%s", "seconds": 5}' % ("x" * 500),
        '{"do": "stop", "n": %s}' % ("9" * 3000),
        "[" * 4000,
    ],
    ids=range(22),
)
def test_words_that_mean_nothing_are_answered_and_do_nothing(server, asked, words):
    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            assert (await page.ask("take", name="x", over=True))["ok"]
            await page.socket.send_str(words)
            answer = await page.until("answer")
            assert not answer["ok"]
            assert answer["text"].startswith("not understood")
            assert (await page.ask("stop"))["ok"], "the page goes on"

    asyncio.run(look())
    assert (asked.asked, asked.stops) == ([], 1)


def test_a_message_that_is_too_large_ends_the_socket_that_it_came_on(server, asked):
    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            await page.socket.send_str('{"do": "stop", "n": 1, "x": "%s"}' % ("x" * 5000))
            assert await page.closed() in (1009, LOST)

    asyncio.run(look())
    assert asked.stops == 0
    asyncio.run(still_works(server.port))


def test_bytes_where_words_belong_end_the_socket(server, asked):
    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            await page.socket.send_bytes(bytes(range(256)))
            assert await page.closed() in (1003, LOST)

    asyncio.run(look())
    asyncio.run(still_works(server.port))
    assert asked.stops == 1


def test_nonsense_again_and_again_and_a_flood_end_the_socket_but_not_its_stop(
    server, asked, monkeypatch
):
    # However slowly a busy host sends them.
    monkeypatch.setattr("vla_operator.core.viewers._A_SECOND", 0.0)

    async def look(words, count):
        async with Browser(server.port) as browser:
            page = await browser.open()
            with contextlib.suppress(ConnectionError):
                for _ in range(count):
                    await page.socket.send_str(words)
            assert await page.closed() in (1008, LOST)

    asyncio.run(look("nonsense", 30))
    asyncio.run(look('{"do": "reset", "n": 1}', 1000))
    assert asked.asked == []
    asyncio.run(look('{"do": "stop", "n": 1}', 1000))
    assert asked.stops >= 200
    asyncio.run(still_works(server.port))


def test_a_page_that_counts_what_was_not_sent_is_let_go(server):
    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            page.acknowledges = False
            await page.say(do="seen", n=1000)
            assert await page.closed() in (1008, LOST)

    asyncio.run(look())


def test_garbage_where_http_belongs_is_refused(server, asked):
    for data in (
        bytes(range(256)) * 64,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /socket HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + bytes(range(255, -1, -1)) * 20,
    ):
        with socket.create_connection(("127.0.0.1", server.port), 60.0) as raw:
            try:
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65_536):
                    pass
            except ConnectionError:
                pass
            except OSError as error:  # reset between the two calls: nothing to shut down
                if error.errno != errno.ENOTCONN:
                    raise
    assert asked.stops == 0
    asyncio.run(still_works(server.port))


def test_a_thousand_sockets_that_say_nothing_keep_no_page_out(server, asked):
    """H34: whoever says nothing gives its place up to whoever comes next."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    silent = []

    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            for number in range(1000):
                raw = socket.socket()
                raw.setblocking(False)
                silent.append(raw)
                with contextlib.suppress(BlockingIOError):
                    raw.connect(("127.0.0.1", server.port))
                if number % 50 == 49:
                    assert (await page.ask("stop"))["ok"], "the page is still there"
            async with Browser(server.port) as late:
                assert (await (await late.open()).ask("stop"))["ok"]
            assert len(server.door) <= 96

    try:
        asyncio.run(look())
    finally:
        for raw in silent:
            raw.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert asked.stops == 21


def test_more_pages_than_there_is_room_for_are_told_so(asked):
    server = server_with(asked, viewers=3)

    async def opening():
        async with Browser(server.port) as browser:
            pages = [await browser.open() for _ in range(3)]
            for page in pages:
                assert (await page.ask("stop"))["ok"]
            await browser.open()

    try:
        refused(503, opening)
    finally:
        server.close()


def test_a_connection_that_is_reset_at_any_moment_ends_nothing(server):
    for number in range(20):
        raw = socket.create_connection(("127.0.0.1", server.port), 60.0)
        raw.sendall(b"POST /stop HTTP/1.1\r\nHost: loc"[:number])
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    asyncio.run(still_works(server.port))


def test_stop_that_is_never_answered_holds_up_no_other_request(server, asked):
    asked.late = True

    async def look():
        async with Browser(server.port) as browser:
            waiting = [
                asyncio.ensure_future(browser.send("POST", "/stop", data=json.dumps({})))
                for _ in range(5)
            ]
            while asked.stops < 5:
                await asyncio.sleep(0.01)
            assert (await browser.send("GET", "/"))[0] == 200
            for each in waiting:
                each.cancel()

    asyncio.run(look())
