# SPDX-License-Identifier: Apache-2.0
"""What people read leads somewhere: every link, every anchor, every path of the tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


LAUNCHED = re.compile(r"ros2 launch vla_bringup \w+\.launch\.py((?:[^\n`]|\\\n)*)")
DECLARED = re.compile(r'DeclareLaunchArgument\(\s*f?"([^"]+)"')


def launch_arguments() -> set[str]:
    """Return the names of all arguments of all launch files."""
    files = [*TOP.glob("launch/*.py"), *(TOP / "src/vla_bringup/vla_bringup").glob("*.py")]
    declared = {
        name for path in files for name in DECLARED.findall(path.read_text(encoding="utf-8"))
    }
    return declared | {f"{camera}_camera" for camera in ("front", "wrist")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_every_argument_that_a_page_gives_to_a_launch_file_is_one_of_its(page):
    if page.name == "CHANGELOG.md":
        return
    for given in LAUNCHED.findall(page.read_text(encoding="utf-8")):
        assert set(re.findall(r"(\w+):=", given)) <= launch_arguments(), given


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_make_has_every_target_and_setting_that_a_page_names(page):
    if page.name == "CHANGELOG.md":
        return
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)", makefile, re.M)[1].split())
    settings = set(re.search(r"^SETTINGS := (.*)", makefile, re.M)[1].split())
    for words in re.findall(r"(?:^    |`)make ([^\n`#]+)", page.read_text(encoding="utf-8"), re.M):
        for word in words.split():
            name, is_setting, _ = word.partition("=")
            if is_setting:
                assert name in settings, f"make {words}"
            elif re.fullmatch(r"[a-z][a-z-]*", name):
                assert name in targets, f"make {words}"


def test_the_words_of_the_glossary_stand_in_order_and_once():
    text = (TOP / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text, re.M)[1:]
    assert [row.lstrip("/").lower() for row in rows] == sorted(
        row.lstrip("/").lower() for row in rows
    )
    words = [word.lower() for row in rows for word in row.split(", ")]
    assert len(words) == len(set(words))


def yaml_of(page: str, folder: Path) -> Path:
    """Return a file with the first block of YAML on a page."""
    text = (TOP / "docs" / "how-to" / page).read_text(encoding="utf-8")
    path = folder / f"{page}.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.S).group(1), encoding="utf-8")
    return path


def written_by(command: str, page: str, folder: Path) -> Path:
    """Run the `sed` line of a tutorial that writes a file, and return that file."""
    text = (TOP / "docs" / "tutorials" / page).read_text(encoding="utf-8")
    (line,) = [each.strip() for each in text.splitlines() if each.strip().startswith(command)]
    line, _, name = line.partition(" > ")
    path = folder / Path(name).name
    with path.open("w", encoding="utf-8") as file:
        subprocess.run(["bash", "-c", line], cwd=TOP, stdout=file, check=True)
    return path


def test_the_slow_arm_of_the_tutorial_is_the_same_arm_and_slower(tmp_path):
    slow = load_robot(written_by("sed 's/velocity", "first_real_arm.md", tmp_path))
    robot = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
    assert slow.limits.joint_names == robot.limits.joint_names
    assert (slow.limits.position_upper == robot.limits.position_upper).all()
    for kind in ("velocity", "acceleration", "jerk"):
        assert (getattr(slow.limits, kind) <= getattr(robot.limits, kind) / 5).all()


def test_the_contract_of_the_tutorial_is_the_demonstrations_with_another_checkpoint(tmp_path):
    made = written_by("sed 's#", "first_recording_and_training.md", tmp_path)
    own = yaml.safe_load(made.read_text(encoding="utf-8"))
    known = TOP / "config" / "policies" / "so101_smolvla_cubes.yaml"
    contract = yaml.safe_load(known.read_text(encoding="utf-8"))
    assert own["policy"]["options"].pop("checkpoint") == "./first/checkpoint"
    contract["policy"]["options"].pop("checkpoint")
    assert own == contract


def test_the_robot_file_of_the_how_to_can_be_used(tmp_path):
    robot = load_robot(yaml_of("your_robot.md", tmp_path))
    assert (robot.name, robot.limits.joint_names) == ("seven", ("axis_1", "axis_2"))


def test_the_contract_of_the_how_to_fits_the_so101(tmp_path):
    robot = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
    path = yaml_of("your_policy.md", tmp_path)
    contract = load_contract(path, robot.limits.joint_names, robot.gripper.joint)
    assert contract.policy_name == "hold"
