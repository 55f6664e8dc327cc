# SPDX-License-Identifier: Apache-2.0
"""Reads serialised messages by the definition of their type: under way, and out of a bag.

One reader for both, so that rows made of a bag are those that were judged while it was recorded.
"""

from __future__ import annotations

from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from vla_recording.episodes.errors import EpisodeError


class Decoder:
    """Knows types by their definitions."""

    def __init__(self) -> None:
        """Start without any."""
        self._stores: dict[str, Typestore] = {}

    def learn(self, type_name: str, definition: str) -> None:
        """Take in the definition of a type and of all that it is made of, as bags have it.

        Raises:
            EpisodeError: It is none.
        """
        if type_name in self._stores:
            return
        store = get_typestore(Stores.EMPTY)
        try:
            store.register(get_types_from_msg(definition, type_name))
        except Exception as error:  # the parser's own, of many kinds
            raise EpisodeError(f"{type_name}: its definition cannot be read: {error}") from None
        self._stores[type_name] = store

    def decode(self, type_name: str, data: bytes) -> Any:
        """Return a message, with the fields of its definition.

        Raises:
            EpisodeError: The type is not known, or the bytes are none of it.
        """
        store = self._stores.get(type_name)
        if store is None:
            raise EpisodeError(f"{type_name}: its definition is not there")
        try:
            return store.deserialize_cdr(data, type_name)
        except Exception as error:  # whatever comes of reading bytes that are something else
            what = f"{type(error).__name__}: {error}"
            raise EpisodeError(f"bytes that are no {type_name} ({what:.120})") from None
