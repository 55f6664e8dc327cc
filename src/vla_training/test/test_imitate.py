# SPDX-License-Identifier: Apache-2.0
import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")


from smolvla.checkpoint import read_checkpoint  # noqa: E402
from smolvla.tiny import make_tiny  # noqa: E402
from smolvla.torch_backend import load_model  # noqa: E402
from vla_policies import Observation, load_policy  # noqa: E402
from vla_training.alone import LOCK, alone  # noqa: E402
from vla_training.batches import Batches  # noqa: E402
from vla_training.card import model_card  # noqa: E402
from vla_training.cli import imitate as cli  # noqa: E402
from vla_training.cli import main  # noqa: E402
from vla_training.errors import TrainingError  # noqa: E402
from vla_training.imitate import Imitation, roughness  # noqa: E402
from vla_training.lessons import load_lessons  # noqa: E402
from vla_training.metrics import CSV_FILE, CURVES_FILE  # noqa: E402
from vla_training.run_folder import STATE_FILE  # noqa: E402


def weights(training):
    return {name: each.detach().clone() for name, each in training.model.named_parameters()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def begin(folder, dataset, settings, base=None):
    return Imitation(folder, load_lessons([dataset], settings.chunk_rows), settings, base)


@pytest.mark.parametrize("ways", [{}, {"optimiser": "muon", "precision": "bfloat16"}])
def test_training_that_is_interrupted_goes_on_to_the_same_bits(dataset, settings, tmp_path, ways):
    settings = replace(settings, **ways)
    whole = begin(tmp_path / "whole", dataset, settings)
    assert whole.run()
    half = begin(tmp_path / "parts", dataset, settings)
    assert not half.run(until=10)
    again = begin(tmp_path / "parts", dataset, settings)
    assert again.step == 10
    assert again.run()
    assert same(weights(whole), weights(again))
    assert same(whole._average, again._average)
    # The figures too, but for the time that they took.
    first, second = (
        [line[:-1] for line in csv.reader((tmp_path / name / CSV_FILE).open())]
        for name in ("whole", "parts")
    )
    assert first[-1] == second[-1]


@pytest.mark.parametrize("command", ["imitate", "rl"])
def test_two_that_train_in_one_folder_are_refused(dataset, tmp_path, capsys, command):
    with alone(tmp_path / "run"):
        assert main([command, str(tmp_path / "run"), str(dataset)]) == 2
    assert "run: another process is at it" in capsys.readouterr().err
    assert [each.name for each in (tmp_path / "run").iterdir()] == [LOCK]


def test_it_learns_what_is_shown(dataset, settings, tmp_path):
    training = begin(
        tmp_path / "run", dataset,
        replace(settings, steps=150, refer_steps=0, batch=8, augmentation=0.0, ema=0.0),
    )  # fmt: skip
    batch = training._batches.make(10_000)
    before = {k: v.item() for k, v in training.losses(batch, flow=True).items()}
    training.run()
    after = {k: v.item() for k, v in training.losses(batch, flow=True).items()}
    assert after["flow"] < 0.6 * before["flow"]
    assert after["find"] < before["find"]


def test_what_is_smooth_has_no_third_difference():
    steps = torch.arange(7.0)
    rows = torch.stack([steps**2, steps**3], dim=1)[None]
    whole = torch.ones(1, 7, dtype=torch.bool)
    assert roughness(rows[..., :1], whole) == 0.0
    assert roughness(rows, whole) == pytest.approx(18.0)  # mean of 0 and 6 squared
    jump = rows.clone()
    jump[0, 5:] += 1e3
    short = whole.clone()
    short[0, 5:] = False  # behind the end of an episode
    assert roughness(jump, short) == pytest.approx(18.0)
    assert roughness(jump, ~whole) == 0.0


def test_a_penalty_on_jerk_makes_what_is_said_smoother(dataset, settings, tmp_path):
    settings = replace(settings, steps=60, refer_steps=0, batch=8, augmentation=0.0, ema=0.0)
    found = {}
    for weight in (1e-6, 3.0):
        training = begin(tmp_path / f"{weight}", dataset, replace(settings, smoothness=weight))
        training.run()
        batch = training._batches.make(10_000)
        found[weight] = training.losses(batch, flow=True)["smoothness"].item()
        with (training.folder / CSV_FILE).open(newline="") as file:
            last = [*csv.DictReader(file)][-1]
        assert float(last["smoothness"]) > 0.0
    assert found[3.0] < 0.3 * found[1e-6]


def test_a_chunk_too_short_for_jerk_is_one_line(tmp_path, make_dataset, settings):
    data = make_dataset(tmp_path / "plain", chunk_rows=0)
    with pytest.raises(TrainingError, match="smoothness: a chunk of the data has 3 rows"):
        begin(tmp_path / "run", data, replace(settings, smoothness=0.1, chunk_rows=3))


def test_muon_updates_the_matrices_of_the_layers_and_adamw_the_rest(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, replace(settings, optimiser="muon"))
    names = {id(each): name for name, each in training._parameters.items()}
    held = [
        {names[id(each)] for group in optimiser.param_groups for each in group["params"]}
        for optimiser in training._optimisers
    ]
    assert len(held) == 2
    assert not held[0] & held[1]
    assert held[0] | held[1] == set(training._parameters)
    assert "text.layers.0.mlp.up_proj.weight" in held[1]
    assert not {name for name in held[1] if ".layers." not in name or "norm" in name}


def test_bfloat16_gives_nearly_the_losses_of_float32(dataset, settings, tmp_path):
    wide = begin(tmp_path / "wide", dataset, settings)
    narrow = begin(tmp_path / "narrow", dataset, replace(settings, precision="bfloat16"))
    batch = wide._batches.make(0)
    first, second = (each.losses(batch, flow=True) for each in (wide, narrow))
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name, loss in first.items():
        torch.testing.assert_close(second[name].float(), loss, rtol=0.05, atol=0.02)


def test_the_losses_can_be_compiled(dataset, settings, tmp_path, monkeypatch):
    plain = begin(tmp_path / "plain", dataset, settings)
    traced = []

    def compiled(call, **options):
        traced.append(options)
        return real(call, backend="eager", fullgraph=True, **options)  # traced, no C++ made

    real = torch.compile
    monkeypatch.setenv("CXX", "sh")  # some program that is there
    monkeypatch.setattr(torch, "compile", compiled)
    training = begin(tmp_path / "run", dataset, replace(settings, compile=True))
    batch = plain._batches.make(0)
    wanted, found = (each.losses(batch, flow=True) for each in (plain, training))
    assert traced
    for name, loss in wanted.items():
        torch.testing.assert_close(found[name], loss, rtol=1e-4, atol=1e-5)
    training.run(until=1)
    assert begin(tmp_path / "run", dataset, settings).step == 1  # it goes on without


def test_no_compiler_is_one_line(dataset, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(TrainingError, match="compile: there is no C\\+\\+ compiler; install g"):
        begin(tmp_path / "run", dataset, replace(settings, compile=True))


def test_a_chunk_that_hardly_moves_counts_more(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, replace(settings, near_weight=4.0))
    batches, lessons = training._batches, load_lessons([dataset], 4)
    rows = np.arange(2)
    still = lessons.targets([0, 1])[rows, 0]
    still[0, :, :2] = 0.0
    still[1, :, :2] = 2.0 * batches._action.scale[:2]
    weights = batches._weights(rows, batches._action.normalise(still))
    np.testing.assert_allclose(weights[0], 1.0, atol=1e-5)
    np.testing.assert_allclose(weights[1], 1.0 / 9.0, rtol=1e-4)


def test_another_seed_gives_other_weights(dataset, settings, tmp_path):
    runs = [begin(tmp_path / str(seed), dataset, replace(settings, seed=seed)) for seed in (0, 1)]
    assert not same(weights(runs[0]), weights(runs[1]))


def test_a_seed_of_the_command_line_is_in_place_of_the_settings_one(dataset, settings, tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(settings.document()))
    words = ["imitate", str(tmp_path / "run"), str(dataset), "--settings", str(path)]
    assert main([*words, "--seed", "7", "--until", "1"]) == 0
    assert begin(tmp_path / "run", dataset, replace(settings, seed=7)).step == 1
    assert "--seed 7" in (tmp_path / "run" / "checkpoint" / "README.md").read_text()


def test_a_checkpoint_in_bfloat16_is_smaller_and_says_nearly_the_same(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, settings)
    training.run()
    sizes, models = [], []
    for stored in ("float32", "bfloat16"):
        training.settings = replace(settings, stored=stored)
        folder = training.write_checkpoint("")
        sizes.append((folder / "model.safetensors").stat().st_size)
        models.append(dict(load_model(read_checkpoint(folder)).named_parameters()))
    assert sizes[1] < 0.75 * sizes[0]
    for name, wide in models[0].items():
        torch.testing.assert_close(models[1][name], wide, rtol=0.005, atol=1e-6)


def scales(training):
    statistics = training.checkpoint.processing.statistics
    return [statistics[name][what] for name in sorted(statistics) for what in ("mean", "std")]


def test_a_model_that_goes_on_keeps_its_scale_unless_the_rows_own_is_asked_for(
    dataset, settings, tmp_path
):
    """With another scale its weights say something else."""
    first = begin(tmp_path / "run", dataset, settings)
    first.run()
    folder = first.write_checkpoint("")
    lessons = load_lessons([dataset], 4)
    lessons.state[:] += 0.1
    for scale in ("checkpoint", "data"):
        going_on = replace(settings, scale=scale)
        training = Imitation(tmp_path / scale, lessons, going_on, folder)
        kept = all(map(np.array_equal, scales(first), scales(training)))
        assert kept == (scale == "checkpoint")
    lessons.state[:] *= 180.0 / np.pi
    with pytest.raises(TrainingError, match=r"deviations from its mean.* set scale: data"):
        Imitation(tmp_path / "degrees", lessons, settings, folder)
    Imitation(tmp_path / "degrees_scaled", lessons, replace(settings, scale="data"), folder)


def test_the_expert_alone_leaves_the_rest_as_it_was(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, replace(settings, train="expert", refer_steps=0))
    before = weights(training)
    training.run()
    changed = {
        name for name, each in weights(training).items() if not torch.equal(each, before[name])
    }
    assert changed
    assert not {name for name in changed if name.startswith(("vision.", "text.", "connector."))}


def test_a_checkpoint_is_a_policy_that_says_what_was_learned(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, replace(settings, ema=0.0))
    training.run()
    lessons = load_lessons([dataset], 4)
    folder = training.write_checkpoint(model_card(training, lessons, "vla-train ...", [dataset]))
    assert "Step 20 of 20" in (folder / "README.md").read_text()
    policy = load_policy(
        "smolvla",
        {
            "checkpoint": str(folder), "dt_s": 0.1, "relative": ["pan", "lift"],
            "joints": dict.fromkeys(("pan", "lift", "gripper"), "rad"), "dtype": "float32",
        },
    )  # fmt: skip
    row = 5
    observation = Observation(
        0,
        {name: each[row] for name, each in lessons.images.items()},
        {"observation.state": lessons.state[row].astype(np.float64)},
        "the green one",
    )
    noise = np.random.default_rng(0).standard_normal((4, 3), dtype=np.float32)
    said = policy.infer(observation, noise=noise).positions

    model, processing = training.model.eval(), training.checkpoint.processing
    seen = [lessons.images[name][row] for name in training.checkpoint.config.cameras]
    pictures = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    ids = torch.from_numpy(training.checkpoint.tokens("the green one"))[None]
    state = torch.from_numpy(processing.state.normalise(lessons.state[row]))[None]
    with torch.no_grad():
        context = torch.cat(
            [model.encode_image(pictures).flatten(0, 1)[None], model.embed_text(ids)], dim=1
        )
        prefix = model.prefill(context, model.embed_state(state))
        x = torch.from_numpy(noise)[None]
        for step in range(10):
            time = torch.tensor([1.0 - step / 10])
            x = x - model.velocity(prefix, x, model.embed_time(time)) / 10
    native = processing.action.unnormalise(x[0].numpy())
    native[:, :2] += lessons.state[row, :2]
    np.testing.assert_allclose(said, native, atol=1e-4)


def test_whoever_may_read_the_files_of_here_may_read_a_checkpoint(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, replace(settings, steps=1))
    training.run()
    folder = training.write_checkpoint("")
    (tmp_path / "other").touch()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode for path in files} == {(tmp_path / "other").stat().st_mode}


def test_a_run_goes_on_from_the_weights_of_another(dataset, settings, tmp_path):
    first = begin(tmp_path / "first", dataset, settings)
    first.run()
    lessons = load_lessons([dataset], 4)
    base = first.write_checkpoint(model_card(first, lessons, "", [dataset]))
    second = begin(tmp_path / "second", dataset, settings, base)
    # What was written are the averages.
    for name, each in second.model.named_parameters():
        torch.testing.assert_close(each, first._average[name])
    # The referring heads, which no checkpoint has, are those of its run.
    for name, each in second.heads.named_parameters():
        torch.testing.assert_close(each, first._average[f"heads.{name}"])
    (tmp_path / "first" / STATE_FILE).write_bytes(b"damaged")
    begin(tmp_path / "third", dataset, settings, base)  # does without them


def test_a_run_begins_again_with_the_same_heads(dataset, settings, tmp_path):
    """They were of a file that nobody kept: another came in its place, and another run of it."""
    first = begin(tmp_path / "first", dataset, settings)
    first.run()
    base = first.write_checkpoint("")
    second = begin(tmp_path / "second", dataset, settings, base)
    was = {name: each.clone() for name, each in second.heads.state_dict().items()}
    (tmp_path / "first" / STATE_FILE).unlink()
    again = begin(tmp_path / "second", dataset, settings, base).heads.state_dict()
    assert all(torch.equal(each, was[name]) for name, each in again.items())


def test_a_run_does_not_go_on_from_a_checkpoint_of_other_offsets(dataset, settings, tmp_path):
    first = begin(tmp_path / "first", dataset, settings)
    first.run(until=1)
    base = first.write_checkpoint("")
    assert settings.relative == ("pan", "lift")
    for relative, says in (((), "relative names none"), (("lift",), "relative names lift")):
        other = replace(settings, relative=relative)
        with pytest.raises(TrainingError, match=rf"offsets of pan, lift, and {says}; write relat"):
            begin(tmp_path / f"{len(relative)}", dataset, other, base)
    begin(tmp_path / "same", dataset, settings, base)


def test_a_foundation_checkpoint_is_fine_tuned_on_another_robot(tmp_path, make_dataset, capsys):
    """smolvla_base: no statistics, cameras and joints of others, 50 rows a chunk."""
    base = tmp_path / "base"
    make_tiny(base)
    for name in ("pre", "post"):  # as it is published
        path = base / f"policy_{name}processor.json"
        document = json.loads(path.read_text())
        for step in document["steps"]:
            step.pop("state_file", None)
        path.write_text(json.dumps(document))
    was = {each.name: each.is_dir() or each.read_bytes() for each in base.iterdir()}
    data = make_dataset(tmp_path / "plain", chunk_rows=0)
    file = tmp_path / "settings.yaml"
    file.write_text("steps: 2\nrefer_steps: 0\nbatch: 2\ntrain: expert\ndevice: cpu\nthreads: 1\n")
    words = ["imitate", str(tmp_path / "run"), str(data), "--start", str(base)]
    assert main([*words, "--settings", str(file)]) == 2
    assert "base: has no statistics, as a foundation" in capsys.readouterr().err
    file.write_text(file.read_text() + "scale: data\n")
    assert main([*words, "--settings", str(file)]) == 0
    trained = read_checkpoint(tmp_path / "run" / "checkpoint")
    assert trained.config.cameras == ("observation.images.front", "observation.images.wrist")
    assert (trained.config.state_size, trained.config.action_size) == (3, 3)
    assert (trained.config.max_action_size, trained.config.chunk_size) == (32, 50)
    lessons = load_lessons([data], 50)
    wanted = lessons.statistics([])["action"]["mean"]
    np.testing.assert_allclose(trained.processing.action.offset, wanted, rtol=1e-6)
    assert was == {each.name: each.is_dir() or each.read_bytes() for each in base.iterdir()}


def test_a_gradient_that_is_not_finite_changes_nothing(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, settings)
    training.run(until=2)
    kept = (tmp_path / "run" / STATE_FILE).read_bytes()
    before = weights(training)
    next(iter(training._parameters.values())).register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(TrainingError, match=r"the gradient is (nan|inf) at step 2; lower learni"):
        training.run()
    assert same(before, weights(training))
    assert (tmp_path / "run" / STATE_FILE).read_bytes() == kept


@pytest.mark.parametrize(("batch", "datasets"), [(4, 6), (8, 6), (32, 3), (1, 2)])
def test_every_dataset_is_shown_alike(batch, datasets):
    batches = object.__new__(Batches)
    batches._lessons = SimpleNamespace(bounds=np.arange(datasets + 1) * 10)
    batches._settings = SimpleNamespace(batch=batch)
    shown = np.zeros(datasets)
    for step in range(3000):
        rows = batches._rows(np.random.default_rng([0, 1, step]))
        shown += np.bincount(rows // 10, minlength=datasets)
    np.testing.assert_allclose(shown / shown.sum(), 1.0 / datasets, rtol=0.1)


def test_wherever_a_joint_is_measured_the_arm_is_sent_to_the_same_place(
    dataset, settings, tmp_path
):
    training = begin(tmp_path / "run", dataset, replace(settings, state_noise_rad=0.2))
    batches = training._batches
    lessons, processing = batches._lessons, training.checkpoint.processing
    at = np.array([[3]])
    shift = np.array([[0.1, -0.2, 0.3]], np.float32)
    said = batches._actions(at, lessons.asked[at], shift)[..., :3]
    offsets = processing.action.unnormalise(said)[0, 0]
    there = offsets + np.append(lessons.state[3, :2] + shift[0, :2], 0.0)  # as a policy does
    np.testing.assert_allclose(there, lessons.chunks[3, lessons.asked[3]], atol=1e-5)


def test_data_without_a_teacher_is_learned_from_too(settings, tmp_path, make_dataset):
    data = make_dataset(tmp_path / "plain", chunk_rows=0)
    training = begin(tmp_path / "run", data, replace(settings, chunk_rows=5))
    assert training.run()
    assert training.checkpoint.config.chunk_size == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [({"learning_rate": 1e-4}, "learning_rate: the run was begun with 0.003"),
     ({"seed": 1}, "seed: the run was begun with 0"),
     ({"steps": 30}, "steps: the run was begun with 20")],
)  # fmt: skip
def test_a_run_is_not_gone_on_with_otherwise(dataset, settings, tmp_path, change, says):
    begin(tmp_path / "run", dataset, settings).run(until=2)
    with pytest.raises(TrainingError, match=says):
        begin(tmp_path / "run", dataset, replace(settings, **change))


def test_a_run_is_not_gone_on_with_other_data(dataset, settings, tmp_path, make_dataset):
    begin(tmp_path / "run", dataset, settings).run(until=2)
    other = make_dataset(tmp_path / "other", episodes=2)
    with pytest.raises(TrainingError, match="data: the run was begun with"):
        begin(tmp_path / "run", other, settings)


def test_a_damaged_state_is_one_line(dataset, settings, tmp_path):
    begin(tmp_path / "run", dataset, settings).run(until=2)
    state = tmp_path / "run" / STATE_FILE
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(TrainingError, match=r"state\.pt: is damaged .*delete it"):
        begin(tmp_path / "run", dataset, settings)


def test_a_full_disk_keeps_the_state_before(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, settings)
    training.run(until=2)
    was = (tmp_path / "run" / STATE_FILE).read_bytes()
    (tmp_path / "run" / STATE_FILE).with_suffix(".part").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match="the disk is full"):
        training.save()
    assert (tmp_path / "run" / STATE_FILE).read_bytes() == was
    assert begin(tmp_path / "run", dataset, settings).step == 2


def test_a_checkpoint_that_does_not_fit_the_data_is_refused(
    dataset, settings, tmp_path, make_dataset
):
    training = begin(tmp_path / "run", dataset, settings)
    lessons = load_lessons([dataset], 4)
    training.run(until=1)
    base = training.write_checkpoint(model_card(training, lessons, "", [dataset]))
    other = make_dataset(tmp_path / "long", chunk_rows=6)
    with pytest.raises(TrainingError, match="rows of a chunk are 4, those of the data 6"):
        begin(tmp_path / "second", other, settings, base)


def test_a_joint_that_the_data_lacks_is_refused(dataset, settings, tmp_path):
    with pytest.raises(TrainingError, match="relative: 'elbow' is no joint of the data: pan"):
        begin(tmp_path / "run", dataset, replace(settings, relative=("elbow",)))


def test_the_figures_are_drawn(dataset, settings, tmp_path):
    pytest.importorskip("matplotlib")
    begin(tmp_path / "run", dataset, settings).run()
    assert (tmp_path / "run" / CURVES_FILE).read_bytes().startswith(b"\x89PNG")


def test_a_loss_that_is_not_computed_is_no_zero(dataset, settings, tmp_path):
    training = begin(tmp_path / "run", dataset, replace(settings, steps=50, refer_steps=25))
    told = []
    training.run(watch=told.append)
    assert np.isnan(told[0].flow)
    assert told[1].flow > 0.0
    rows = list(csv.DictReader((tmp_path / "run" / CSV_FILE).open()))
    assert rows[0]["flow"] == "nan"
    assert float(rows[0]["find"]) > 0.0
    assert float(rows[1]["flow"]) > 0.0


def test_ctrl_c_says_from_where_the_same_command_goes_on(
    dataset, settings, tmp_path, capsys, monkeypatch
):
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(replace(settings, steps=60).document()))
    words = ["imitate", str(tmp_path / "run"), str(dataset), "--settings", str(path)]
    assert main([*words, "--until", "10"]) == 0

    # What Ctrl-C raises; the signal itself is ignored where tests run in the background.
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_show", interrupted)
    assert main(words) == 130
    said = capsys.readouterr().err.strip()
    assert said.endswith("interrupted at step 25; the same command goes on from step 10")
    monkeypatch.undo()
    assert main(words) == 0
    assert begin(tmp_path / "run", dataset, replace(settings, steps=60)).step == 60


def test_lines_of_a_run_that_was_cut_off_are_dropped(dataset, settings, tmp_path):
    settings = replace(settings, steps=60)
    begin(tmp_path / "run", dataset, settings).run(until=25)
    path = tmp_path / "run" / CSV_FILE
    was = path.read_text()
    path.write_text(was + "50,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1\n75,0.3")
    begin(tmp_path / "run", dataset, settings).run()
    steps = [line[0] for line in csv.reader(path.open())]
    assert steps == ["step", "25", "50", "60"]
