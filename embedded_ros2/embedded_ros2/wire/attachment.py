# SPDX-License-Identifier: Apache-2.0
"""The 33 bytes that accompany every sample, request and reply."""

from __future__ import annotations

import struct
from typing import NamedTuple

_LAYOUT = struct.Struct("<qqB16s")
_GID_SIZE = 16
_GID_SIZE_AT = 16


class Attachment(NamedTuple):
    """Sequence number (from 1), source time in nanoseconds, and the sender's GID."""

    sequence: int
    time_ns: int
    gid: bytes


def encode(sequence: int, time_ns: int, gid: bytes) -> bytes:
    """Return the attachment's bytes; `gid` has 16."""
    return _LAYOUT.pack(sequence, time_ns, _GID_SIZE, gid)


def is_sound(data: bytes) -> bool:
    """Return whether `decode` can read it."""
    return len(data) == _LAYOUT.size and data[_GID_SIZE_AT] == _GID_SIZE


def decode(data: bytes) -> Attachment:
    """Read an attachment.

    Raises:
        ValueError: If `data` is not one.
    """
    if len(data) != _LAYOUT.size:
        raise ValueError(f"an attachment has {_LAYOUT.size} bytes, this has {len(data)}")
    if not is_sound(data):
        raise ValueError(f"a GID has {_GID_SIZE} bytes, this claims {data[_GID_SIZE_AT]}")
    sequence, time_ns, _, gid = _LAYOUT.unpack(data)
    return Attachment(sequence, time_ns, gid)
