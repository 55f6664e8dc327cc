# SPDX-License-Identifier: Apache-2.0
"""Messages for a policy server: damaged, random, hostile, and good ones in between."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np

from vla_policies import STATE, FeatureKind, FeatureSpec, PolicySpec
from vla_policies.wire.codec import DTYPES, Picture, encode

FRONT = "observation.images.front"
SHAPE = (48, 64, 3)
SPEC = PolicySpec(
    "echo 1",
    (
        FeatureSpec(FRONT, FeatureKind.IMAGE, SHAPE),
        FeatureSpec(STATE, FeatureKind.STATE, (6,), "rad"),
    ),
    tuple("abcdef"),
    "rad",
    0.1,
    10,
)
LIMIT = 1 << 20


class WritesFile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


class MessageFuzzer:
    """Makes them, by a seed."""

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
        self.picture = Picture.of(image, 80).data
        scans = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
        last = scans.rindex(b"\xff\xda")
        self.scans = scans[:-2] + scans[last:-2] * 500 + b"\xff\xd9"

    def message(self) -> bytes:
        kind = self.random.integers(7)
        if kind == 0:
            return self.random.bytes(int(self.random.integers(0, 300)))
        if kind == 1:
            return self.damaged()
        if kind == 2:
            return bytes(msgpack.packb(self.value(0), default=str))
        if kind == 3:
            return encode({**self.good, **self.changes()})
        if kind == 4:
            return self.hostile()
        if kind == 5:
            return encode({**self.good, FRONT: Picture(SHAPE, self.damaged_picture())})
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

    def damaged_picture(self) -> bytes:
        data = bytearray(self.picture)
        for _ in range(int(self.random.integers(1, 6))):
            # Half of it in the first segments, which say what the rest is.
            end = len(data) if self.random.random() < 0.5 else 640
            data[self.random.integers(2, end)] = int(self.random.integers(256))
        if self.random.random() < 0.2:
            at = int(self.random.integers(2, len(data)))
            data[at:at] = data[at : at + int(self.random.integers(2000))] * 20
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
            b"\xdc\x01\x00" * int(self.random.integers(1, 900)) + b"\x80" * 100_000,
            msgpack.packb([[{}] * 256] * 256),
            msgpack.packb([[["x"] * 256] * 256] * 2),
            encode({**self.good, "version": bytes(LIMIT - (1 << 15))}),
            encode({**self.good, FRONT: Picture(SHAPE, self.scans)}),
            encode({**self.good, FRONT: Picture(SHAPE, b"\xff\xd8" + b"\xff" * 900_000)}),
            encode({**self.good, FRONT: Picture(SHAPE, b"\xff\xd8" + b"\xff\xd0" * 450_000)}),
            encode(
                {**self.good, FRONT: Picture(SHAPE, self.picture[:-2] + b"\xff\x00" * 450_000)}
            ),
        )
        return choices[self.random.integers(len(choices))]

    def array(self, dtype: str, shape: list[int], data: bytes) -> bytes:
        found = {b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": shape}
        return bytes(msgpack.packb({**dict.fromkeys(self.good), FRONT: found}))

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
