# SPDX-License-Identifier: Apache-2.0
"""The 33 bytes that accompany every sample, request and reply."""

from __future__ import annotations

import struct
from typing import NamedTuple

_LAYOUT = struct.Struct("<qqB16s")
_GID_SIZE = 16


class Attachment(NamedTuple):
    """Sequence number (from 1), source time in nanoseconds, and the sender's GID."""

    sequence: int
    time_ns: int
    gid: bytes


def encode(sequence: int, time_ns: int, gid: bytes) -> bytes:
    """Return the attachment's bytes; `gid` has 16."""
    return _LAYOUT.pack(sequence, time_ns, _GID_SIZE, gid)


def decode(data: bytes) -> Attachment:
    """Read an attachment.

    Raises:
        ValueError: If `data` is not one.
    """
    if len(data) != _LAYOUT.size:
        raise ValueError(f"an attachment has {_LAYOUT.size} bytes, this has {len(data)}")
    sequence, time_ns, size, gid = _LAYOUT.unpack(data)
    if size != _GID_SIZE:
        raise ValueError(f"a GID has {_GID_SIZE} bytes, this claims {size}")
    return Attachment(sequence, time_ns, gid)
