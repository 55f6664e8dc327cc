# SPDX-License-Identifier: Apache-2.0
"""Find the executables of packages: installed the ROS way, by pip, or not installed at all."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded_ros2 import share


class ExecutableNotFoundError(Exception):
    """No such package or executable; says where was looked and what there is."""


@dataclass(frozen=True)
class Program:
    """An executable and the command line that runs it."""

    name: str
    argv: tuple[str, ...]


def _entry(name: str, target: str, path: Path | None = None) -> Program:
    """Return the program that calls a Python function, ``module:function``."""
    argv = [sys.executable, "-m", "embedded_ros2.cli.entry"]
    if path is not None:
        argv += ["--path", str(path)]
    return Program(name, (*argv, f"{name}={target}"))


def find(package: str, executable: str) -> Program:
    """Return the program of this name in a package.

    Raises:
        ExecutableNotFoundError: If there is no such package, or no such executable in it.
    """
    programs = of_package(package)
    if programs is None:
        raise ExecutableNotFoundError(
            f"package '{package}' not found: neither in AMENT_PREFIX_PATH or {sys.prefix}, nor "
            f"among the packages that pip installed, nor in {share.SHARE_VARIABLE}"
        )
    if executable not in programs:
        raise ExecutableNotFoundError(
            f"package '{package}' has no executable '{executable}'; it has: "
            f"{', '.join(sorted(programs)) or 'none'}"
        )
    return programs[executable]


def of_package(package: str) -> dict[str, Program] | None:
    """Return the executables of a package by name, or None if there is no such package."""
    found: dict[str, Program] = {}
    known = False
    for folder in _source_folders(package):
        known = True
        for name, target in _source_scripts(folder).items():
            found.setdefault(name, _entry(name, target, _import_root(folder)))
    for prefix in share.prefixes():
        folder = prefix / "lib" / package
        known = known or folder.is_dir() or (prefix / "share" / package).is_dir()
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if file.is_file() and os.access(file, os.X_OK):
                found.setdefault(file.name, Program(file.name, (str(file),)))
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return found if known else None
    for point in distribution.entry_points:
        if point.group == "console_scripts":
            found.setdefault(point.name, _entry(point.name, point.value))
    return found


# Source folders, named in EMBEDDED_ROS2_SHARE: read, not run.


def _source_folders(package: str) -> list[Path]:
    roots = [Path(item) for item in os.environ.get(share.SHARE_VARIABLE, "").split(os.pathsep)]
    candidates = [root if root.name == package else root / package for root in roots]
    marks = ("setup.py", "setup.cfg", "pyproject.toml", "package.xml")
    return [folder for folder in candidates if any((folder / mark).is_file() for mark in marks)]


def _import_root(folder: Path) -> Path:
    """Return the folder that holds the modules of a source package."""
    return folder / "src" if (folder / "src").is_dir() else folder


def _source_scripts(folder: Path) -> dict[str, str]:
    """Return name and target of the console scripts that a source package declares."""
    scripts = _from_setup_py(folder / "setup.py")
    for name, target in {
        **_from_setup_cfg(folder / "setup.cfg"),
        **_from_pyproject(folder / "pyproject.toml"),
    }.items():
        scripts.setdefault(name, target)
    return scripts


def _pairs(lines: list[str]) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name.strip(): target.strip() for name, target in pairs}


def _from_setup_py(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ExecutableNotFoundError(f"{file}: cannot be read: {error}") from None
    names = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "entry_points" and isinstance(keyword.value, ast.Dict):
                return _pairs(_console_scripts(keyword.value, names))
    return {}


def _console_scripts(points: ast.Dict, names: Mapping[str, object]) -> list[str]:
    for key, value in zip(points.keys, points.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "console_scripts":
            items = value.elts if isinstance(value, (ast.List, ast.Tuple)) else []
            return [_text(item, names) for item in items]
    return []


def _text(node: ast.expr, names: Mapping[str, object]) -> str:
    """Return the value of a string literal, or of an f-string of names set in the same file."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, names) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, names)
    if isinstance(node, ast.Name):
        return str(names.get(node.id, ""))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, names) + _text(node.right, names)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _from_setup_cfg(file: Path) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.read(file, encoding="utf-8")
    text = parser.get("options.entry_points", "console_scripts", fallback="")
    return _pairs(text.splitlines())


def _from_pyproject(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    try:
        import tomllib
    except ImportError:  # Python 3.10
        return {}
    with file.open("rb") as stream:
        project = tomllib.load(stream).get("project", {})
    return dict(project.get("scripts", {}))
