# SPDX-License-Identifier: Apache-2.0
"""What docker/, .devcontainer/ and pixi.toml say of this repository is true of it.

Most of it is built by nobody who changes the code, so nothing else would tell.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import runpy
import shlex
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import pytest
import setuptools
import yaml

from vla_bringup import demo
from vla_contract.contract import load_contract
from vla_contract.robot import load_robot
from vla_policies.cli import serve

TOP = Path(__file__).resolve().parents[3]
DOCKER = TOP / "docker"
if not DOCKER.is_dir():
    pytest.skip("the images' files are not here", allow_module_level=True)

DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE = sorted(DOCKER.glob("compose.*.yaml"))
LAUNCH = TOP / "launch"
MAKEFILE = (TOP / "Makefile").read_text(encoding="utf-8")
# Where the images keep vla_bringup's share folder, and what is mounted into a container.
SHARE = "/opt/vla/share/vla_bringup/"
COMMANDS = {"ros2", "embedded-ros2"}
BASE_STAGES = {"ros:${ROS_DISTRO}-ros-base", "${BASE_IMAGE}"}


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions in order, each with its arguments on one line."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def setup_of(package: Path, monkeypatch) -> dict:
    """Return what a setup.py tells setuptools."""
    told: dict = {}
    monkeypatch.setattr(setuptools, "setup", told.update)
    monkeypatch.chdir(package)
    runpy.run_path("setup.py")
    return told


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower()


def listed(path: Path) -> set[str]:
    lines = path.read_text().splitlines()
    return {name_of(line) for line in lines if line and not line.startswith("#")}


def given(text: str) -> str:
    """Return a compose file's text with the default of each variable, as an empty host has it."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", lambda found: found[1] or "given", text)


def services() -> list:
    """Return every service of every compose file, with a name for pytest."""
    found = []
    for path in COMPOSE:
        text = given(path.read_text(encoding="utf-8"))
        for name, service in yaml.safe_load(text)["services"].items():
            found.append(pytest.param(path, service, id=f"{path.stem}-{name}"))
    return found


def declared(launch_file: Path) -> dict[str, list[str]]:
    """Return the arguments of a launch file and of what it includes: name -> choices, or none."""
    found: dict[str, list[str]] = {}
    seen: set[Path] = set()
    todo = [launch_file]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == (
                "DeclareLaunchArgument"
            ):
                if not isinstance(node.args[0], ast.Constant):
                    continue  # a camera's: below
                choices = [word.value for word in node.keywords if word.arg == "choices"]
                literal = choices and isinstance(choices[0], ast.List)
                values = ast.literal_eval(choices[0]) if literal else []
                found.setdefault(node.args[0].value, values)
        package = TOP / "src" / "vla_bringup" / "vla_bringup"
        if path.parent == LAUNCH:
            todo += [package / "description.py", package / "launch_parts.py"]
        if "*cameras.ARGUMENTS" in text:
            todo.append(package / "cameras.py")
            found |= {"front_camera": [], "wrist_camera": []}
        names = re.findall(r'included\((?:__file__, )?"(\w+)"', text)
        todo += [LAUNCH / f"{name}.launch.py" for name in names]
    return found


def check_command(command: list[str], scripts: set[str]) -> None:
    """Raise AssertionError where a command is not one of this repository's, or would refuse."""
    if command[0] in COMMANDS:
        assert command[1:3] == ["launch", "vla_bringup"]
        arguments = declared(LAUNCH / command[3])
        for argument in command[4:]:
            name, between, value = argument.partition(":=")
            assert between, argument
            assert name in arguments, f"{command[3]} has no {name}"
            assert not arguments[name] or value in arguments[name], argument
            if value.startswith(SHARE):
                assert (TOP / value[len(SHARE) :]).is_file(), argument
            if name == "robot":
                assert (TOP / "config" / "robots" / value / "robot.yaml").is_file(), argument
        return
    assert command[0] in scripts, f"{command[0]} is no command of a package"
    if command[0] == "demo":
        demo.parse(command[1:])
    elif command[0] == "vla-policy":
        assert command[1] == "serve"
        parser = argparse.ArgumentParser()
        serve.add_arguments(parser)
        served = parser.parse_args(command[2:]).policy
        assert (TOP / "config" / "policies" / served).is_file(), served
    else:
        raise AssertionError(f"{command[0]}: this test does not know its arguments")


@pytest.fixture(scope="module")
def scripts() -> set[str]:
    """Return the commands that the packages install."""
    found = set()
    for path in (TOP / "src").glob("*/setup.py"):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'"([\w-]+) = [\w.{}]+:main"', text))
    return found


def by_name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_every_file_that_is_copied_is_there_and_reaches_the_builder(path):
    ignore = (TOP / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    kept_out = [line for line in ignore if line and line[0] not in "#!" and line != "*"]
    stages = set()
    for word, rest in instructions(path):
        if word == "FROM":
            image, _, stage = rest.partition(" AS ")
            assert image in stages | BASE_STAGES, rest
            stages.add(stage)
        if word != "COPY":
            continue
        *sources, _ = rest.split()
        if sources[0].startswith("--from="):
            assert sources[0][7:] in stages, rest
            continue
        for source in sources:
            assert (TOP / source).exists(), f"{path.name} copies {source}"
            assert source.split("/")[0] in sent, f".dockerignore keeps {source} out"
            for pattern in kept_out:
                parts = source.split("/")
                assert not any(fnmatch(part, pattern.removeprefix("**/")) for part in parts)


@pytest.mark.parametrize("path", DOCKERFILES, ids=by_name)
def test_an_image_runs_as_a_user_looks_after_itself_and_has_a_command(path, scripts):
    told = instructions(path)
    last = max(number for number, (word, _) in enumerate(told) if word == "FROM")
    final = dict(told[last:])
    # A number, so that whoever starts it can see that it is not root.
    assert final["USER"] == "${USER_ID}"
    assert ("ARG", "USER_ID=1000") in told[last:]
    check = json.loads(final["HEALTHCHECK"].partition("CMD ")[2])
    asked = "/usr/local/bin/healthy" if "docker/healthy.py" in path.read_text() else "/healthz"
    assert asked in check[-1]
    check_command(json.loads(final["CMD"]), scripts)


@pytest.mark.parametrize("image", ["embedded", "policy"])
def test_the_list_for_pypi_is_what_the_packages_ask_for_and_each_is_pinned(image, monkeypatch):
    copied = [
        source
        for word, rest in instructions(DOCKER / f"{image}.Dockerfile")
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    folders = [TOP / source for source in copied if source.startswith("src")]
    folders = sorted((TOP / "src").iterdir()) if folders == [TOP / "src"] else folders
    wanted = set()
    for folder in folders:
        told = setup_of(folder, monkeypatch)
        required = list(told.get("install_requires", []))
        if image == "policy":
            required += told["extras_require"].get("torch", [])
        wanted |= {name_of(each) for each in required if "@" not in each}
    if image == "embedded":
        text = (TOP / "embedded_ros2" / "pyproject.toml").read_text()
        head = text.partition("test = [")[0].partition("dependencies = [")[2]
        wanted |= {name_of(each) for each in re.findall(r'"([\w-]+[>=<][^"]*)"', head)}
    names = listed(DOCKER / f"{image}.txt")
    assert names == wanted
    # The two that no suite's code calls: rosbags takes what there is.
    assert names - listed(TOP / "constraints.txt") <= {"lz4", "backports.zstd"}


def test_the_images_hold_the_makefile_s_packages():
    packages = re.search(r"^PACKAGES := ((?:.*\\\n)*.*)", MAKEFILE, re.M)[1]
    assert set(packages.replace("\\", "").split()) == {p.name for p in (TOP / "src").iterdir()}
    for image in ("embedded", "ros"):
        assert ("COPY", "src src") in instructions(DOCKER / f"{image}.Dockerfile")
    learned = re.search(r"cp -R ((?:src/\w+ )+)\$\(POLICY_VENV\)", MAKEFILE)[1].split()
    copied = [rest.split() for word, rest in instructions(DOCKER / "policy.Dockerfile")]
    assert [c[0] for c in copied if c[0].startswith("src/")] == learned
    index = re.search(r"^TORCH_INDEX \?= (.*)/cpu$", MAKEFILE, re.M)[1]
    assert ("ARG", f"TORCH_INDEX={index}/${{TORCH_BUILD}}") in instructions(
        DOCKER / "policy.Dockerfile"
    )


def test_the_cuda_build_of_torch_is_the_pinned_one():
    """As the Dockerfile's sed makes it; a line in another form would stay the one for the CPU."""
    text = (DOCKER / "policy.Dockerfile").read_text()
    script = re.search(r'sed -i "(.*?)" ', text)[1].replace("${TORCH_BUILD}", "cu130")
    pins = (TOP / "constraints.txt").read_text()
    made = subprocess.run(["sed", script], input=pins, capture_output=True, text=True, check=True)
    was = re.search(r"^torch==([\d.]+)\+cpu;", pins, re.M)[1]
    assert f"torch=={was}+cu130;" in made.stdout
    assert "+cpu" not in made.stdout


@pytest.mark.parametrize("image", ["embedded", "ros"])
def test_the_images_can_draw(image):
    text = (TOP / "src" / "vla_sim" / "headless_gl.sh").read_text()
    packages = re.search(r'^packages="(.*)"', text, re.M)[1]
    assert packages in (DOCKER / f"{image}.Dockerfile").read_text()


def test_the_ros_image_holds_what_the_launch_files_look_for():
    text = (DOCKER / "ros.Dockerfile").read_text()
    extra = {name.replace("-", "_") for name in re.findall(r'"ros-\$\{ROS_DISTRO\}-(.*?)"', text)}
    launch = "".join(path.read_text() for path in LAUNCH.glob("*.py"))
    cameras = (TOP / "src/vla_bringup/vla_bringup/cameras.py").read_text()
    assert extra == {"joint_state_topic_hardware_interface", "rmw_zenoh_cpp", "v4l2_camera"}
    assert "joint_state_topic_hardware_interface" in launch
    assert '"v4l2_camera"' in cameras


@pytest.mark.parametrize(("path", "service"), services())
def test_a_service_starts_what_there_is(path, service, scripts):
    if "command" in service:
        check_command([str(word) for word in service["command"]], scripts)
    build = service.get("build", {})
    if "dockerfile" in build:
        assert (path.parent / build["context"]).resolve() == TOP
        dockerfile = TOP / build["dockerfile"]
        assert dockerfile in DOCKERFILES
        assert service["image"] == f"vla-{dockerfile.stem}"
    for argument in build.get("args", {}):
        assert re.search(rf"^ARG {argument}\b", (DOCKER / "policy.Dockerfile").read_text(), re.M)
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            assert (path.parent / source).is_file(), volume


@pytest.mark.parametrize(("path", "service"), services())
def test_a_service_gets_no_more_of_the_host_than_it_needs(path, service):
    assert "privileged" not in service
    assert "cap_add" not in service
    for device in service.get("devices", []):
        host, inside = device.split(":")
        assert re.fullmatch(r"/dev/\w+", host), device
        assert any(inside in word for word in service["command"]), f"nobody opens {inside}"
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert source == "/dev/null" or not volume.startswith(("/dev", "/:")), volume
    # An arm is started by a person, and a stop outlives the container.
    if path.name in {"compose.so101.yaml", "compose.panda.yaml"}:
        assert service["restart"] == "no"
        assert "state:/home/vla/.ros" in service["volumes"]


def test_the_contract_of_the_served_policy_is_that_of_the_policy():
    paths = (TOP / "config/policies/so101_smolvla_cubes.yaml", DOCKER / "so101_remote.yaml")
    own, remote = (yaml.safe_load(path.read_text()) for path in paths)
    assert remote["policy"].pop("name") == "remote"
    assert remote["policy"].pop("options") == {"url": "ws://127.0.0.1:8000"}
    for key in ("name", "options", "process", "python", "environment"):
        own["policy"].pop(key)
    assert own == remote
    robot = load_robot(TOP / "config" / "robots" / "so101" / "robot.yaml")
    load_contract(paths[1], robot.limits.joint_names, robot.gripper.joint)


def test_the_development_container_is_a_stage_of_the_ros_image():
    text = (TOP / ".devcontainer" / "devcontainer.json").read_text()
    told = json.loads("\n".join(x for x in text.splitlines() if not x.startswith("//")))
    dockerfile = (TOP / ".devcontainer" / told["build"]["dockerfile"]).resolve()
    stages = [
        rest.partition(" AS ")[2] for word, rest in instructions(dockerfile) if word == "FROM"
    ]
    assert told["build"]["target"] in stages
    assert f" {told['remoteUser']}" in dockerfile.read_text()
    for word in shlex.split(told["postCreateCommand"])[-1].split("&&"):
        assert word.split()[0] in {".", "colcon"}


def keys_of_rosdep() -> set[str]:
    """Return what the packages' manifests name, the packages themselves aside."""
    roots = [ElementTree.parse(path).getroot() for path in (TOP / "src").glob("*/package.xml")]
    keys = {each.text for root in roots for each in root if each.tag.endswith("depend")}
    return keys - {root.find("name").text for root in roots}


def test_pixi_installs_what_the_manifests_name():
    tomllib = pytest.importorskip("tomllib")
    told = tomllib.loads((TOP / "pixi.toml").read_text())
    keys = keys_of_rosdep()
    ours = yaml.safe_load((TOP / "rosdep.yaml").read_text())
    brought = {ours[key]["ubuntu"]["pip"]["packages"][0] for key in keys if key in ours}
    assert {name + bound for name, bound in told["pypi-dependencies"].items()} == brought
    conda = {"opencv": "py-opencv", "msgpack": "msgpack-python", "yaml": "pyyaml"}
    bare = {key.removeprefix("python3-") for key in keys - set(ours) if key.startswith("python3-")}
    ros = {f"ros-jazzy-{key.replace('_', '-')}" for key in keys if not key.startswith("python3-")}
    tools = {"colcon-common-extensions", "compilers", "cmake", "ninja", "ros-jazzy-ros-base"}
    assert set(told["dependencies"]) == ros | tools | {conda.get(name, name) for name in bare}
    for task in told["tasks"].values():
        for name in re.findall(r"\w+\.launch\.py", task):
            assert (LAUNCH / name).is_file()


def test_rosdep_reads_the_list_of_this_repository_before_the_public_one():
    """Of two lists that know a key rosdep takes the first; the public one has no bounds."""
    for path in (TOP / "README.md", TOP / "rosdep.yaml", DOCKER / "ros.Dockerfile"):
        (name,) = set(re.findall(r"sources\.list\.d/([\w-]+\.list)", path.read_text()))
        assert name < "20-default.list", path


def test_a_container_without_a_monitor_is_not_healthy(capsys):
    check = runpy.run_path(str(DOCKER / "healthy.py"))
    assert check["main"](["--within", "0.2", "--topic", "/nobody/state"]) == 1
    assert capsys.readouterr().out == "no monitor: nothing on /nobody/state for 0.2 s\n"


@pytest.mark.parametrize(("state", "code"), [(0, 0), (1, 0), (3, 0), (4, 1), (77, 1)])
def test_a_monitor_is_healthy_unless_it_is_in_fault_or_says_what_is_no_state(
    state, code, monkeypatch, capsys
):
    from vla_msgs.msg import MonitorStatus

    check = runpy.run_path(str(DOCKER / "healthy.py"))
    status = MonitorStatus(state=state, waiting_for=["a person"])
    monkeypatch.setitem(check["main"].__globals__, "heard", lambda topic, within_s: status)
    assert check["main"]([]) == code
    assert "a person" in capsys.readouterr().out
