# SPDX-License-Identifier: Apache-2.0
"""Read a YAML file that a person wrote, and refuse what would be read otherwise than it was meant.

YAML keeps the last of two values for one key, reads ``1:30`` as 90 and ``010`` as 8, expands a
kilobyte of aliases to gigabytes, and lets ``.nan`` stand where a limit is expected. None of that
passes here. What the keys mean, and which of them exist, is the business of the caller.
"""

from __future__ import annotations

import math
import os
import re
import stat
import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

# Of a file that a person writes. What is larger is something else, given by mistake.
MAX_BYTES = 1_000_000
MAX_DEPTH = 32
# Not every integer beyond it is a float, or has a place in a message.
LARGEST_INT = 2**63 - 1
_FLOAT = "tag:yaml.org,2002:float"
# As JSON and YAML 1.2 write numbers; YAML 1.1 takes 1e-3 and -.5 for texts.
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class StrictYamlError(ValueError):
    """The text or the file cannot be used. The message is one line and says what to do.

    Attributes:
        key: Where in the file, as in ``arm.limits``; empty where it is about all of it.
        problem: What is wrong and what to do.
    """

    def __init__(self, problem: str, key: str = "") -> None:
        self.key, self.problem = key, problem
        super().__init__(f"{key}: {problem}" if key else problem)


# Minus signs and dashes, and a separator of decimals.
_PLAIN_SIGNS = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63", "-") | {"\u066b": "."}


def _ascii_digits(text: str) -> str:
    return "".join(str(unicodedata.digit(sign, sign)) for sign in text)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without what surprises."""

    def __init__(self, text: str, *, finite: bool, unbounded: Collection[str]) -> None:
        super().__init__(text)
        self._finite, self._unbounded = finite, unbounded
        self._depth = 0
        self._path: list[str] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._error(event, "anchors and aliases are not read; write the value out")
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise self._error(event, f"is nested deeper than {MAX_DEPTH} levels")
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # Not the parent's way: there `<<` would merge, and a key that occurs twice would count.
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool)):
                raise self._error(key_node, f"{key!r:.40} cannot be a key; write a name")
            if key in found:
                raise self._error(key_node, f"key {key!r:.80} is written twice; keep one of them")
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._error(key_node, "'<<' is not read; write the keys out")
            self._path.append(str(key))
            found[key] = self.construct_object(value_node, deep=True)
            self._path.pop()
        return found

    def _plain(self, node: yaml.ScalarNode) -> str:
        text = str(self.construct_scalar(node))
        digits = text.lstrip("+-")
        if ":" in digits:
            raise self._error(
                node, f"{text!r:.40} would be read in base 60; write it out or in quotes"
            )
        return digits

    def int_of(self, node: yaml.ScalarNode) -> int:
        digits = self._plain(node)
        if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567_":
            raise self._error(
                node, f"'{digits:.40}' would be read in base 8; leave out the leading 0"
            )
        try:
            value = int(self.construct_yaml_int(node))
        except ValueError:
            value = LARGEST_INT + 1
        if not abs(value) <= LARGEST_INT:
            raise self._error(node, f"'{digits:.20}...' is no number that can be read")
        return value

    def float_of(self, node: yaml.ScalarNode) -> float:
        self._plain(node)
        value = float(self.construct_yaml_float(node))
        endless = value == math.inf and self._path and self._path[-1] in self._unbounded
        if self._finite and not math.isfinite(value) and not endless:
            raise self._error(node, f"'{node.value:.40}' is not a finite number; write one")
        return value

    def text_of(self, node: yaml.ScalarNode) -> str:
        """Refuse a number in signs that look like those of one, as word processors write it."""
        text = str(self.construct_scalar(node))
        if node.style is None and not text.isascii():
            plain = unicodedata.normalize("NFKC", text)
            plain = "".join(_PLAIN_SIGNS.get(sign, sign) for sign in plain).strip()
            if _NUMBER.fullmatch(_ascii_digits(plain)):
                raise self._error(
                    node, f"{text!a:.40} is a number in other signs than 0 to 9, '-' and '.'; "
                    "type it anew"
                )  # fmt: skip
        return text

    def date_of(self, node: yaml.ScalarNode) -> str:
        """Keep a date as it was written: it is a text here, as a name may look like one."""
        return str(self.construct_scalar(node))

    def mapping_of(self, node: yaml.MappingNode) -> dict[Any, Any]:
        return self.construct_mapping(node, deep=True)

    def sequence_of(self, node: yaml.SequenceNode) -> list[Any]:
        return [self.construct_object(child, deep=True) for child in node.value]

    def refuse(self, node: yaml.Node) -> Any:
        raise self._error(node, f"the tag {node.tag!r:.60} is not read; leave it out")

    def _error(self, where: Any, problem: str) -> StrictYamlError:
        line = where.start_mark.line + 1
        return StrictYamlError(f"{problem} (line {line})", ".".join(self._path))


_Loader.yaml_constructors = {
    "tag:yaml.org,2002:null": yaml.SafeLoader.construct_yaml_null,
    "tag:yaml.org,2002:bool": yaml.SafeLoader.construct_yaml_bool,
    "tag:yaml.org,2002:str": _Loader.text_of,
    "tag:yaml.org,2002:int": _Loader.int_of,
    _FLOAT: _Loader.float_of,
    "tag:yaml.org,2002:timestamp": _Loader.date_of,
    "tag:yaml.org,2002:merge": _Loader.date_of,
    "tag:yaml.org,2002:value": _Loader.date_of,
    "tag:yaml.org,2002:map": _Loader.mapping_of,
    "tag:yaml.org,2002:seq": _Loader.sequence_of,
    None: _Loader.refuse,
}
# After YAML 1.1's own, so that what is a whole number there stays one.
_Loader.add_implicit_resolver(_FLOAT, re.compile(rf"^({_NUMBER.pattern})$"), list("-+.0123456789"))


def parse_yaml(
    text: str,
    *,
    max_bytes: int = MAX_BYTES,
    finite: bool = True,
    unbounded: Collection[str] = (),
) -> Any:
    """Return what a text says.

    Args:
        text: One YAML document.
        max_bytes: A longer text is refused unread.
        finite: Whether ``.nan`` and ``.inf`` are refused.
        unbounded: Keys at which ``.inf`` is meant, whatever `finite` is.

    Returns:
        Mappings, lists, texts, numbers, booleans and None; for an empty text None.

    Raises:
        StrictYamlError: It is not YAML, or would be read otherwise than it was meant.
    """
    if len(text) > max_bytes:
        raise StrictYamlError(f"is longer than {max_bytes} characters; give a smaller one")
    loader = None
    try:
        loader = _Loader(text, finite=finite, unbounded=unbounded)
        return loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise StrictYamlError(f"is not YAML: {' '.join(str(problem).split())}{where}") from None
    except RecursionError:
        raise StrictYamlError(f"is nested deeper than {MAX_DEPTH} levels") from None
    finally:
        if loader is not None:
            loader.dispose()


def read_yaml(
    path: str | Path, *, max_bytes: int = MAX_BYTES, unbounded: Collection[str] = ()
) -> Any:
    """Return what a file says, as `parse_yaml` does.

    Args:
        path: Of the file; a ~ at its beginning is the home.
        max_bytes: A larger file is refused unread.
        unbounded: Keys at which ``.inf`` is meant.

    Raises:
        StrictYamlError: Likewise, or it cannot be read, is no file, is larger than `max_bytes` or
            is not UTF-8. The message does not name the file: the caller does, in its own words.
    """
    try:
        # A shell leaves the ~ of config:=~/x.yaml as it is. Not blocking, or a pipe without a
        # writer would be waited for.
        descriptor = os.open(os.path.expanduser(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StrictYamlError("cannot be read (it is not a file); check its path")
            data = file.read(max_bytes + 1)
    except OSError as error:
        reason = error.strerror or error
        raise StrictYamlError(f"cannot be read ({reason}); check its path") from None
    except ValueError as error:
        if isinstance(error, StrictYamlError):
            raise
        raise StrictYamlError(f"cannot be read ({error}); check its path") from None
    if len(data) > max_bytes:
        raise StrictYamlError(f"is larger than {max_bytes} bytes; check its path")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StrictYamlError(f"is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    return parse_yaml(text, max_bytes=max_bytes, unbounded=unbounded)
