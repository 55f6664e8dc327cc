# SPDX-License-Identifier: Apache-2.0
"""What Zenoh is told: the configuration of a node's session and of the router."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import zenoh

DEFAULT_PORT = 7447
SESSION_CONFIG_VARIABLE = "ZENOH_SESSION_CONFIG_URI"
ROUTER_CONFIG_VARIABLE = "ZENOH_ROUTER_CONFIG_URI"
OVERRIDE_VARIABLE = "ZENOH_CONFIG_OVERRIDE"
_LOCAL_ENDPOINT = re.compile(r"^tcp/(?:localhost|127\.0\.0\.1|\[::1\]):(?P<port>\d+)")
_QUEUE = "transport/link/tx/queue"
# Those in use: declarations, services, messages, large messages (network.py).
_PRIORITIES = ("control", "interactive_low", "data", "data_low")

# Everything stays on the loopback interface unless the user's configuration says otherwise.
_COMMON: dict[str, Any] = {
    "scouting/multicast/enabled": False,
    "scouting/gossip/enabled": True,
    "scouting/gossip/target": {"router": ["router", "peer"], "peer": ["router"]},
    "scouting/gossip/autoconnect": {"router": [], "peer": ["router", "peer"]},
    "scouting/gossip/autoconnect_strategy": {
        "peer": {"to_router": "always", "to_peer": "greater-zid"}
    },
    "timestamping/enabled": {"router": True, "peer": True, "client": True},
    "queries_default_timeout": 600000,
    "transport/shared_memory/enabled": True,
    # How long a message waits for a full connection, us: whoever publishes waits with it, and so
    # does its whole node. A reader that hangs must cost nobody more than that.
    f"{_QUEUE}/congestion_control/drop/wait_before_drop": 1_000,
    f"{_QUEUE}/congestion_control/drop/max_wait_before_drop_fragments": 10_000,
    # Batches of 64 kB a connection and priority, allocated when used; 16 is Zenoh's most. What a
    # busy machine cannot send at once waits here. With Zenoh's 2, reliable messages are lost.
    **{f"{_QUEUE}/size/{priority}": 16 for priority in _PRIORITIES},
}
_SESSION: dict[str, Any] = {
    **_COMMON,
    "mode": "peer",
    "connect/endpoints": [f"tcp/localhost:{DEFAULT_PORT}"],
    "connect/timeout_ms": -1,  # try again for ever, also after the router was away
    "connect/exit_on_failure": False,
    "connect/retry": {
        "period_init_ms": 250,
        "period_max_ms": 1000,
        "period_increase_factor": 2,
    },
    "listen/endpoints": ["tcp/localhost:0"],
    "scouting/delay": 1,
}


def _apply(config: zenoh.Config, settings: dict[str, Any]) -> zenoh.Config:
    for key, value in settings.items():
        config.insert_json5(key, json.dumps(value))
    return config


def _override(config: zenoh.Config) -> zenoh.Config:
    """Apply ``key=value;key=value`` from the environment.

    Raises:
        ValueError: If the variable cannot be read.
    """
    for item in os.environ.get(OVERRIDE_VARIABLE, "").split(";"):
        if not item.strip():
            continue
        key, equals, value = item.partition("=")
        try:
            if not equals:
                raise ValueError("'=' is missing")
            config.insert_json5(key.strip(), value.strip())
        except Exception as error:
            raise ValueError(f"{OVERRIDE_VARIABLE}: '{item.strip()}': {error}") from error
    return config


def session_config() -> zenoh.Config:
    """Return the configuration of a node's session.

    `ZENOH_SESSION_CONFIG_URI` names a file that replaces the defaults; `ZENOH_CONFIG_OVERRIDE`
    changes single values of either.

    Raises:
        ValueError: If one of the two cannot be read.
    """
    path = os.environ.get(SESSION_CONFIG_VARIABLE)
    if not path:
        return _override(_apply(zenoh.Config(), _SESSION))
    try:
        return _override(zenoh.Config.from_file(path))
    except zenoh.ZError as error:
        raise ValueError(f"{SESSION_CONFIG_VARIABLE}: {path}: {error}") from error


def router_config(port: int) -> zenoh.Config:
    """Return the configuration of the router; `ZENOH_ROUTER_CONFIG_URI` names another."""
    path = os.environ.get(ROUTER_CONFIG_VARIABLE)
    if path:
        return zenoh.Config.from_file(path)
    endpoint = f"tcp/localhost:{port}"
    settings = {**_COMMON, "mode": "router", "listen/endpoints": [endpoint]}
    settings["scouting/gossip/autoconnect"] = {"router": [], "peer": []}
    return _apply(zenoh.Config(), settings)


def local_router_port(config: zenoh.Config) -> int | None:
    """Return the loopback port at which the session looks for its router, None if elsewhere."""
    text = config.get_json("connect/endpoints")
    for endpoint in re.findall(r'"([^"]+)"', text):
        match = _LOCAL_ENDPOINT.match(endpoint)
        if match:
            return int(match["port"])
    return None
