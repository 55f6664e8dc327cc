# SPDX-License-Identifier: Apache-2.0
"""A checkpoint converted to OpenVINO answers like the one it came from."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: smolvla[convert]")
# `exc_type` of importorskip is unknown to the pytest of Ubuntu 24.04.
try:
    import smolvla.openvino_import  # noqa: F401
except ImportError:
    pytest.skip("openvino is not installed: smolvla[convert]", allow_module_level=True)
pytest.importorskip("safetensors", reason="safetensors is not installed: smolvla[convert]")
pytest.importorskip("tokenizers", reason="tokenizers is not installed: smolvla[convert]")

import torch

from smolvla import hardware, quantise
from smolvla.checkpoint import read_checkpoint
from smolvla.cli import main
from smolvla.export import convert
from smolvla.hardware import has_bfloat16
from smolvla.loading import load, load_bundle, load_checkpoint
from smolvla.parity import answers, compare, plain_policy
from smolvla.quantise import PARTS
from smolvla.samples import pattern_sample, random_samples, write_sample
from smolvla.tiny import make_tiny
from vla_policies import Observation, PolicyError, load_policy
from vla_policies.cli.serve import find


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("openvino") / "tiny"
    make_tiny(folder)
    return read_checkpoint(folder)


@pytest.fixture(scope="module")
def bundle(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("openvino") / "float32"
    folder.mkdir()
    convert(checkpoint, folder, "float32")
    return folder


def test_a_float32_bundle_answers_like_torch(checkpoint, bundle):
    samples = random_samples(checkpoint.config, checkpoint.processing, 2)
    first = answers(load_checkpoint(checkpoint, "float32"), samples)
    assert compare(first, answers(load_bundle(bundle, threads=1), samples)).worst < 1e-5


def test_a_new_state_on_the_same_images_gives_what_a_whole_computation_gives(bundle):
    loaded = load_bundle(bundle, threads=1)
    sample = pattern_sample(loaded.config, loaded.processing)
    states = ({"observation.state": sample.state + shift} for shift in (0.3, 0.0))
    used, fresh = plain_policy(loaded, rows=16), plain_policy(load_bundle(bundle, threads=1), 16)
    noise = np.zeros((50, 32), np.float32)
    for state in states:
        observation = Observation(0, sample.images, state, sample.task)
        renewed = used.infer(observation, noise=noise).positions
    np.testing.assert_allclose(renewed, fresh.infer(observation, noise=noise).positions, atol=1e-5)


# In a process of its own, for it would end this one.
SIGNALLED = """
import faulthandler, signal, sys
from pathlib import Path
from smolvla.loading import load_bundle
faulthandler.enable()
signal.signal(signal.SIGTERM, lambda *given: print("handled"))
first, second = (load_bundle(Path(sys.argv[1]), threads=1) for _ in range(2))
del first
del second
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_is_handled_after_two_bundles_were_let_go(bundle):
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(bundle)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_a_bundle_is_a_checkpoint_to_the_policy(bundle):
    options = {
        "checkpoint": str(bundle), "dt_s": 0.02, "rows": 10, "threads": 1,
        "joints": {f"joint{index}": "rad" for index in range(6)},
    }  # fmt: skip
    assert find(str(bundle), options) == ("smolvla", options), "what vla-policy serve takes it for"
    policy = load_policy("smolvla", options)
    assert "openvino float32" in policy.spec.policy_id
    sample = pattern_sample(policy._config, policy._loaded.processing)
    state = {"observation.state": sample.state}
    action = policy.infer(Observation(0, sample.images, state, sample.task))
    assert action.positions.shape == (10, 6)
    policy.close()


@pytest.mark.parametrize(
    "option", [{"dtype": "float32"}, {"device": "cpu"}, {"patch_positions": "exact"}]
)
def test_what_a_bundle_fixes_is_no_option(bundle, option):
    with pytest.raises(PolicyError, match="fixed in a converted bundle"):
        load(bundle, **option)


def test_an_incomplete_bundle_is_refused(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "step.bin").unlink()
    with pytest.raises(PolicyError, match=r"step\.bin is missing"):
        load_bundle(copy)


def test_a_bundle_of_another_format_is_refused(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    about = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**about, "format": 2}))
    with pytest.raises(PolicyError, match="format: is 2"):
        load_bundle(copy)


def test_a_bfloat16_bundle_is_refused_where_the_processor_computes_none(
    bundle, tmp_path, monkeypatch
):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    about = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**about, "precision": "bfloat16"}))
    monkeypatch.setattr(hardware, "has_bfloat16", lambda: False)
    with pytest.raises(PolicyError, match="--precision float32, or int8"):
        load_bundle(copy)


@pytest.mark.parametrize("precision", [[], ["--precision", "mixed"]])
def test_a_precision_that_the_processor_lacks_is_refused_before_anything_is_converted(
    checkpoint, tmp_path, capsys, monkeypatch, precision
):
    monkeypatch.setattr(hardware, "has_bfloat16", lambda: False)
    arguments = ["convert", str(checkpoint.folder), str(tmp_path / "x"), *precision]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert "convert with --precision float32" in said.err
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_conversion_that_fails_leaves_nothing_in_the_way_of_the_next(
    checkpoint, tmp_path, capsys, monkeypatch
):
    def fail(*_, **__):
        raise PolicyError("it failed at the end")

    arguments = ["convert", str(checkpoint.folder), str(tmp_path / "x"), "--precision", "float32"]
    with monkeypatch.context() as patched:
        patched.setattr("smolvla.loading.load_bundle", fail)
        assert main(arguments) == 2
    assert list(tmp_path.iterdir()) == []
    # As a process that was killed leaves it.
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "x.partial/vision.bin").write_bytes(b"half")
    assert main([*arguments, "--threads", "1"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert main(arguments) == 2
    assert "holds something already" in capsys.readouterr().err


@pytest.fixture(scope="module")
def observations(checkpoint, tmp_path_factory):
    pytest.importorskip("nncf", reason="nncf is not installed: smolvla[convert]")
    folder = tmp_path_factory.mktemp("observations")
    for index, sample in enumerate(random_samples(checkpoint.config, checkpoint.processing, 4)):
        write_sample(folder / f"{index}.npz", sample)
    return folder


def converted(checkpoint, folder, observations, *options):
    arguments = ["convert", str(checkpoint.folder), str(folder), "--threads", "1"]
    assert main([*arguments, "--observations", str(observations), *options]) == 0
    return json.loads((folder / "bundle.json").read_text())


def test_what_is_quantised_is_calibrated_and_reports_its_error(
    checkpoint, observations, tmp_path, capsys
):
    about = converted(checkpoint, tmp_path / "int8", observations, "--precision", "int8")
    assert "largest error / standard deviation" in capsys.readouterr().out
    assert about["precision"] == "int8"
    assert list(about["int8"]) == [part.name for part in PARTS]
    assert 1e-4 < about["parity"]["largest_error_over_std"] < 0.3
    assert len(about["parity"]["rms_error"]) == 6
    assert not list((tmp_path / "int8").glob("*kept*"))


@pytest.mark.skipif(not has_bfloat16(), reason="the processor computes no bfloat16")
@pytest.mark.parametrize(("error", "parts"), [("0.0001", []), ("0.06", ["vision MLPs"])])
def test_a_part_whose_error_is_not_allowed_stays_as_it_is(
    checkpoint, observations, tmp_path, monkeypatch, error, parts
):
    # The first alone, since each takes a while.
    monkeypatch.setattr(quantise, "PARTS", PARTS[:1])
    options = ("--precision", "mixed", "--error", error)
    about = converted(checkpoint, tmp_path / "mixed", observations, *options)
    assert list(about["int8"]) == parts
    assert 1e-4 < about["parity"]["largest_error_over_std"] < 0.06
    plain = tmp_path / "plain"
    plain.mkdir()
    convert(checkpoint, plain, "bfloat16")
    same = (plain / "vision.bin").read_bytes() == (tmp_path / "mixed/vision.bin").read_bytes()
    assert same == (not parts)
    assert not list((tmp_path / "mixed").glob("*kept*"))


def test_int8_without_observations_is_refused(checkpoint, tmp_path, capsys):
    arguments = ["convert", str(checkpoint.folder), str(tmp_path / "x"), "--precision", "int8"]
    assert main(arguments) == 2
    assert "--observations" in capsys.readouterr().err


def test_no_telemetry_is_sent():
    """OpenVINO's would start a process and ask a server, from the robot."""
    code = "import sys, smolvla.openvino_backend; print(sys.modules['openvino_telemetry'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
