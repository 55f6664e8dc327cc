# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N818  (an invalid name is what it is)
"""ROS names: validation, expansion to fully qualified names, and remapping rules.

Source: https://design.ros2.org/articles/topic_and_service_names.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
_SUBSTITUTION = re.compile(r"\{([^{}]*)\}")


class InvalidName(ValueError):
    """An invalid name; `index` is where it goes wrong."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.message, self.index = message, index


def check_node_name(name: str) -> None:
    """Raise `InvalidName` unless `name` is a node name."""
    if not name:
        raise InvalidName("node name must not be empty", 0)
    for index, character in enumerate(name):
        if not (character.isascii() and (character.isalnum() or character == "_")):
            raise InvalidName(
                "node name must not contain characters other than alphanumerics or '_'", index
            )
    if name[0].isdigit():
        raise InvalidName("node name must not start with a number", 0)
    if len(name) > 255:
        raise InvalidName("node name length should not exceed '255'", 255)


def check_namespace(namespace: str) -> None:
    """Raise `InvalidName` unless `namespace` is an absolute namespace."""
    if not namespace:
        raise InvalidName("namespace must not be empty", 0)
    if not namespace.startswith("/"):
        raise InvalidName("namespace must be absolute, it must lead with a '/'", 0)
    if namespace == "/":
        return
    _check_path(namespace, "namespace")


def _check_path(name: str, what: str) -> None:
    """Check the tokens of a name without substitutions or `~`."""
    if name.endswith("/"):
        raise InvalidName(f"{what} must not end with a '/'", len(name) - 1)
    position = 0
    for part in name.split("/"):
        if position and not part:
            raise InvalidName(f"{what} must not contain repeated '/'", position)
        for index, character in enumerate(part, position):
            if not (character.isascii() and (character.isalnum() or character == "_")):
                raise InvalidName(
                    f"{what} must not contain characters other than alphanumerics, '_', '~', "
                    "'{', or '}'",
                    index,
                )
        if part and part[0].isdigit():
            raise InvalidName(f"{what} token must not start with a number", position)
        position += len(part) + 1


def check_topic_name(name: str, what: str = "topic name") -> None:
    """Raise `InvalidName` unless `name` is a topic or service name, expanded or not."""
    if not name:
        raise InvalidName(f"{what} must not be empty string", 0)
    rest = name
    if name.startswith("~"):
        if len(name) > 1 and name[1] != "/":
            raise InvalidName("'~' must be followed by '/'", 1)
        rest = name[2:] or "x"
        if name == "~/":
            raise InvalidName(f"{what} must not end with a '/'", 1)
    if "~" in rest:
        raise InvalidName("'~' must be the first character", name.rindex("~"))
    plain = _SUBSTITUTION.sub(lambda match: "x" * len(match[0]), rest)
    for mark in "{}":
        if mark in plain:
            raise InvalidName(f"{what} has an unmatched curly brace", name.index(mark))
    for match in _SUBSTITUTION.finditer(rest):
        if match[1] not in ("node", "ns", "namespace"):
            raise InvalidName(f"unknown substitution '{match[0]}'", name.index(match[0]))
    _check_path(plain, what)


def join(namespace: str, name: str) -> str:
    """Return ``namespace/name`` without a doubled slash."""
    return f"{namespace.rstrip('/')}/{name}"


def expand(name: str, node_name: str, namespace: str) -> str:
    """Return the fully qualified form of a valid topic or service name."""
    values = {"node": node_name, "ns": namespace, "namespace": namespace}
    name = _SUBSTITUTION.sub(lambda match: values[match[1]], name)
    if name.startswith("~"):
        name = join(namespace, node_name) + name[1:]
    if not name.startswith("/"):
        name = join(namespace, name)
    return name.replace("//", "/")


@dataclass(frozen=True)
class RemapRule:
    """``[node:][rostopic://|rosservice://]source:=target``; `kind` is topic, service or both."""

    source: str
    target: str
    node: str = ""
    kind: str = ""


def parse_remap(text: str) -> RemapRule:
    """Read a remapping rule.

    Raises:
        ValueError: If `text` is not one.
    """
    source, separator, target = text.partition(":=")
    if not separator or not source or not target:
        raise ValueError(f"'{text}' is not a remapping rule: 'from:=to' is needed")
    node, kind = "", ""
    match = re.match(r"^([A-Za-z_]\w*):(?!/)(.+)$", source)
    if match:
        node, source = match[1], match[2]
    for scheme, meaning in (("rostopic://", "topic"), ("rosservice://", "service")):
        if source.startswith(scheme):
            kind, source = meaning, source[len(scheme) :]
        target = target.removeprefix(scheme)
    if source not in ("__node", "__name", "__ns"):
        try:
            check_topic_name(source)
            check_topic_name(target)
        except InvalidName as error:
            raise ValueError(f"'{text}' is not a remapping rule: {error}") from error
    return RemapRule(source, target, node, kind)


def remap_node(rules: Sequence[RemapRule], name: str, namespace: str) -> tuple[str, str]:
    """Return the node's (name, namespace) after the first rules that fit."""
    original = name
    for sources, which in ((("__node", "__name"), 0), (("__ns",), 1)):
        for rule in rules:
            if rule.source in sources and rule.node in ("", original):
                if which == 0:
                    name = rule.target
                else:
                    namespace = rule.target
                break
    return name, namespace


def remap(
    rules: Sequence[RemapRule], full_name: str, kind: str, node_name: str, namespace: str
) -> str:
    """Return `full_name`, or the target of the first rule that fits it, fully qualified."""
    for rule in rules:
        if rule.source.startswith("__") or rule.node not in ("", node_name):
            continue
        if rule.kind not in ("", kind):
            continue
        if expand(rule.source, node_name, namespace) == full_name:
            return expand(rule.target, node_name, namespace)
    return full_name
