# SPDX-License-Identifier: Apache-2.0
"""Names of nodes and namespaces."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def is_namespace_absolute(ns: str) -> bool:
    """Return whether a namespace starts at the root."""
    return ns.startswith("/")


def is_root_namespace(ns: str) -> bool:
    """Return whether a namespace is the root."""
    return ns == "/"


def prefix_namespace(base_ns: str | None, ns: str | None) -> str | None:
    """Return a namespace, or a node name, within another one."""
    if ns is None:
        combined = base_ns
    elif not base_ns or is_namespace_absolute(ns):
        combined = ns
    else:
        combined = f"{'' if is_root_namespace(base_ns) else base_ns}/{ns}"
    if combined is None or is_root_namespace(combined):
        return combined
    return combined.rstrip("/")


def make_namespace_absolute(ns: str | None) -> str | None:
    """Return a namespace with a slash in front."""
    return ns if ns is None or is_namespace_absolute(ns) else "/" + ns


def check_node_name(name: str) -> None:
    """Raise ValueError unless the name is one that a node can have."""
    if not _TOKEN.match(name):
        raise ValueError(
            f"node name '{name}' is not valid: use letters, digits and underscores, "
            "with no digit first"
        )


def check_namespace(namespace: str) -> None:
    """Raise ValueError unless this is an absolute namespace that a node can have."""
    tokens = namespace.split("/")[1:]
    if namespace != "/" and not all(_TOKEN.match(token) for token in tokens):
        raise ValueError(
            f"namespace '{namespace}' is not valid: use letters, digits and underscores between "
            "the slashes, with no digit first and no slash last"
        )
