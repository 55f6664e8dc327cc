# SPDX-License-Identifier: Apache-2.0
"""The ghost in a browser, for this computer alone: one picture, again and again, and a title."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vla_training.errors import TrainingError
from vla_training.evaluation.live.ghost import Pixels, jpeg

PORTS = 10
_PAGE = b"""<!doctype html><html lang=en><meta charset=utf-8><title>vla-eval --live</title>
<style>body {font: 18px system-ui, sans-serif; margin: 1rem; background: #222; color: #eee}
img {width: 100%; max-height: 85vh; object-fit: contain}</style>
<h1 id=title></h1><p>What is seen twice is not where it was.</p><img id=picture alt="">
<script>
const picture = document.getElementById("picture"), title = document.getElementById("title");
async function next() {
  try {
    title.textContent = await (await fetch("/title")).text();
    const answer = await fetch("/ghost.jpg");
    if (answer.ok) {
      const old = picture.src;
      picture.src = URL.createObjectURL(await answer.blob());
      if (old) URL.revokeObjectURL(old);
    }
  } catch { title.textContent = "vla-eval has ended"; }
  setTimeout(next, 200);
}
next();
</script></html>
"""


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that went away: the terminal is the operator's."""


class GhostPage:
    """Serves the page in threads of its own, until `close`.

    Attributes:
        url: Where it is.
    """

    def __init__(self, port: int) -> None:
        """Serve at a port of the loopback, or one of the next nine.

        Raises:
            TrainingError: All of them are taken.
        """
        self._title, self._picture = "", _nothing
        for each in range(port, port + PORTS):
            try:
                self._server = _QuietServer(("127.0.0.1", each), self._handler())
                break
            except (OSError, OverflowError):
                continue
        else:
            raise TrainingError(f"--port {port}: it and the next nine are taken; give another")
        self.url = f"http://localhost:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="ghost", daemon=True).start()

    def show(self, title: str, picture: Callable[[], Pixels | None]) -> None:
        """Show a title, and a picture that is asked for again and again."""
        self._title, self._picture = title, picture

    def close(self) -> None:
        """End the page."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str) -> tuple[str, bytes] | None:
        if path == "/":
            return "text/html; charset=utf-8", _PAGE
        if path == "/title":
            return "text/plain; charset=utf-8", self._title.encode()
        pixels = self._picture() if path == "/ghost.jpg" else None
        return None if pixels is None else ("image/jpeg", jpeg(pixels))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10.0

            def do_GET(self) -> None:
                # Another site's name for this computer is not this page.
                host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
                answer = page._answer(self.path) if host in ("localhost", "127.0.0.1") else None
                if answer is None:
                    self.send_error(404)
                    return
                kind, body = answer
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the terminal is the operator's."""

        return Handler


def _nothing() -> Pixels | None:
    return None
