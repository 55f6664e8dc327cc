# SPDX-License-Identifier: Apache-2.0
"""What arrives is judged before anything is made of it."""

import pickle

import msgpack
import numpy as np
import pytest

from vla_policies.wire.codec import (
    DTYPES,
    MessageLimits,
    Packed,
    Picture,
    WireError,
    decode,
    encode,
)
from vla_policies.wire.jpeg import jpeg_size

LIMITS = MessageLimits()


def array_map(**changes: object) -> bytes:
    plain = {b"__ndarray__": True, b"data": bytes(8), b"dtype": "<f8", b"shape": [1]}
    given = {key.encode(): value for key, value in changes.items()}
    return msgpack.packb({"x": {**plain, **given}})


def test_arrays_of_every_type_survive_the_journey():
    for dtype in sorted(DTYPES):
        sent = np.arange(6).reshape(2, 3).astype(dtype)
        found = decode(encode({"x": sent}), LIMITS)["x"].array()
        assert found.dtype.str == dtype
        assert (found == sent).all()


def test_an_array_from_a_big_endian_machine_arrives_in_little_endian():
    sent = np.array([1.5, -2.0], dtype=">f8")
    found = decode(encode(sent), LIMITS)
    assert found.dtype == "<f8"
    assert found.array().tolist() == [1.5, -2.0]


def test_an_empty_array_and_a_slice_with_steps_survive():
    assert decode(encode(np.zeros((0, 3))), LIMITS).array().shape == (0, 3)
    assert decode(encode(np.arange(10)[::-2]), LIMITS).array().tolist() == [9, 7, 5, 3, 1]


def test_an_array_is_a_view_of_the_message_that_cannot_be_written_to():
    found = decode(encode(np.arange(3)), LIMITS).array()
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


@pytest.mark.parametrize("sent", [np.array([object()]), np.array(["a"]), np.zeros(2, complex)])
def test_arrays_of_objects_texts_and_complex_numbers_are_not_sent(sent):
    with pytest.raises(TypeError, match="cannot be sent"):
        encode(sent)


def test_the_words_of_openpi_are_the_same():
    sent = {
        "state": {b"__ndarray__": True, b"data": b"\0" * 8, b"dtype": "<f4", b"shape": (2,)},
        "n": {b"__npgeneric__": True, b"data": 3, b"dtype": "<i8"},
    }
    found = decode(msgpack.packb(sent), LIMITS)
    assert found["state"].array().tolist() == [0.0, 0.0]
    assert found["n"] == 3
    assert msgpack.unpackb(encode(np.zeros(2, np.float32))) == sent["state"] | {b"shape": [2]}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (array_map(dtype="|O"), "of type '|O'"),
        (array_map(dtype="O"), "of type 'O'"),
        (array_map(dtype=">f8"), "of type '>f8'"),
        (array_map(dtype="f8,O"), "of type"),
        (array_map(dtype=["<f8"]), "of type"),
        (array_map(dtype=b"<f8"), "of type"),
        (array_map(shape=[2]), "has 8 bytes, not 16"),
        (array_map(shape=[1 << 31, 1 << 31]), "has 8 bytes, not"),
        (array_map(shape=[-1]), "a shape is"),
        (array_map(shape=[1.0]), "a shape is"),
        (array_map(shape=[True]), "a shape is"),
        (array_map(shape=[1] * 5), "at most 4"),
        (array_map(shape="1"), "a shape is"),
        (array_map(data="texttext"), "no data"),
        (array_map(data=None), "no data"),
        (msgpack.packb({b"__jpeg__": True, b"data": b"", b"shape": [1]}), "JPEG lacks"),
        (msgpack.packb({b"__npgeneric__": True, b"data": b"x"}), "a number is a bytes"),
        (msgpack.packb(msgpack.ExtType(4, b"x")), "cannot be read"),
        (msgpack.packb(msgpack.Timestamp(1, 2)), "cannot be read"),
        (msgpack.packb({1: 2}), "cannot be read"),
        (msgpack.packb([0] * 257), "cannot be read"),
        (msgpack.packb({str(i): i for i in range(257)}), "cannot be read"),
        (msgpack.packb("x" * 20000), "cannot be read"),
        (b"\xdd\xff\xff\xff\xff", "cannot be read"),
        (b"\x91" * 5000, "cannot be read"),
        (b"\xc1", "cannot be read"),
        (b"", "cannot be read"),
        (b"\xa2\xff\xff", "cannot be read"),
        (msgpack.packb(1) + b"\0", "cannot be read"),
        (pickle.dumps({"x": 1}), "cannot be read"),
    ],
)
def test_what_is_not_allowed_is_refused_with_a_reason(message, reason):
    with pytest.raises(WireError) as refused:
        decode(message, LIMITS)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_message_that_is_too_long_is_not_read_at_all():
    with pytest.raises(WireError, match="at most 10 are allowed"):
        decode(bytes(11), MessageLimits(message_bytes=10))


def test_a_picture_survives_but_for_what_jpeg_loses():
    y, x = np.mgrid[0:48, 0:64]
    image = np.stack([2 * x, 3 * y, x + y], axis=2).astype(np.uint8)
    found = decode(encode(Picture.of(image, 95)), LIMITS)
    assert found.shape == (48, 64, 3)
    assert np.abs(found.pixels().astype(int) - image).mean() < 3.0


def test_a_picture_larger_than_announced_is_not_decoded():
    data = Picture.of(np.zeros((64, 64, 3), np.uint8), 90).data
    assert jpeg_size(data) == (64, 64, 3)
    with pytest.raises(WireError, match="its file says"):
        Picture((8, 8, 3), data).pixels()


def test_a_damaged_picture_or_none_at_all_is_refused():
    data = Picture.of(np.zeros((8, 8, 3), np.uint8), 90).data
    for broken in (b"", b"\xff\xd8", b"\x89PNG\r\n", data[:30], b"\xff\xd8\xff\xc0\0\x02"):
        assert jpeg_size(broken) is None
        with pytest.raises(WireError):
            Picture((8, 8, 3), broken).pixels()


def test_a_packed_array_says_nothing_until_it_is_asked():
    assert Packed("<f8", (1,), bytes(8)).array().tolist() == [0.0]
