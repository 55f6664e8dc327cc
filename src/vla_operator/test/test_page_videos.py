# SPDX-License-Identifier: Apache-2.0
"""Videos of episodes: who may look, no path but a name, and nobody is held up by who is slow."""

from __future__ import annotations

import asyncio

import pytest
from page_client import Browser, Recorder, server_with

TOKEN = "a-token-that-nobody-guesses"
VIDEO = bytes(range(256)) * 40_000  # 10 MB: more than any socket takes in by itself
NAME = "2026-11-30T01-33-43Z_2"
PATH = f"/episodes/{NAME}/video.mp4"


@pytest.fixture
def asked():
    recorder = Recorder()
    recorder.videos[NAME] = VIDEO
    return recorder


@pytest.fixture
def server(asked):
    server = server_with(asked)
    yield server
    server.close()


async def opened(port: int, path: str, *more: str, method: str = "GET"):
    """Ask for a path as it is written, and return the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}", *more, "Connection: close"]
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
    await writer.drain()
    return reader, writer


async def asked_for(port: int, path: str, *more: str, method: str = "GET") -> tuple[int, bytes]:
    """Return the status and all of the answer to a path as it is written."""
    reader, writer = await opened(port, path, *more, method=method)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_a_video_is_sent_whole_and_to_this_page_alone(server, asked):
    async def look():
        async with (
            Browser(server.port) as browser,
            browser.session.get(f"{browser.place}{PATH}", headers=browser.head) as answer,
        ):
            assert answer.status == 200
            assert answer.content_type == "video/mp4"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "media-src blob:" in answer.headers["Content-Security-Policy"]
            assert await answer.read() == VIDEO
        missing = await asked_for(server.port, "/episodes/another/video.mp4")
        assert missing == (404, b'{"ok": false, "text": "there is no such episode"}')

    asyncio.run(look())


@pytest.mark.parametrize(
    "path",
    [
        "/episodes/../video.mp4",
        "/episodes/%2e%2e/video.mp4",
        "/episodes/..%2f..%2fsecret/video.mp4",
        "/episodes/x/../../secret/video.mp4",
        "/episodes/.hidden/video.mp4",
        "/episodes//etc/video.mp4",
        "/episodes/%2fetc%2fpasswd/video.mp4",
        "/episodes/x%00/video.mp4",
        "/episodes/x%0a/video.mp4",
        "/episodes/x%5c..%5cy/video.mp4",
        "/episodes/%c3%a9/video.mp4",
        f"/episodes/{'x' * 121}/video.mp4",
        f"/episodes/{NAME}/episode.json",
        f"/episodes/{NAME}/",
        f"/episodes/{NAME}/video.mp4/",
        "/episodes/",
    ],
)
def test_what_is_no_name_of_an_episode_is_asked_of_nobody(server, asked, path):
    status, _ = asyncio.run(asked_for(server.port, path))
    assert status in (400, 404)
    assert asked.looked == []


def test_who_was_not_let_in_or_is_another_site_sees_no_video(asked):
    guarded = server_with(asked, token=TOKEN)

    async def try_all():
        port = guarded.port
        assert (await asked_for(port, PATH))[0] == 401
        assert (await asked_for(port, PATH, "Authorization: Bearer wrong"))[0] == 401
        let_in = f"Authorization: Bearer {TOKEN}"
        for site in ("cross-site", "same-site"):
            assert (await asked_for(port, PATH, let_in, f"Sec-Fetch-Site: {site}"))[0] == 403
        assert (await asked_for(port, PATH, let_in, method="POST"))[0] == 403
        assert asked.looked == []
        assert await asked_for(port, PATH, let_in) == (200, VIDEO)

    try:
        asyncio.run(try_all())
    finally:
        guarded.close()


def test_who_takes_a_video_in_slowly_keeps_neither_stop_nor_others_waiting(server, asked):
    async def hold_up():
        slow = [await opened(server.port, PATH) for _ in range(8)]
        for reader, _ in slow:
            assert b"200 OK" in await reader.readuntil(b"\r\n")
        assert (await asked_for(server.port, PATH))[0] == 503
        async with Browser(server.port) as browser:
            assert (await browser.send("POST", "/stop"))[0] == 200
            for _, writer in slow:
                writer.transport.abort()
            while (await asked_for(server.port, PATH))[0] == 503:
                await asyncio.sleep(0.05)
            assert await asked_for(server.port, PATH) == (200, VIDEO)

    asyncio.run(hold_up())
    assert asked.stops == 1


def test_a_video_that_nobody_hands_out_is_given_up(server, asked, monkeypatch):
    monkeypatch.setattr("vla_operator.server._VIDEO_S", 0.2)
    asked.mute = True

    async def look():
        for _ in range(10):
            assert (await asked_for(server.port, PATH))[0] == 503
        asked.mute = False
        assert (await asked_for(server.port, PATH))[0] == 200

    asyncio.run(look())
