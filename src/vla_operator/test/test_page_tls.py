# SPDX-License-Identifier: Apache-2.0
"""The page for other computers: TLS, a token, and connections that never finish a handshake."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess

import pytest
from page_client import Browser, Recorder

from vla_operator.params import OperatorParams
from vla_operator.server import PageServer
from vla_operator.settings import ServerSettings, settings_of

TOKEN = "0123456789abcdef" * 2

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not here, and makes the certificate"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a certificate and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "page.pem", folder / "page.key"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=robot"]
    words += ["-addext", "subjectAltName=DNS:localhost"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def asked():
    return Recorder()


@pytest.fixture
def server(files, asked, tmp_path):
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    token.chmod(0o600)
    given = settings_of(
        OperatorParams(
            robot_file="x",
            address="0.0.0.0",
            token_file=str(token),
            certificate_file=str(files[0]),
            key_file=str(files[1]),
            names="robot.example; other.example",
        )
    )
    assert given.names[:2] == ("robot.example", "other.example")
    server = PageServer(
        ServerSettings(given.address, 0, given.names, given.token, given.context), asked
    )
    server.start()
    yield server
    server.close()


def trusting(files):
    """Return what a browser is that trusts this certificate and no other."""
    context = ssl.create_default_context(cafile=str(files[0]))
    context.check_hostname = False
    return context


def test_the_page_is_reached_over_tls_with_the_token(server, files, asked):
    async def look():
        for host in (f"localhost:{server.port}", f"robot.example:{server.port}"):
            async with Browser(server.port, host, "https", ssl=trusting(files)) as browser:
                assert (await browser.send("GET", "/session"))[1] == {"ok": False}
                answer = await browser.session.post(
                    f"{browser.place}/login", json={"token": TOKEN}, headers=browser.head
                )
                assert answer.status == 200
                assert "Secure" in answer.headers["Set-Cookie"]
                word = answer.headers["Set-Cookie"].split(";")[0]
                # Under its own name a browser would send the cookie by itself.
                page = await browser.open(Cookie=word)
                assert (await page.ask("stop"))["ok"]

    asyncio.run(look())
    assert asked.stops == 2


def test_another_site_and_plain_http_are_refused_there_too(server, files, asked):
    async def look():
        evil = f"evil.example:{server.port}"
        async with Browser(server.port, evil, "https", ssl=trusting(files)) as browser:
            assert (await browser.send("POST", "/stop"))[0] == 421
        async with Browser(server.port, scheme="https", ssl=trusting(files)) as browser:
            browser.head["Origin"] = f"http://localhost:{server.port}"
            assert (await browser.send("POST", "/stop"))[0] == 403

    asyncio.run(look())
    with socket.create_connection(("127.0.0.1", server.port), 60.0) as raw:
        raw.sendall(b"POST /stop HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b""
        try:
            while more := raw.recv(4096):
                said += more
        except ConnectionError:
            pass
        assert b"HTTP" not in said
    assert asked.stops == 0


def test_handshakes_that_are_never_finished_keep_no_page_out(server, files, asked):
    """H34: whoever says nothing gives its place up to whoever comes next."""
    silent = [socket.create_connection(("127.0.0.1", server.port), 60.0) for _ in range(200)]

    async def look():
        async with Browser(server.port, scheme="https", ssl=trusting(files)) as browser:
            page = await browser.open(Authorization=f"Bearer {TOKEN}")
            assert (await page.ask("stop"))["ok"]
        assert len(server.door) <= 96

    try:
        asyncio.run(look())
    finally:
        for raw in silent:
            raw.close()
    assert asked.stops == 1
