# SPDX-License-Identifier: Apache-2.0
"""`vla-policy serve`, and what it and LeRobot's adapter say when they cannot."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml

from vla_policies import Observation, PolicyError, load_policy
from vla_policies.cli import main
from vla_policies.cli.serve import find
from vla_policies.rtc import continuing

MOTION = {"joint_names": ["a"], "dt_s": 0.1, "positions": [[0.0], [0.5]]}


@pytest.fixture
def contract(tmp_path):
    """Write a contract of a recorded motion."""
    (tmp_path / "motion.yaml").write_text(yaml.safe_dump(MOTION))
    options = {"file": str(tmp_path / "motion.yaml"), "rows": 3}
    path = tmp_path / "contract.yaml"
    path.write_text(yaml.safe_dump({"policy": {"name": "replay", "options": options}}))
    return path


def test_a_served_policy_answers_until_the_server_is_told_to_end(contract):
    command = [sys.executable, "-m", "vla_policies.cli", "serve", str(contract), "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as server,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(server.kill)
        line = server.stdout.readline()
        assert re.match(r"replay motion\.yaml [0-9a-f]{12} at ws://127\.0\.0\.1:\d+$", line)
        port = int(line.rsplit(":", 1)[1])
        policy = load_policy("remote", {"url": f"ws://127.0.0.1:{port}"})
        assert continuing(policy) is None
        action = policy.infer(Observation(0, {}, {}, "go"))
        assert action.positions[:, 0] == pytest.approx(np.array([0.0, 0.5, 0.5]))
        policy.close()
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert "Traceback" not in server.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["replay", "--host", "0.0.0.0"], "other computers can reach it"),
        (["replay", "--tls-cert", "x"], "--tls-cert and --tls-key: give both"),
        (["replay", "--token-file", "/nowhere"], "/nowhere: cannot be read"),
        (["replay", "--options", "[1]"], "is no YAML mapping"),
        (["replay", "--options", "{"], "--options: "),
        (["replay", "--options", "/nowhere.yaml"], "--options: "),
        (["replay", "--clients", "0"], "give 1 or more"),
        (["replay", "--port", "99999"], "--port 99999: give 0 to 65535"),
        (["replay", "--port", "-1"], "--port -1: give 0 to 65535"),
        (["replay"], "replay: options.file: is missing"),
        (["nobody"], "there is no policy 'nobody'"),
        (["nothere.yaml"], "nothere.yaml: there is no such file or folder"),
        (["./nothere"], "nothere: there is no such file or folder"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_exit_code_2(capsys, arguments, problem):
    assert main(["serve", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("vla-policy: ")
    assert problem in lines[0]


def test_a_port_that_is_taken_is_named(capsys, contract, start):
    port = str(start().port)
    assert main(["serve", str(contract), "--port", port]) == 2
    assert f"--port {port}" in capsys.readouterr().err


def test_what_is_served_may_be_a_name_a_contract_or_a_checkpoint(contract, tmp_path):
    assert find("replay", {"rows": 1}) == ("replay", {"rows": 1})
    name, options = find(str(contract), {"rows": 9})
    assert (name, options["rows"]) == ("replay", 9)
    # A policy that is called as the checkpoint's type runs it, else LeRobot.
    for kind, policy in (("replay", "replay"), ("act", "lerobot")):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"type": kind}))
        assert find(str(folder), {}) == (policy, {"checkpoint": str(folder)})
    with pytest.raises(PolicyError, match="is no contract"):
        find(str(tmp_path / "motion.yaml"), {})


def test_a_path_in_a_served_contract_is_one_from_the_contract_s_folder(contract):
    """As the node reads it: what this repository trained was not found from anywhere else."""
    written = yaml.safe_load(contract.read_text())
    written["policy"]["options"]["file"] = "./motion.yaml"
    contract.write_text(yaml.safe_dump(written))
    name, options = find(str(contract), {})
    assert load_policy(name, options).spec.joint_names == ("a",)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "def make(options):\n    raise KeyError('gain')\n",
            "mine:make failed with KeyError: 'gain' at ",
        ),
        ("raise RuntimeError('no licence')\n", "importing mine:make failed with RuntimeError"),
        (
            "import types\ndef nothing(*_): pass\ndef make(options):\n    return types."
            "SimpleNamespace(spec=None, reset=nothing, infer=nothing, close=nothing)\n",
            "its spec is None; it must be a vla_policies.PolicySpec",
        ),
    ],
)
def test_a_policy_of_somebody_else_that_is_wrong_is_one_line(tmp_path, lines, said):
    (tmp_path / "mine.py").write_text(lines)
    info = tmp_path / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vla_policies]\nmine = mine:make\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "vla_policies.cli", "serve", "mine", "--port", "0"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("vla-policy: policy mine: ")
    assert said in line


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"type": null}', '{"type": ["act"]}'])
def test_a_checkpoint_that_tells_no_type_cannot_be_served_by_its_folder(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(PolicyError, match="give the name of the policy that runs it") as caught:
        find(str(tmp_path), {})
    assert "\n" not in str(caught.value)


def test_a_folder_that_lerobot_did_not_write_is_named(tmp_path):
    options = {"checkpoint": str(tmp_path), "dt_s": 0.1, "joints": {"a": "rad"}}
    with pytest.raises(PolicyError, match=r"holds no config\.json"):
        load_policy("lerobot", options)


def checkpoint(folder, step):
    """Write what looks like a checkpoint of LeRobot, and return the options for it."""
    (folder / "config.json").write_text(json.dumps({"type": "act"}))
    for name in ("policy_preprocessor", "policy_postprocessor"):
        (folder / f"{name}.json").write_text(json.dumps({"steps": [step]}))
    (folder / "model.safetensors").write_text("")
    return {"checkpoint": str(folder), "dt_s": 0.1, "joints": {"a": "rad"}}


def test_where_lerobot_is_not_installed_its_page_is_named(tmp_path):
    with contextlib.suppress(ImportError):
        import lerobot  # noqa: F401

        pytest.skip("it is installed here")
    with pytest.raises(PolicyError, match=r"cannot be imported .*docs/measurements/lerobot\.md"):
        load_policy("lerobot", checkpoint(tmp_path, {"registry_name": "normalizer_processor"}))


@pytest.mark.parametrize("step", [{"class": "subprocess.Popen", "config": {}}, {}, 3])
def test_a_lerobot_checkpoint_that_names_foreign_code_is_not_loaded(tmp_path, step):
    with pytest.raises(PolicyError, match=r"policy_preprocessor\.json: (names|is no processor)"):
        load_policy("lerobot", checkpoint(tmp_path, step))
