# SPDX-License-Identifier: Apache-2.0
"""Serve a policy to other processes and computers.

Off this computer it is served only with a token and TLS. GET /healthz tells whether it is well.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from strict_yaml import StrictYamlError, parse_yaml, read_yaml
from vla_policies.checkpoint_folder import find_checkpoint
from vla_policies.option_paths import beside
from vla_policies.protocol import PolicyError
from vla_policies.registry import available, load_policy

INSTALL = "./src/vla_policies"
MOST_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "policy", help="its name, a contract file that names it, or a checkpoint folder"
    )
    parser.add_argument("--options", default="{}", help="its options, a YAML mapping or file")
    parser.add_argument("--host", default="127.0.0.1", help="(default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="(default: %(default)s)")
    parser.add_argument("--token-file", type=Path, help="a line that every client must know")
    parser.add_argument("--tls-cert", type=Path, help="certificate, PEM")
    parser.add_argument("--tls-key", type=Path, help="its private key, PEM")
    parser.add_argument("--clients", type=int, default=8, help="at a time (default: %(default)s)")
    parser.add_argument(
        "--policy-each", action="store_true",
        help="a policy for each client, for those that remember what they saw",
    )  # fmt: skip
    parser.add_argument(
        "--message-mb", type=int, default=32, help="largest message (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal."""
    from vla_policies.environment import settle
    from vla_policies.wire.address import check_bind, read_token, server_tls
    from vla_policies.wire.codec import MessageLimits
    from vla_policies.wire.process import serve
    from vla_policies.wire.server import PolicyServer, ServerConfig

    token = read_token(arguments.token_file) if arguments.token_file else ""
    if bool(arguments.tls_cert) != bool(arguments.tls_key):
        raise PolicyError("--tls-cert and --tls-key: give both")
    check_bind(arguments.host, token=token, tls=bool(arguments.tls_cert))
    if arguments.clients < 1 or arguments.message_mb < 1:
        raise PolicyError("--clients and --message-mb: give 1 or more")
    if not 0 <= arguments.port <= MOST_PORT:
        raise PolicyError(f"--port {arguments.port}: give 0 to {MOST_PORT}; 0 is any that is free")
    tls = server_tls(arguments.tls_cert, arguments.tls_key) if arguments.tls_cert else None
    name, options = find(arguments.policy, _options(arguments.options))
    settle()
    config = ServerConfig(
        host=arguments.host,
        port=arguments.port,
        token=token,
        tls=tls,
        clients=arguments.clients,
        own_policy=arguments.policy_each,
        warm_up=True,
        limits=MessageLimits(message_bytes=arguments.message_mb << 20),
    )

    def ready(server: PolicyServer, port: int) -> None:
        spec = server.description.spec
        scheme = "wss" if tls else "ws"
        print(f"{spec.policy_id} at {scheme}://{arguments.host}:{port}", flush=True)

    try:
        return serve(lambda: load_policy(name, options), config, ready)
    except OSError as error:
        raise PolicyError(f"--host {arguments.host} --port {arguments.port}: {error}") from None


def find(policy: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of what the command line names.

    Raises:
        PolicyError: It is a file or a folder that cannot be used.
    """
    path = Path(policy).expanduser()
    if path.is_dir():
        folder = find_checkpoint(path)
        return kind(folder), {"checkpoint": str(folder), **options}
    if path.is_file():
        try:
            section = read_yaml(path)["policy"]
            return str(section["name"]), {**beside(path, section["options"]), **options}
        except StrictYamlError as error:
            raise PolicyError(f"{path}: {error}") from None
        except (KeyError, TypeError, AttributeError):
            raise PolicyError(f"{path}: is no contract with policy.name and options") from None
    if path.suffix in (".yaml", ".yml") or "/" in policy:
        raise PolicyError(
            f"{path}: there is no such file or folder; give a contract, the folder of a "
            "checkpoint or the name of a policy"
        )
    return policy, dict(options)


def kind(folder: Path) -> str:
    """Return which policy runs a checkpoint: the one that is called as its type, else LeRobot.

    Raises:
        PolicyError: The checkpoint does not say of which type it is.
    """
    path = folder / "config.json"
    found = None
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_text(encoding="utf-8"))["type"]
    if not isinstance(found, str):
        raise PolicyError(
            f"{path}: does not say of which type the checkpoint is; give the name of the policy "
            f"that runs it, and --options '{{checkpoint: {folder}, ...}}'"
        )
    return found if found in available() else "lerobot"


def _options(text: str) -> dict[str, Any]:
    """Read a YAML mapping, or the file of one.

    Raises:
        PolicyError: It is none.
    """
    path = Path(text).expanduser()
    try:
        if text.endswith((".yaml", ".yml")):
            options = read_yaml(path)
        else:
            options = parse_yaml(text, finite=False)
    except StrictYamlError as error:
        raise PolicyError(f"--options: {text!r:.80}: {error}") from None
    if not isinstance(options, dict):
        raise PolicyError(f"--options: {text!r:.80} is no YAML mapping; write e.g. {{rows: 16}}")
    return options
