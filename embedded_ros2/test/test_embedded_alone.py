# SPDX-License-Identifier: Apache-2.0
"""The package installs alone, and what its README shows first runs as it is typed."""

import importlib.metadata
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
pytest.importorskip("hatchling", reason="what builds the package is not here")
if not (PROJECT / "pyproject.toml").is_file():
    pytest.skip("the sources are not here", allow_module_level=True)


def first_example():
    """Return the shell lines under the README's heading "A minute"."""
    section = (PROJECT / "README.md").read_text().split("## A minute\n", 1)[1].split("\n## ")[0]
    lines = re.findall(r"(?m)^(?:    .*)?$", section)
    return textwrap.dedent("\n".join(lines)).strip()


def named(requirements):
    """Return the names of what is required without an extra, for this Python."""
    for requirement in requirements or ():
        name, _, condition = requirement.partition(";")
        if "extra" not in condition and "python_version <" not in condition:
            yield re.match(r"[\w.-]+", name)[0]


def lay_out(folder, wanted):
    """Link into a folder what is installed of these distributions and of what they require."""
    seen = set()
    wanted = list(wanted)
    while wanted:
        name = wanted.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another Python or system
        if distribution.metadata["Name"] in seen:
            continue
        seen.add(distribution.metadata["Name"])
        wanted += named(distribution.requires)
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            (folder / top).symlink_to(Path(distribution.locate_file(top)))
    return seen


def test_the_readmes_first_example_runs_as_typed_with_nothing_but_what_is_declared(tmp_path):
    example = first_example()
    assert example.startswith("python3 -m venv")
    assert "topic echo" in example
    (tmp_path / "embedded_ros2").symlink_to(PROJECT)
    # In place of an index, which no test needs: what is declared, and what builds the package.
    index = tmp_path / "index"
    index.mkdir()
    text = (PROJECT / "pyproject.toml").read_text()
    declared = re.findall(r'(?m)^  "([\w-]+)', text.split("dependencies = [")[1].split("]\n")[0])
    assert {"eclipse-zenoh", "numpy", "PyYAML", "xxhash"} == set(declared)
    laid_out = lay_out(index, [*declared, "hatchling"])
    assert laid_out >= {"eclipse-zenoh", "numpy", "xxhash"}
    assert not laid_out & {"rosbags", "opencv-python-headless"}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(index),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "false",  # as pip reads it: no isolation
        "ROS_DOMAIN_ID": "87",
    }
    environment.pop("AMENT_PREFIX_PATH", None)
    done = subprocess.run(
        ["bash", "-e", "-c", f"{example}\nkill %1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "data: hello" in done.stdout
