# SPDX-License-Identifier: Apache-2.0
"""What an authorised client can send to keep the server busy, and that it keeps nobody waiting.

Each asks for work that its bytes do not show. The work is counted here, never timed.
"""

import os
import socket
import struct
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace

import cv2
import msgpack
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.sync.client import connect

from vla_policies import STATE, FeatureKind, FeatureSpec, PolicyError, load_policy
from vla_policies.wire import guard
from vla_policies.wire.codec import MessageLimits, Picture, WireError, brief, decode, encode
from vla_policies.wire.guard import SMALL_BURST, SMALL_PER_S, FrameBudget
from vla_policies.wire.jpeg import MAX_SEGMENTS, jpeg_problem
from vla_policies.wire.messages import Description, read_request

FRONT = "observation.images.front"
IMAGE = np.zeros((8, 8, 3), np.uint8)
# OpenCV before 4.7 has no name for it, and leaves it alone.
SAMPLING_FACTOR = getattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR", 7)
GOOD = {FRONT: IMAGE, STATE: np.zeros(2), "prompt": "do it"}


def raw(running):
    return connect(running.url, compression=None, max_size=None, proxy=None, close_timeout=0.2)


def jpeg(*parameters, shape=(64, 64, 3)):
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    image = np.stack([2 * columns, 3 * rows, rows + columns], axis=2).astype(np.uint8)
    return cv2.imencode(".jpg", image, list(parameters))[1].tobytes()


def progressive(scans):
    """A progressive file with its last scan repeated: small, and as slow as its scans are many."""
    plain = jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    at = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[at:-2] * (scans - 1) + b"\xff\xd9"


# -- unpacking ------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [{}, [], {"a": None}])
def test_a_message_of_many_empty_maps_is_refused_after_the_first_few(empty):
    message = msgpack.packb([[empty] * 256] * 256)
    with pytest.raises(WireError, match="more than 512 lists and maps"):
        decode(message, MessageLimits())


def test_the_work_of_unpacking_ends_where_the_limit_is(monkeypatch):
    from vla_policies.wire import codec

    seen = []
    monkeypatch.setattr(codec, "_unpack", lambda found: seen.append(1) or found)
    with pytest.raises(WireError):
        decode(msgpack.packb([[{}] * 256] * 256), MessageLimits(containers=100))
    assert len(seen) <= 100


def test_as_many_features_as_a_message_may_have_fit():
    message = {f"feature {i}": np.zeros(2) for i in range(250)}
    assert len(decode(encode(message), MessageLimits())) == 250


@pytest.mark.parametrize(
    "value", [b"x" * (1 << 22), "x" * (1 << 22), [b"x" * (1 << 22)] * 3, {"a": ["x" * 9000] * 200}]
)
def test_a_reason_does_not_repeat_what_was_sent(value):
    assert len(brief(value)) < 200


@pytest.mark.parametrize(
    "key", ["version", "id", "stamp_ns", "reset", "prompt", FRONT, b"x" * 9999]
)
def test_a_refusal_is_short_however_large_the_wrong_value_is(spec, key):
    own = {"version": 1, "id": 1, "stamp_ns": 1, "reset": False}
    message = decode(encode({**GOOD, **own, key: np.zeros(1 << 20)}), MessageLimits())
    with pytest.raises(WireError) as refused:
        read_request(message, Description(spec, continues=True), MessageLimits())
    assert len(str(refused.value)) < 300


# -- pictures -------------------------------------------------------------------------------------


def test_a_progressive_picture_is_refused_undecoded(monkeypatch):
    data = progressive(3)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape == (64, 64, 3)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(WireError, match="progressive"):
        Picture((64, 64, 3), data).pixels()


def test_a_picture_with_more_scans_than_colours_is_refused():
    plain = jpeg()
    at = plain.rindex(b"\xff\xda")
    assert jpeg_problem(plain, (64, 64, 3)) == ""
    many = plain[:-2] + plain[at:-2] * 3 + b"\xff\xd9"
    assert "more scans than its 3 colours" in jpeg_problem(many, (64, 64, 3))


def test_a_picture_of_endless_segments_is_refused():
    plain = jpeg()
    at = plain.rindex(b"\xff\xda")
    many = plain[:at] + b"\xff\xfe\x00\x02" * (MAX_SEGMENTS + 1) + plain[at:]
    assert f"more than {MAX_SEGMENTS} segments" in jpeg_problem(many, (64, 64, 3))


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x01", b"\xff\xd0", b"\xff\xfe\x00\x02"])
def test_what_stands_before_a_picture_costs_nothing(filler, monkeypatch):
    from vla_policies.wire import jpeg as module

    seen = []
    past_fill = module._past_fill
    monkeypatch.setattr(module, "_past_fill", lambda *a: seen.append(1) or past_fill(*a))
    plain = jpeg()
    data = plain[:2] + filler * 200_000 + plain[2:]
    pieces = list(module._segments(data))
    assert len(pieces) + len(seen) <= MAX_SEGMENTS + 2


def test_a_picture_that_is_cut_short_is_not_filled_with_grey():
    plain = jpeg()
    assert "cut short" in jpeg_problem(plain[: len(plain) // 2], (64, 64, 3))
    assert "cut short" in jpeg_problem(plain[:-2], (64, 64, 3))


@pytest.mark.parametrize("restart", [0, 1])
@pytest.mark.parametrize("sampling", [0x411111, 0x211111, 0x111111])
def test_what_encoders_write_by_default_is_decoded(restart, sampling):
    data = jpeg(
        cv2.IMWRITE_JPEG_RST_INTERVAL, restart, SAMPLING_FACTOR, sampling,
        cv2.IMWRITE_JPEG_OPTIMIZE, 1, shape=(50, 70, 3),
    )  # fmt: skip
    assert Picture((50, 70, 3), data).pixels().shape == (50, 70, 3)


@pytest.mark.parametrize(
    "shape", [(1, 1 << 24, 3), (1 << 16, 1 << 16, 3), (1 << 31, 1 << 31, 3), (3000, 3000, 3)]
)
def test_an_image_of_too_many_pixels_is_refused_however_it_is_packed(spec, shape):
    feature = FeatureSpec(FRONT, FeatureKind.IMAGE, (None, None, 3))
    description = Description(
        replace(spec, observation=(feature, spec.observation[1])), continues=False
    )
    small = MessageLimits(image_pixels=1 << 10)
    message = {**decode(encode(GOOD), MessageLimits()), FRONT: Picture(shape, b"")}
    with pytest.raises(WireError, match="pixels; at most 8388608"):
        read_request(message, description, MessageLimits())
    message = decode(encode({**GOOD, FRONT: np.zeros((2, 1000, 3), np.uint8)}), MessageLimits())
    with pytest.raises(WireError, match="2000 pixels; at most 1024"):
        read_request(message, description, small)


# -- frames and connections -----------------------------------------------------------------------


def test_small_frames_are_counted_large_ones_and_slow_ones_are_not():
    budget = FrameBudget(0.0)
    assert all(budget.take(4096, 0.0) for _ in range(100_000))
    assert sum(budget.take(10, 0.0) for _ in range(5000)) == SMALL_BURST
    slow = FrameBudget(0.0)
    assert all(slow.take(10, i / SMALL_PER_S) for i in range(20_000))


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.CONT, Opcode.BINARY])
def test_a_flood_of_tiny_frames_ends_the_connection_with_a_reason(start, opcode):
    running = start()
    with raw(running) as client:
        client.recv(60.0)
        mask = bytes(4)
        begin = b"\x02\x81" + mask + b"x" if opcode is Opcode.CONT else b""
        fin = 0x00 if opcode is Opcode.CONT else 0x80
        frame = struct.pack("BB", fin | opcode, 0x80) + mask
        # It is closed before all was sent.
        with suppress(OSError):
            client.socket.sendall(begin + frame * 200_000)
        with suppress(ConnectionClosed):
            for _ in range(10_000):  # answers to the first of them
                client.recv(10.0)
        assert client.close_code is not None
    client = load_policy("remote", {"url": running.url})
    client.close()


def test_of_connections_that_say_nothing_the_oldest_makes_room(start, monkeypatch, observe):
    monkeypatch.setattr(guard, "WAITING", 5)
    running = start()
    silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(20)]
    silent[0].settimeout(5.0)
    with suppress(ConnectionResetError):
        assert silent[0].recv(1) == b""
    client = load_policy("remote", {"url": running.url})
    assert client.infer(observe()).phase == "count 1"
    client.close()
    for each in silent:
        each.close()


def test_clients_that_hold_every_place_and_ask_nothing_make_room(start, observe):
    running = start(clients=2, idle_s=0.2)
    with raw(running) as first, raw(running) as second:
        first.recv(60.0)
        second.recv(60.0)
        client = load_policy("remote", {"url": running.url, "connect_timeout_s": 60.0})
        assert client.infer(observe()).phase == "count 1"
        with pytest.raises(ConnectionClosed) as closed:
            first.recv(60.0)
        assert "idle" in closed.value.rcvd.reason
        client.close()


def test_a_client_that_asks_keeps_its_place(start, observe):
    running = start(clients=1, idle_s=30.0)
    client = load_policy("remote", {"url": running.url})
    client.infer(observe())
    with pytest.raises(PolicyError, match="1 clients are served already"):
        load_policy("remote", {"url": running.url, "connect_timeout_s": 2.0})
    client.infer(observe())
    client.close()


# -- nobody waits for another ---------------------------------------------------------------------


def test_a_picture_that_takes_long_to_decode_keeps_nobody_waiting(start, observe, monkeypatch):
    entered, gate = threading.Event(), threading.Event()
    pixels = Picture.pixels

    def slow(picture):
        entered.set()
        gate.wait(120.0)
        return pixels(picture)

    monkeypatch.setattr(Picture, "pixels", slow)
    running = start()
    with raw(running) as hostile:
        hostile.recv(60.0)
        hostile.send(encode({**GOOD, FRONT: Picture.of(IMAGE, 90)}))
        assert entered.wait(60.0)
        client = load_policy("remote", {"url": running.url, "timeout_s": 60.0})
        assert client.infer(observe()).phase == "count 1"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        health = f"http://127.0.0.1:{running.port}/healthz"
        assert opener.open(health, timeout=60).read() == b"OK\n"
        gate.set()
        assert b"actions" in hostile.recv(60.0)
        client.close()


def test_a_policy_that_is_loaded_for_one_client_keeps_no_other_waiting(start, policy, observe):
    gate, made = threading.Event(), []

    def make():
        made.append(type(policy)())
        if len(made) == 3:
            gate.wait(120.0)
        return made[-1]

    running = start(make, own_policy=True)
    client = load_policy("remote", {"url": running.url, "timeout_s": 60.0})
    with raw(running) as slow:
        deadline = time.monotonic() + 60.0
        while len(made) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert client.infer(observe()).phase == "count 1"
        gate.set()
        slow.recv(60.0)
    client.close()


def test_the_reset_of_an_observation_that_cannot_be_decoded_is_not_lost(start, policy):
    running = start()
    own = {**GOOD, "version": 1, "stamp_ns": 0}
    with raw(running) as client:
        client.recv(60.0)

        def ask(**changes):
            client.send(encode({**own, **changes}))
            return decode(client.recv(60.0), MessageLimits())

        assert ask(id=1, reset=True)["phase"] == "count 1"
        assert ask(id=2, reset=False)["phase"] == "count 2"
        broken = Picture((8, 8, 3), b"\xff\xd8")
        assert "JPEG" in ask(id=3, reset=True, **{FRONT: broken})["error"]
        assert ask(id=4, reset=False)["phase"] == "count 1"


def test_a_damaged_picture_fills_no_log(start, capfd):
    plain = jpeg(shape=(8, 8, 3))
    damaged = plain[:-2] + bytes(range(1, 200)) + plain[-2:]
    cv2.imdecode(np.frombuffer(damaged, np.uint8), 1)
    assert "Corrupt JPEG" in capfd.readouterr().err, "what libjpeg does by itself"
    with raw(start()) as client:
        client.recv(60.0)
        for _ in range(3):
            client.send(encode({**GOOD, FRONT: Picture((8, 8, 3), damaged)}))
            client.recv(60.0)
    assert "JPEG" not in capfd.readouterr().err
    os.write(2, b"still there")
    assert "still there" in capfd.readouterr().err
