# SPDX-License-Identifier: Apache-2.0
"""What `make` does for the cameras' OpenGL."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "headless_gl.sh"


def test_a_library_is_found_by_a_user_whose_path_lacks_sbin(tmp_path):
    """As on Debian, where ldconfig is in root's PATH alone."""
    ldconfig = shutil.which("ldconfig", path="/usr/sbin:/sbin")
    if ldconfig is None:
        pytest.skip("no ldconfig in /usr/sbin or /sbin")
    known = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    needed = ("libEGL.so.1", "libGL.so.1", "libEGL_mesa.so.0")
    if not all(name in known for name in needed):
        pytest.skip("Mesa's headless OpenGL is not installed")
    # No apt-get and no sudo here: it must not come to that.
    for tool in ("sh", "grep"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    found = subprocess.run(
        [str(tmp_path / "sh"), str(SCRIPT)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
