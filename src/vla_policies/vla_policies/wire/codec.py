# SPDX-License-Identifier: Apache-2.0
"""Bytes to values and back: MessagePack, and arrays as openpi writes them. Never pickle.

An array is a map of ``__ndarray__``, ``data``, ``dtype`` and ``shape``, under keys of bytes; a
JPEG picture one of ``__jpeg__``, ``data`` and ``shape``. What arrives stays a `Packed` or a
`Picture` until its reader has agreed to its type and shape: nothing is allocated on a stranger's
word. An array is then a view of the message.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import msgpack
import numpy as np
from numpy.typing import NDArray

from vla_policies.protocol import Image, PolicyError
from vla_policies.wire.jpeg import jpeg_problem

DTYPES = frozenset(
    ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
)
MAX_DIMENSIONS = 4
DAMAGED = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)


class WireError(PolicyError):
    """What arrived is not what the protocol says. One line that says why."""


@dataclass(frozen=True)
class MessageLimits:
    """How much of a stranger's message is read.

    Attributes:
        message_bytes: Of a message.
        image_pixels: Of one image, compressed or not; 4K has 8.3 million.
        items: Of one list or map. A list is allocated by its announced length, at every depth.
        containers: Lists and maps of a message, all together. An array is two of them. A byte can
            announce one, so that bytes alone bound neither the time nor the memory they take.
        text_bytes: Of one text.
    """

    message_bytes: int = 32 << 20
    image_pixels: int = 1 << 23
    items: int = 256
    containers: int = 512
    text_bytes: int = 1 << 14


@dataclass(frozen=True)
class Packed:
    """An array that has arrived, its size checked.

    Attributes:
        dtype: One of `DTYPES`.
        shape: At most `MAX_DIMENSIONS` lengths.
        data: As many bytes as these say.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def array(self) -> NDArray[Any]:
        """Return the array, a view that cannot be written to."""
        if not self.data:
            return np.zeros(self.shape, dtype=self.dtype)
        return np.frombuffer(self.data, dtype=self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Picture:
    """A JPEG picture.

    Attributes:
        shape: (H, W, 3) of the decoded picture.
        data: The file.
    """

    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, image: Image, quality: int) -> Picture:
        """Compress (H, W, 3) uint8 RGB.

        Args:
            image: The picture.
            quality: 1 to 100.
        """
        parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
        _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)
        return cls(image.shape, data.tobytes())

    def pixels(self) -> Image:
        """Return (H, W, 3) uint8 RGB.

        Raises:
            WireError: The file is damaged, of another size than announced, or takes more work than
                a plain picture of that size.
        """
        problem = jpeg_problem(self.data, self.shape)
        if problem:
            raise WireError(problem)
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            decoded = cv2.imdecode(np.frombuffer(self.data, np.uint8), flags)
        except cv2.error:
            decoded = None
        if decoded is None or decoded.shape != self.shape:
            raise WireError("a JPEG cannot be decoded")
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def encode(value: object) -> bytes:
    """Return a message of maps, lists, texts, numbers, arrays and pictures.

    Raises:
        TypeError: The value holds anything else, or an array of another type.
    """
    return bytes(msgpack.packb(value, default=_pack))


def decode(data: bytes, limits: MessageLimits) -> Any:
    """Return what a message says, arrays as `Packed`, pictures as `Picture`.

    Raises:
        WireError: It is too long, damaged, or holds what is not allowed.
    """
    if len(data) > limits.message_bytes:
        raise WireError(
            f"a message has {len(data)} bytes; at most {limits.message_bytes} are allowed"
        )
    left = limits.containers

    def container(found: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise WireError(f"a message has more than {limits.containers} lists and maps")
        return _unpack(found) if isinstance(found, dict) else found

    try:
        return msgpack.unpackb(
            data,
            object_hook=container,
            list_hook=container,
            raw=False,
            max_bin_len=limits.message_bytes,
            max_str_len=limits.text_bytes,
            max_array_len=limits.items,
            max_map_len=limits.items,
            max_ext_len=0,
        )
    except WireError:
        raise
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WireError(f"a message cannot be read: {reason}") from None


def brief(value: object, length: int = 40) -> str:
    """Show a stranger's value in a message, at a cost that does not depend on its size."""
    if isinstance(value, (str, bytes)):
        return repr(value[:length]) + ("..." if len(value) > length else "")
    if isinstance(value, (int, float, type(None))):
        return repr(value)
    if isinstance(value, list) and len(value) <= MAX_DIMENSIONS + 1:
        return f"[{', '.join(brief(each, 10) if _plain(each) else '...' for each in value)}]"
    return f"a {type(value).__name__}"


def _plain(value: object) -> bool:
    return isinstance(value, (str, bytes, int, float, type(None)))


def _pack(value: object) -> object:
    if isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<"), copy=False)
        if little.dtype.str not in DTYPES:
            raise TypeError(f"an array of {value.dtype} cannot be sent")
        return {
            b"__ndarray__": True,
            b"data": little.tobytes(),
            b"dtype": little.dtype.str,
            b"shape": list(little.shape),
        }
    if isinstance(value, Picture):
        return {b"__jpeg__": True, b"data": value.data, b"shape": list(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _unpack(found: dict[Any, Any]) -> Any:
    if b"__ndarray__" in found:
        return _packed(found)
    if b"__jpeg__" in found:
        data, shape = found.get(b"data"), _shape(found.get(b"shape"))
        if not isinstance(data, bytes) or len(shape) != 3:
            raise WireError("a JPEG lacks its data or its shape")
        return Picture(shape, data)
    if b"__npgeneric__" in found:
        value = found.get(b"data")
        if not isinstance(value, (bool, int, float)):
            raise WireError(f"a number is a {type(value).__name__}")
        return value
    return found


def _packed(found: dict[Any, Any]) -> Packed:
    data, dtype, shape = found.get(b"data"), found.get(b"dtype"), _shape(found.get(b"shape"))
    if not isinstance(data, bytes):
        raise WireError("an array has no data")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise WireError(
            f"an array of type {brief(dtype)}; allowed are {', '.join(sorted(DTYPES))}"
        )
    size = math.prod(shape) * int(dtype[2:])
    if size != len(data):
        raise WireError(f"an array of {dtype} and shape {shape} has {len(data)} bytes, not {size}")
    return Packed(dtype, shape, data)


def _shape(found: object) -> tuple[int, ...]:
    if not isinstance(found, list) or len(found) > MAX_DIMENSIONS:
        raise WireError(f"a shape is {brief(found)}; it must be at most {MAX_DIMENSIONS} lengths")
    if not all(type(length) is int and 0 <= length < 1 << 32 for length in found):
        raise WireError(f"a shape is {brief(found)}; it must be of whole numbers")
    return tuple(found)
