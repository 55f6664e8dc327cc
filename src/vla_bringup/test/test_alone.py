# SPDX-License-Identifier: Apache-2.0
"""Each package works alone, in an environment that holds what it requires and nothing else."""

import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

SOURCES = Path(__file__).parents[2]
try:
    metadata.distribution("embedded_ros2")
except metadata.PackageNotFoundError:
    pytest.skip("colcon installed the packages, and all into one place", allow_module_level=True)

PACKAGES = sorted(path.parent.name for path in SOURCES.glob("*/setup.py"))
if not PACKAGES:
    pytest.skip("the sources of the packages are not here", allow_module_level=True)
PACKAGES[PACKAGES.index("vla_msgs")] = "embedded_ros2"  # messages have no modules
# Imports each module and loads each command; prints what could not be, but for want of `optional`.
IMPORT_ALL = """
import importlib, pkgutil, sys
from importlib import metadata

package, *optional = sys.argv[1:]
asked = [(package, lambda: importlib.import_module(package))]
for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    if not found.name.endswith("__main__") and ".stand_in." not in found.name:
        asked.append((found.name, lambda name=found.name: importlib.import_module(name)))
asked += [(entry.name, entry.load) for entry in metadata.distribution(package).entry_points]
for name, load in asked:
    try:
        load()
    except (ModuleNotFoundError, SystemExit) as error:  # a command may end with a line of its own
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if getattr(cause, "name", name).split(".")[0] not in optional:
            print(f"{name}: {error}")
"""


def pip_would_bring(package: str, extra: str = "") -> dict[str, metadata.Distribution]:
    """Return a package, all that it requires and all that these require, by name."""
    found: dict[str, metadata.Distribution] = {}
    seen = set()
    waiting = [(package, extra)]
    while waiting:
        asked = waiting.pop()
        if asked in seen:
            continue
        seen.add(asked)
        name, extra = asked
        found[name] = metadata.distribution(name)
        for line in found[name].requires or []:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                waiting += [(one.name, wanted) for wanted in ("", *one.extras)]
    return found


def environment(folder: Path, distributions: dict[str, metadata.Distribution]) -> Path:
    """Make an environment of links to these, as pip installed them here; return its Python."""
    venv.create(folder, symlinks=True)
    here = Path(sysconfig.get_path("purelib"))
    there = folder / here.relative_to(sys.prefix)
    owners = metadata.packages_distributions()
    for name, distribution in distributions.items():
        assert distribution.files, f"{name}: pip did not install it"
        files = (Path(file) for file in distribution.files)
        # A folder that several share is linked file by file, any other as a whole.
        alone = {top for top, names in owners.items() if len(set(names)) == 1}
        for file in {Path(file.parts[0]) if file.parts[0] in alone else file for file in files}:
            link = there / file
            if not {"bin", "__pycache__"} & {*file.parts} and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(here / file)
    return folder / "bin" / "python"


def missing_in(python: Path, package: str, optional: set[str]) -> str:
    done = subprocess.run(
        [python, "-I", "-c", IMPORT_ALL, package, *sorted(optional)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stdout + (done.stderr if done.returncode else "")


def extras_of(package: str) -> dict[str, set[str]]:
    """Return what only an extra of a package brings, as it is imported, by extra."""
    about = metadata.metadata(package)
    found: dict[str, set[str]] = {name: set() for name in about.get_all("Provides-Extra") or []}
    for one in map(Requirement, metadata.requires(package) or []):
        for extra, names in found.items():
            if one.marker and one.marker.evaluate({"extra": extra}):
                names.add(one.name.replace("-", "_"))
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_needs_only_what_it_requires_and_a_ros_where_it_says_so(package, tmp_path):
    extras = extras_of(package)
    brought = pip_would_bring(package)
    if "embedded" in extras:
        brought |= pip_would_bring(package, "embedded")
    python = environment(tmp_path / "alone", brought)
    optional = (names for extra, names in extras.items() if extra not in {"embedded", "test"})
    assert missing_in(python, package, set().union(*optional)) == ""


@pytest.mark.parametrize("left_out", ["msgpack", "strict_yaml"])
def test_what_is_left_out_of_the_requirements_is_missed(left_out, tmp_path):
    brought = pip_would_bring("vla_policies")
    del brought[left_out]
    python = environment(tmp_path / "less", brought)
    assert f"No module named '{left_out}'" in missing_in(python, "vla_policies", set())
