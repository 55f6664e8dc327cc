# SPDX-License-Identifier: Apache-2.0
"""Fuzz a policy server: does it crash, grow, or run what it is sent?

    python -m verification.fuzz.policy_server --messages 100000

Messages are random bytes, damaged good ones, well-formed ones of random content, pickles that
would write a file, what asks for more work than its bytes show, and good ones in between, whose
answers are checked. Besides, random bytes go to the port without a handshake, tiny frames come in
floods, and another client asks all the time: its longest wait is measured. Exit code 1 when
anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from verification.fuzz.policy_messages import LIMIT, SPEC, MessageFuzzer
from vla_policies import STATE, Action
from vla_policies.wire.codec import MessageLimits, decode

GROWTH_MB = 8.0
# Far above what a good client waits for here, far below what a person would notice.
WAIT_S = 1.0


class Echo:
    """Returns the state in every row."""

    spec = SPEC

    def reset(self) -> None: ...
    def close(self) -> None: ...

    def continue_chunk(self, observation: Any, committed: Any) -> Action:
        return self.infer(observation)

    def infer(self, observation: Any) -> Action:
        return Action(np.tile(observation.state[STATE], (10, 1)), 0.1, SPEC.joint_names)


def serve() -> int:
    from vla_policies.wire import guard
    from vla_policies.wire.process import serve as run
    from vla_policies.wire.server import ServerConfig

    # The fuzzer sends more small messages a second than a client may; floods are tried apart.
    guard.SMALL_PER_S = 20_000.0
    config = ServerConfig(port=0, limits=MessageLimits(message_bytes=LIMIT))
    return run(Echo, config, lambda server, port: print(port, flush=True))


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def knock(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(5.0)
        try:
            while raw.recv(4096):
                pass
        except OSError:
            pass


def flood(port: int, random: np.random.Generator) -> None:
    """Send tiny frames until the server has enough."""
    opcode = int(random.choice([0x82, 0x89, 0x8A]))
    with (
        contextlib.suppress(OSError, ConnectionClosed),
        connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None, close_timeout=0.2) as one,
    ):
        one.socket.sendall(bytes((opcode, 0x80, 0, 0, 0, 0)) * 300_000)


class Neighbour:
    """Another client, which asks all the time."""

    def __init__(self, port: int, message: bytes) -> None:
        self.longest_s, self.answers, self.problem = 0.0, 0, ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(port, message), daemon=True)
        self._thread.start()

    def _ask(self, port: int, message: bytes) -> None:
        try:
            with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as one:
                one.recv(10.0)
                while not self._stop.wait(0.01):
                    began = time.monotonic()
                    one.send(message)
                    one.recv(60.0)
                    self.longest_s = max(self.longest_s, time.monotonic() - began)
                    self.answers += 1
        except (OSError, ConnectionClosed, TimeoutError) as error:
            self.problem = f"another client was cut off: {error!r}"

    def end(self) -> None:
        self._stop.set()
        self._thread.join(61.0)


def run(messages: int, seed: int, *, to_page: bool = False) -> int:
    trap = Path(tempfile.mkdtemp()) / "code_was_run"
    fuzzer, problems = MessageFuzzer(seed, trap), []
    command = [sys.executable, "-m", "verification.fuzz.policy_server", "--serve"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())
    counts = {"chunk": 0, "overtaken": 0, "refused": 0, "closed": 0}
    sizes, began = [], time.monotonic()

    def open_one() -> Any:
        found = connect(
            f"ws://127.0.0.1:{port}", compression=None, max_size=None, proxy=None,
            close_timeout=0.2,
        ).__enter__()  # fmt: skip
        found.recv(10.0)
        return found

    one = open_one()
    neighbour = Neighbour(port, fuzzer.seeds[0])
    for number in range(messages):
        data = fuzzer.message()
        if number % 1000 == 500:
            data = bytes(LIMIT + 1)
        if number % 50 == 25:
            knock(port, b"GET / HTTP/1.1\r\n" + fuzzer.random.bytes(200))
        if number % 2000 == 1000:
            flood(port, fuzzer.random)
        try:
            one.send(data)
            answer = one.recv(10.0)
        except ConnectionClosed as closed:
            counts["closed"] += 1
            if len(data) <= LIMIT or closed.rcvd is None or not closed.rcvd.reason:
                problems.append(f"message {number} closed the connection: {closed}")
            one = open_one()
            continue
        if isinstance(answer, str):
            counts["refused"] += 1
            if not answer or "Error" in answer.split(":")[0]:
                problems.append(f"message {number}: {answer[:100]!r}")
        else:
            found = decode(answer, MessageLimits())
            kinds = {"actions": "chunk", "error": "refused", "overtaken": "overtaken"}
            counts[next(kinds[key] for key in kinds if key in found)] += 1
        if number % 500 == 0:
            one.send(fuzzer.seeds[0])
            rows = decode(one.recv(10.0), MessageLimits())["actions"].array()
            if not np.array_equal(rows, np.tile(fuzzer.state, (10, 1))):
                problems.append(f"after message {number} a good one was answered wrongly")
        if number % max(1, messages // 10) == 0 or number == messages - 1:
            sizes.append(resident_mb(server.pid))
            print(f"{number:>8} messages  {sizes[-1]:6.1f} MB  {counts}", flush=True)
    took = time.monotonic() - began
    neighbour.end()
    if neighbour.problem:
        problems.append(neighbour.problem)
    if not neighbour.longest_s < WAIT_S:
        problems.append(f"another client waited for {neighbour.longest_s:.2f} s")
    waited = f"{1e3 * neighbour.longest_s:.0f} ms of {neighbour.answers:,} answers"
    print(f"longest wait of another client: {waited}")
    if server.poll() is not None:
        problems.append(f"the server ended with {server.returncode}")
    server.terminate()
    _, errors = server.communicate(timeout=20)
    if server.returncode != 0:
        problems.append(f"the server left with {server.returncode}")
    if "Traceback" in errors:
        problems.append("a traceback: " + errors[errors.index("Traceback") :][:500])
    if trap.exists():
        problems.append("code was run")
    if sizes[-1] - sizes[1] > GROWTH_MB:
        problems.append(f"it grew from {sizes[1]:.1f} to {sizes[-1]:.1f} MB")
    print(f"{messages} messages in {took:.0f} s, {counts}")
    print(f"resident: {sizes[1]:.1f} MB after a tenth, {sizes[-1]:.1f} MB at the end")
    for problem in problems[:20]:
        print("PROBLEM:", problem)
    verdict = (
        "no crash, no growth, no code run, nobody kept waiting"
        if not problems
        else f"{len(problems)} problems"
    )
    print(verdict)
    if to_page:
        write(messages, seed, took, counts, sizes, waited, verdict)
    return bool(problems)


def write(
    messages: int,
    seed: int,
    took: float,
    counts: dict[str, int],
    sizes: list[float],
    waited: str,
    verdict: str,
) -> None:
    from benchmarks import pages

    rows = [
        ["messages", f"{messages:,}"],
        ["handshakes of random bytes", f"{len(range(25, messages, 50)):,}"],
        ["floods of 300,000 tiny frames", f"{len(range(1000, messages, 2000)):,}"],
        ["answered with a chunk", f"{counts['chunk']:,}"],
        ["refused with a reason", f"{counts['refused']:,}"],
        ["connection closed with a reason (too long)", f"{counts['closed']:,}"],
        ["resident after a tenth, at the end", f"{sizes[1]:.1f} MB, {sizes[-1]:.1f} MB"],
        ["longest wait of another client that asks all the time", waited],
        ["found", verdict],
    ]
    command = f"verification.fuzz.policy_server --messages {messages} --seed {seed}"
    run = f"`python {command}`, {took:.0f} s on {os.cpu_count()} processors."
    blocks = {"fuzz run": run, "fuzz": pages.table(["", ""], rows)}
    pages.fill(pages.DOCS / "policy_server.md", blocks)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve()
    return run(arguments.messages, arguments.seed, to_page=arguments.write)


if __name__ == "__main__":
    sys.exit(main())
