# SPDX-License-Identifier: Apache-2.0
"""Fuzz a policy server: does it crash, grow, or run what it is sent?

    python benchmarks/fuzz_policy_server.py --messages 100000

Messages are random bytes, damaged good ones, well-formed ones of random content, pickles that
would write a file, and good ones in between, whose answers are checked. Besides, random bytes go
to the port without a handshake. Exit code 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from vla_policies import STATE, Action, FeatureSpec, Kind, PolicySpec
from vla_policies.wire.codec import DTYPES, Limits, Picture, decode, encode

FRONT = "observation.images.front"
SHAPE = (48, 64, 3)
SPEC = PolicySpec(
    "echo 1",
    (FeatureSpec(FRONT, Kind.IMAGE, SHAPE), FeatureSpec(STATE, Kind.STATE, (6,), "rad")),
    tuple("abcdef"),
    "rad",
    0.1,
    10,
)
LIMIT = 1 << 20
GROWTH_MB = 8.0


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
    from vla_policies.wire.process import serve as run
    from vla_policies.wire.server import ServerConfig

    config = ServerConfig(port=0, limits=Limits(message_bytes=LIMIT))
    return run(Echo, config, lambda server, port: print(port, flush=True))


class WritesFile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


class Fuzzer:
    def __init__(self, seed: int, trap: Path) -> None:
        self.random = np.random.default_rng(seed)
        self.pickle = pickle.dumps(WritesFile(trap))
        image = self.random.integers(0, 255, SHAPE, dtype=np.uint8)
        self.state = self.random.normal(size=6)
        self.good = {FRONT: image, STATE: self.state, "prompt": "do it"}
        own = {"version": 1, "id": 1, "stamp_ns": 1, "reset": False}
        rows = {"positions": np.zeros((5, 6)), "delay": 2, "horizon": 4}
        self.seeds = [
            encode(self.good),
            encode({**self.good, **own}),
            encode({**self.good, **own, "committed": rows}),
            encode({**self.good, FRONT: Picture.of(image, 80)}),
        ]

    def message(self) -> bytes:
        kind = self.random.integers(6)
        if kind == 0:
            return self.random.bytes(int(self.random.integers(0, 300)))
        if kind == 1:
            return self.damaged()
        if kind == 2:
            return msgpack.packb(self.value(0), default=str)
        if kind == 3:
            return encode({**self.good, **self.changes()})
        if kind == 4:
            return self.hostile()
        return self.seeds[self.random.integers(len(self.seeds))]

    def damaged(self) -> bytes:
        data = bytearray(self.seeds[self.random.integers(len(self.seeds))])
        # Most of a message is pixels, whose change nobody could notice: damage its joints.
        edges = [m for m in range(len(data)) if m < 120 or m > len(data) - 250]
        for _ in range(int(self.random.integers(1, 6))):
            data[edges[self.random.integers(len(edges))]] = int(self.random.integers(256))
        if self.random.random() < 0.2:
            del data[int(self.random.integers(len(data))) :]
        return bytes(data)

    def changes(self) -> dict[str, Any]:
        keys = (*self.good, "version", "id", "reset", "stamp_ns", "committed", "more")
        count = int(self.random.integers(1, 4))
        return {str(k): self.plain(0) for k in self.random.choice(keys, count)}

    def hostile(self) -> bytes:
        length = int(self.random.choice([0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF]))
        head = length.to_bytes(4, "big")
        choices = (
            self.pickle,
            msgpack.packb({FRONT: self.pickle, STATE: self.pickle, "prompt": "x"}),
            self.array("|O", [1], self.pickle),
            self.array("<f8", [length, length], b""),
            self.array("<f8", [-1], b""),
            b"\xdd" + head,
            b"\xdf" + head,
            (b"\xdd" + head) * int(self.random.integers(1, 2000)),
            b"\xc6" + head + b"x",
            b"\x91" * int(self.random.integers(1, 50000)),
            b"\xc9" + head + b"\x01",
            encode({**self.good, FRONT: Picture((60000, 60000, 3), b"\xff\xd8\xff\xc0")}),
            encode({**self.good, STATE: np.full(6, np.nan)}),
        )
        return choices[self.random.integers(len(choices))]

    def array(self, dtype: str, shape: list[int], data: bytes) -> bytes:
        found = {b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": shape}
        return msgpack.packb({**dict.fromkeys(self.good), FRONT: found})

    def plain(self, depth: int) -> Any:
        """Return something that can be sent."""
        choice = self.random.integers(7)
        if choice == 0:
            return int(self.random.integers(-(1 << 62), 1 << 62))
        if choice == 1:
            return float(self.random.choice([0.0, np.nan, np.inf, 1e308]))
        if choice == 2:
            return "x" * int(self.random.integers(0, 100))
        if choice == 3:
            shape = tuple(self.random.integers(0, 9, self.random.integers(0, 5)))
            return np.zeros(shape, str(self.random.choice(sorted(DTYPES))))
        if choice == 4:
            return None
        if choice == 5 and depth < 4:
            return [self.plain(depth + 1) for _ in range(self.random.integers(4))]
        return {"positions": self.plain(4), "delay": 1, "horizon": 1}

    def value(self, depth: int) -> Any:
        """Return any MessagePack value."""
        choice = self.random.integers(9)
        if choice < 3 and depth < 5:
            keys = [self.random.choice(["a", FRONT, "version", "__ndarray__"]) for _ in range(4)]
            both = [str(k) if self.random.random() < 0.5 else str(k).encode() for k in keys]
            return {key: self.value(depth + 1) for key in both}
        if choice == 3 and depth < 5:
            return [self.value(depth + 1) for _ in range(self.random.integers(6))]
        if choice == 4:
            return msgpack.ExtType(int(self.random.integers(0, 127)), b"abc")
        if choice == 5:
            return self.random.bytes(20)
        return [None, True, 1 << 63, -1.5, "text"][self.random.integers(5)]


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


def run(messages: int, seed: int, *, to_page: bool = False) -> int:
    trap = Path(tempfile.mkdtemp()) / "code_was_run"
    fuzzer, problems = Fuzzer(seed, trap), []
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
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
    for number in range(messages):
        data = fuzzer.message()
        if number % 1000 == 500:
            data = bytes(LIMIT + 1)
        if number % 50 == 25:
            knock(port, b"GET / HTTP/1.1\r\n" + fuzzer.random.bytes(200))
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
            found = decode(answer, Limits())
            kinds = {"actions": "chunk", "error": "refused", "overtaken": "overtaken"}
            counts[next(kinds[key] for key in kinds if key in found)] += 1
        if number % 500 == 0:
            one.send(fuzzer.seeds[0])
            rows = decode(one.recv(10.0), Limits())["actions"].array()
            if not np.array_equal(rows, np.tile(fuzzer.state, (10, 1))):
                problems.append(f"after message {number} a good one was answered wrongly")
        if number % max(1, messages // 10) == 0 or number == messages - 1:
            sizes.append(resident_mb(server.pid))
            print(f"{number:>8} messages  {sizes[-1]:6.1f} MB  {counts}", flush=True)
    took = time.monotonic() - began
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
    verdict = "no crash, no growth, no code run" if not problems else f"{len(problems)} problems"
    print(verdict)
    if to_page:
        write(messages, seed, took, counts, sizes, verdict)
    return bool(problems)


def write(
    messages: int, seed: int, took: float, counts: dict[str, int], sizes: list[float], verdict: str
) -> None:
    import pages

    rows = [
        ["messages", f"{messages:,}"],
        ["handshakes of random bytes", f"{len(range(25, messages, 50)):,}"],
        ["answered with a chunk", f"{counts['chunk']:,}"],
        ["refused with a reason", f"{counts['refused']:,}"],
        ["connection closed with a reason (too long)", f"{counts['closed']:,}"],
        ["resident after a tenth, at the end", f"{sizes[1]:.1f} MB, {sizes[-1]:.1f} MB"],
        ["found", verdict],
    ]
    command = f"benchmarks/fuzz_policy_server.py --messages {messages} --seed {seed}"
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
