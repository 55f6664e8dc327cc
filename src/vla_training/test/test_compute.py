# SPDX-License-Identifier: Apache-2.0
"""Where a training computes: devices, and processes that share the work."""

import csv
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from smolvla.checkpoint import read_checkpoint  # noqa: E402
from vla_training.batches import Batches  # noqa: E402
from vla_training.cli import main  # noqa: E402
from vla_training.compute import Compute, moved  # noqa: E402
from vla_training.errors import TrainingError  # noqa: E402
from vla_training.imitate import Imitation  # noqa: E402
from vla_training.lessons import load_lessons  # noqa: E402
from vla_training.run_folder import STATE_FILE  # noqa: E402

META = "meta"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line(dataset, tmp_path, capsys):
    (tmp_path / "gpu.yaml").write_text("device: cuda\n")
    words = ["imitate", str(tmp_path / "run"), str(dataset)]
    assert main([*words, "--settings", str(tmp_path / "gpu.yaml")]) == 2
    assert "torch can use no GPU here; write device: cpu" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_without_a_gpu_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Compute("auto").device == torch.device("cpu")
    assert Compute("auto").first


@pytest.mark.parametrize("text", ["two", "-1", "1.5", ""])
def test_a_launchers_word_that_is_no_number_is_one_line(monkeypatch, text):
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(TrainingError, match=r"WORLD_SIZE: is .* in the environment; unset it"):
        Compute("cpu")


def test_processes_that_do_not_meet_are_one_line(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        TrainingError, match=r"the 2 processes cannot meet .* begin them by torchru"
    ):
        Compute("cpu")


def test_nothing_of_a_step_on_another_device_is_left_on_the_cpu(dataset, settings, tmp_path):
    """Torch's meta device is on every machine, and does not mix with the CPU."""
    settings = replace(settings, smoothness=0.1)
    training = Imitation(tmp_path / "run", load_lessons([dataset], 4), settings)
    batch = training._batches.make(0)
    time = training.model.embed_time(batch.time).to(META)
    for module in (*training.model.modules(), *training.heads.modules()):
        for name, each in [*module.named_parameters(recurse=False)]:
            setattr(module, name, torch.nn.Parameter(each.to(META)))
    training.model.vision.embeddings.place(META)
    batch = moved(batch, torch.device(META))
    losses = training._losses(batch, time)
    assert {"flow", "find", "phase", "smoothness"} <= losses.keys()
    assert {each.device.type for each in losses.values()} == {META}
    sum(losses.values()).backward()
    with pytest.raises(RuntimeError, match="is not on the expected device"):  # it can fail
        training._losses(replace(batch, state=torch.zeros(batch.state.shape)), time)


def test_two_processes_learn_what_one_would_from_the_batches_of_both(dataset, settings, tmp_path):
    steps = 3
    settings = replace(
        settings, steps=steps, refer_steps=1, device="cpu", clip_norm=1e6, weight_decay=0.0
    )
    file = tmp_path / "settings.yaml"
    document = settings.document()
    file.write_text(yaml.safe_dump({**document, "size": dict(document["size"])}))
    run = tmp_path / "two"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port",
        str(20_000 + os.getpid() % 20_000), "-m", "vla_training.cli", "imitate", str(run),
        str(dataset), "--settings", str(file),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("million weights on cpu, in 2 processes") == 1
    assert done.stdout.count("written; the run is finished") == 1
    with (run / "metrics.csv").open(newline="") as lines:
        assert [line["step"] for line in csv.DictReader(lines)] == [str(steps)]
    read_checkpoint(run / "checkpoint")
    # The same again in this process, with the mean of the gradients of both batches.
    lessons = load_lessons([dataset], settings.chunk_rows)
    one = Imitation(tmp_path / "one", lessons, settings)
    ours = []
    for rank in range(2):
        compute = Compute("cpu")
        compute.rank, compute.count = rank, 2
        ours.append(Batches(lessons, one.checkpoint, settings, compute))
    assert not torch.equal(ours[0].make(0).noise, ours[1].make(0).noise)

    def average(gradients, stop):
        one._loss(ours[1].make(one.step))[0].backward()  # added to what is there
        for each in gradients:
            each /= 2.0
        return stop

    one._compute.average = average
    for _ in range(steps):
        one._update(ours[0].make(one.step))
        one.step += 1
    there = torch.load(run / STATE_FILE, weights_only=True)["model"]
    for name, each in one.model.state_dict().items():
        torch.testing.assert_close(there[name], each, rtol=1e-4, atol=1e-5, msg=name)
    # With another number of processes it would be another run.
    assert main(["imitate", str(run), str(dataset), "--settings", str(file)]) == 2
