# SPDX-License-Identifier: Apache-2.0
"""What people read leads somewhere: every link, every anchor, every path of the tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vla_contract.contract import load_contract
from vla_contract.robot import load_robot

TOP = Path(__file__).resolve().parents[3]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# A path from the top of the tree, as prose and comments name it.
TOPS = "docs|src|config|launch|benchmarks|verification|embedded_ros2"
PATH = re.compile(rf"`((?:{TOPS})/[\w./-]+)[`:#]")


def documents() -> list[Path]:
    """Return every page that git knows or, without git, every page outside of what is made."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        found = [TOP / line for line in listed.stdout.splitlines()]
        return [path for path in found if path.exists()]
    made = re.compile(r"\.venv.*|build|install|out")
    found = [(path, path.relative_to(TOP).parts) for path in TOP.rglob("*.md")]
    return [path for path, parts in found if not any(map(made.fullmatch, parts))]


PAGES = documents()


def anchors(page: Path) -> set[str]:
    """Return what a link may lead to in a page: its headings, as GitHub names them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.*?) *$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_link_leads_to_a_file_and_a_heading_of_the_tree(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(TOP), f"{link} leads out of the tree"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_path_that_a_page_names_is_there(page):
    if page.name == "CHANGELOG.md":  # tells of paths that were
        return
    for path in PATH.findall(page.read_text(encoding="utf-8")):
        assert (TOP / path.rstrip(".")).exists(), f"{path} is named and is not there"


def test_the_page_of_topics_is_that_of_the_running_nodes(tmp_path):
    page = TOP / "docs" / "reference" / "topics.md"
    renewed = Path(shutil.copy(page, tmp_path))
    script = Path(__file__).with_name("graph_tables.py")
    done = subprocess.run(
        [sys.executable, str(script), str(renewed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = f"python {script.relative_to(TOP)} {page.relative_to(TOP)} renews it"
    assert renewed.read_text(encoding="utf-8") == page.read_text(encoding="utf-8"), said


def yaml_of(page: str, folder: Path) -> Path:
    """Return a file with the first block of YAML on a page."""
    text = (TOP / "docs" / "how-to" / page).read_text(encoding="utf-8")
    path = folder / f"{page}.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.S).group(1), encoding="utf-8")
    return path


def test_the_robot_file_of_the_how_to_can_be_used(tmp_path):
    robot = load_robot(yaml_of("your_robot.md", tmp_path))
    assert (robot.name, robot.limits.joint_names) == ("seven", ("axis_1", "axis_2"))


def test_the_contract_of_the_how_to_fits_the_so101(tmp_path):
    robot = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
    path = yaml_of("your_policy.md", tmp_path)
    contract = load_contract(path, robot.limits.joint_names, robot.gripper.joint)
    assert contract.policy_name == "hold"
