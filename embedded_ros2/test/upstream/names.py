# SPDX-License-Identifier: Apache-2.0
"""Hold the stand-ins' names against those of the real packages.

    python names.py read FOLDER...     write names.txt from source trees of ROS 2
    python names.py page PAGE          write the table into a page

Each FOLDER holds the source trees `rclpy`, `launch`, `launch_ros` and `ament_index`, as far as it
has them. names.txt lists every public name of every module, members of classes included;
test_embedded_surface.py asks for each.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embedded_ros2 import refusals

NAMES = Path(__file__).with_name("names.txt")
PACKAGES = {
    "rclpy": "rclpy/rclpy/rclpy",
    "launch": "launch/launch/launch",
    "launch_ros": "launch_ros/launch_ros/launch_ros",
    "ament_index_python": "ament_index/ament_index_python/ament_index_python",
}
# Of no use outside of the modules that have them.
_NOISE = re.compile(r"^(T|Set|g_\w+|conftest)$")


def read(folders: list[Path]) -> set[str]:
    """Return `module:name` of everything public in source trees."""
    found = set()
    for folder in folders:
        for package, place in PACKAGES.items():
            root = folder / place
            for path in sorted(root.rglob("*.py")):
                parts = [package, *path.relative_to(root).with_suffix("").parts]
                if parts[-1] == "__init__":
                    parts.pop()
                if any(part.startswith("_") or part == "conftest" for part in parts):
                    continue
                module = ".".join(parts)
                found.add(f"{module}:")
                tree = ast.parse(path.read_text(encoding="utf-8"))
                found |= {f"{module}:{name}" for name in _public(tree.body)}
                if path.name == "__init__.py":
                    found |= {f"{module}:{name}" for name in _handed_on(tree.body)}
    return found


def _handed_on(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.level:
            names = [one.asname or one.name for one in node.names]
            yield from (name for name in names if not name.startswith("_"))


def _public(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        names: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            yield from _public(node.body, prefix)
            yield from _public(node.orelse, prefix)
        elif isinstance(node, ast.Try):
            yield from _public(node.body, prefix)
        for name in names:
            if not name.startswith("_") and not _NOISE.match(name):
                yield prefix + name
                if isinstance(node, ast.ClassDef):
                    yield from _public(node.body, f"{prefix}{name}.")


def listed() -> dict[str, list[str]]:
    """Return {module: names} of names.txt."""
    found: dict[str, list[str]] = {}
    for line in NAMES.read_text(encoding="utf-8").splitlines():
        module, _, name = line.partition(":")
        found.setdefault(module, []).append(name)
    return found


def state(module: str, name: str) -> str:
    """Return `offered`, the refusal's reason, or `missing`."""
    try:
        value: Any = importlib.import_module(module)
    except refusals.NotOffered as error:
        return str(error).split(": ", 1)[1]
    except ImportError:
        return "missing"
    for part in filter(None, name.split(".")):
        owner = value
        try:
            value = getattr(owner, part)
        except (refusals.NotOffered, refusals.MemberNotOffered) as error:
            return str(error).split(": ", 1)[1]
        except AttributeError:
            return "offered" if _is_of_instances(owner, part) else "missing"
    return "offered"


def _is_of_instances(owner: Any, name: str) -> bool:
    """Return whether objects of a class have an attribute that the class has not."""
    if not inspect.isclass(owner):
        return False
    for cls in owner.__mro__:
        if name in getattr(cls, "__annotations__", {}):
            return True
        if dataclasses.is_dataclass(cls) and name in {one.name for one in dataclasses.fields(cls)}:
            return True
        try:
            if re.search(rf"\bself\.{name}\b.*=", inspect.getsource(cls)):
                return True
        except (OSError, TypeError):
            continue
    return False


def table() -> str:
    """Return a table of what is offered and what is refused."""
    counts: dict[str, list[int]] = {}
    reasons: dict[str, dict[str, list[str]]] = {}
    for module, names in listed().items():
        package = module.partition(".")[0]
        count = counts.setdefault(package, [0, 0])
        whole = state(module, "")
        for name in names:
            found = whole if whole != "offered" else state(module, name)
            count[found != "offered"] += 1
            if found != "offered" and (whole == "offered" or not name):
                title = module if not name else f"{module}.{name}"
                reasons.setdefault(package, {}).setdefault(found, []).append(title)
    lines = ["| package | names offered | refused |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {yes} | {no} |" for name, (yes, no) in counts.items()]
    lines += ["", "| refused | because |", "| --- | --- |"]
    for package in counts:
        for reason, titles in sorted(reasons.get(package, {}).items()):
            lines.append(f"| {', '.join(f'`{one}`' for one in sorted(titles))} | {reason} |")
    return "\n".join(lines)


def main() -> None:
    """Do what the command line says."""
    if len(sys.argv) > 2 and sys.argv[1] == "read":
        NAMES.write_text("\n".join(sorted(read([Path(one) for one in sys.argv[2:]]))) + "\n")
    elif len(sys.argv) == 3 and sys.argv[1] == "page":
        page = Path(sys.argv[2])
        head, rest = page.read_text().split("<!-- table -->", 1)
        tail = rest.split("<!-- end of table -->", 1)[1]
        page.write_text(f"{head}<!-- table -->\n{table()}\n<!-- end of table -->{tail}")
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
