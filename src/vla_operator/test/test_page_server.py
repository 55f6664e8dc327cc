# SPDX-License-Identifier: Apache-2.0
"""The server by its real sockets: what pages are shown and may ask for, who is in control."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from page_client import Browser, server_with

from vla_operator.core.access import AccessError
from vla_operator.core.viewers import WINDOW, ShownPicture
from vla_operator.server import PageServer
from vla_operator.settings import ServerSettings


def told(number):
    return json.dumps({"type": "state", "number": number})


def test_the_page_is_served_with_a_policy_that_lets_in_nothing_of_others(server):
    async def look():
        async with Browser(server.port) as browser:
            answer = await browser.session.get(f"{browser.place}/", headers=browser.head)
            assert answer.status == 200
            assert answer.content_type == "text/html"
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert (await browser.send("GET", "/../server.py"))[0] == 404
            assert (await browser.send("GET", "/nothing.js"))[0] == 404

    asyncio.run(look())


def test_a_page_that_comes_late_is_shown_what_there_is(server):
    server.tell("state", told(1))
    server.tell("state", told(2))

    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            assert (await page.until("state"))["number"] == 2
            control = await page.until("control")
            assert control == {"type": "control", "you": False, "operator": "", "viewers": 1}
            assert server.watched

    asyncio.run(look())


def test_stop_is_open_to_every_page_and_works_without_a_socket(server, asked):
    """H34."""

    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            assert (await page.ask("stop"))["ok"]
            status, said = await browser.send("POST", "/stop")
            assert (status, said["ok"]) == (200, True)

    asyncio.run(look())
    assert asked.stops == 2


def test_one_page_is_in_control_and_another_takes_over_explicitly(server, asked):
    """H34."""

    async def look():
        async with Browser(server.port) as browser:
            ann, ben = await browser.open(), await browser.open()
            assert not (await ann.ask("reset"))["ok"], "nobody is in control"
            assert (await ann.ask("take", name="Ann", over=False))["ok"]
            assert (await ann.ask("reset"))["ok"]
            refused = await ben.ask("take", name="Ben", over=False)
            assert (refused["ok"], "Ann is in control" in refused["text"]) == (False, True)
            assert not (await ben.ask("end"))["ok"]
            assert (await ben.ask("take", name="Ben", over=True))["ok"]
            await ann.until("control", lambda each: not each["you"] and each["operator"] == "Ben")
            assert not (await ann.ask("reset"))["ok"]
            given = {"text": "put the red cube in the bin", "seconds": 30}
            assert (await ben.ask("instruct", **given))["ok"]
            assert asked.asked == [("reset", {}), ("instruct", given)]

    asyncio.run(look())


def test_a_page_that_is_lost_loses_control_and_asks_for_nothing(server, asked):
    async def look():
        async with Browser(server.port) as browser:
            ann, ben = await browser.open(), await browser.open()
            assert (await ann.ask("take", name="Ann", over=False))["ok"]
            await ben.until("control", lambda each: each["operator"] == "Ann")
            ann.socket._response.connection.transport.abort()
            await ben.until("control", lambda each: each["operator"] == "")
            assert (await ben.ask("take", name="Ben", over=False))["ok"]

    asyncio.run(look())
    assert asked.lost >= 1
    assert (asked.asked, asked.stops) == ([], 0)


def test_a_slow_page_is_shown_the_newest_and_holds_up_nobody(server):
    """H34: what it has not told of is bounded, and what is newer replaces what waits for it."""

    async def look():
        async with Browser(server.port) as browser:
            slow, quick = await browser.open(), await browser.open()
            slow.acknowledges = False
            for number in range(200):
                server.tell("state", told(number))
                server.tell(
                    "camera front", ShownPicture("front", 0.1, 0.0, b"x" * 50_000), keep=False
                )
                if number % 20 == 0:
                    await quick.until("state", lambda each, n=number: each["number"] >= n)
            assert await quick.until("state", lambda each: each["number"] == 199)
            for _ in range(WINDOW):
                assert (await slow.next()) is not None
            assert slow.shown["state"]["number"] < 199
            # It tells of what came, and gets the newest of each and nothing of what was between.
            slow.acknowledges = True
            await slow.say(do="seen", n=slow.got)
            assert (await slow.until("state"))["number"] == 199

    asyncio.run(look())


def test_a_page_that_never_tells_what_it_saw_is_let_go(server, monkeypatch):
    monkeypatch.setattr("vla_operator.core.viewers.SILENT_S", 0.5)

    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            page.acknowledges = False
            server.tell("state", told(1))
            await page.closed()

    asyncio.run(look())


def test_what_waits_counts_as_age_of_a_picture(server):
    picture = ShownPicture("front", 0.2, 100.0, b"jpeg")
    head = json.loads(picture.packed(101.5)[2:].removesuffix(b"jpeg"))
    assert head == {"camera": "front", "age_s": 1.7}


def test_a_taken_port_is_passed_over_and_ten_are_one_line(asked, server):
    other = server_with(asked, port=server.port)
    assert server.port < other.port < server.port + 10
    other.close()
    with pytest.raises(AccessError, match="parameter address, port: the page cannot be served"):
        PageServer(ServerSettings("192.0.2.1", 8088), asked)


def test_an_end_of_the_server_ends_every_socket(asked):
    server = server_with(asked)

    async def look():
        async with Browser(server.port) as browser:
            page = await browser.open()
            await page.until("control")
            server.close()
            await page.closed()
            with pytest.raises(aiohttp.ClientError):
                await browser.open()

    asyncio.run(look())
