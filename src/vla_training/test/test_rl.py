# SPDX-License-Identifier: Apache-2.0
"""What is drawn has the probability that is said, and what pays becomes likelier."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")
pytest.importorskip("mujoco")

from vla_training.cli import main  # noqa: E402
from vla_training.errors import TrainingError  # noqa: E402
from vla_training.evaluation.trial import TrialCase, TrialSetup  # noqa: E402
from vla_training.rl.rewards import advantages, reward  # noqa: E402
from vla_training.rl.rollouts import (  # noqa: E402
    NOISE_FILE,
    RolloutProcess,
    RolloutWanted,
    shown,
    small,
)
from vla_training.rl.run import Reinforcement  # noqa: E402
from vla_training.rl.samplers import FlowSde, LearnedNoise, Step  # noqa: E402
from vla_training.rl.scenes import TabletopScenes  # noqa: E402
from vla_training.rl.settings import ReinforcementSettings, read_reinforcement  # noqa: E402
from vla_training.run_folder import STATE_FILE  # noqa: E402

TOP = Path(__file__).resolve().parents[3]
ROBOT = TOP / "config/robots/so101/robot.yaml"
CONTRACT = TOP / "config/policies/so101_smolvla_cubes.yaml"
SHORT = ReinforcementSettings(
    updates=2, groups=1, group_size=2, limit_s=1.0, flow_steps=2, drawn_steps=2, threads=1, batch=4
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return a SmolVLA of toy size that has learned nothing."""
    from vla_training.lessons import load_lessons
    from vla_training.start import Size, make_start
    from vla_training.workers import Job, collect

    folder = tmp_path_factory.mktemp("rl")
    job = Job(ROBOT, CONTRACT, 12, (96, 96), 0.1, None, 1.0)
    for _ in collect(folder / "data", job, [3], 1):
        pass
    lessons = load_lessons([folder / "data"], 12)
    size = Size(image=96, patch=16, shuffle=3, vision_hidden=64, vision_layers=1,
                text_hidden=64, text_layers=2, vocabulary=300, text_length=48)  # fmt: skip
    make_start(
        folder / "start", size, images=lessons.info.cameras, joints=6, rows=12,
        statistics=lessons.statistics(list(range(5))), seed=0, flow_steps=10,
        texts=[f"{text}\n" for texts in lessons.info.instructions for text in texts],
    )  # fmt: skip
    return folder / "start"


def scenes(limit_s):
    return TabletopScenes(TrialSetup(ROBOT, CONTRACT, limit_s=limit_s), "smooth")


def begin(folder, checkpoint, settings=SHORT):
    return Reinforcement(folder, checkpoint, settings, scenes(settings.limit_s), 1)


# -- samplers -------------------------------------------------------------------------------------


def test_the_stochastic_flow_keeps_the_marginals_of_the_deterministic_one():
    # Data that is normal with deviation s: the velocity of its flow is known in closed form.
    s = 0.5
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40_000, 1, 1, generator=generator)
    sampler, state = FlowSde(0.3), torch.zeros(40_000, 2)
    fine = 300
    for index in range(fine):
        t = 1.0 - index / fine
        spread = t * t + (1.0 - t) ** 2 * s * s
        velocity = x * (t - (1.0 - t) * s * s) / spread
        step = sampler.step(x, velocity, state, t, 1.0 / fine)
        x = step.mean + step.std * torch.randn(x.shape, generator=generator)
    assert float(x.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(x.std()) == pytest.approx(s, rel=0.03)


def test_the_mean_is_that_of_the_papers():
    # pi_RL: x0 (1 - (t - d)) + x1 (t - d - sigma^2 d / 2t).
    a, t, d = 0.5, 0.75, 0.25
    x, v = torch.tensor([[0.3]]), torch.tensor([[-0.8]])
    x0, x1 = x - v * t, x + v * (1 - t)
    sigma = a * math.sqrt(t / (1 - t))
    step = FlowSde(a).step(x, v, torch.zeros(1), t, d)
    wanted = x0 * (1 - (t - d)) + x1 * (t - d - sigma**2 * d / (2 * t))
    assert float(step.mean) == pytest.approx(float(wanted), rel=1e-6)
    assert float(step.std) == pytest.approx(sigma * math.sqrt(d), rel=1e-6)


def test_no_noise_is_the_flow_itself():
    x, v = torch.randn(3, 2), torch.randn(3, 2)
    step = FlowSde(1e-6).step(x, v, torch.zeros(1), 0.5, 0.25)
    torch.testing.assert_close(step.mean, x - 0.25 * v)


def test_learned_noise_begins_where_it_is_told_and_stays_within_its_bounds():
    net = LearnedNoise(4, 3, 0.1, 0.05, 0.2)
    x = torch.zeros(2, 5, 3)
    step = net.step(x, x, torch.randn(2, 4), 0.5, 0.25)
    torch.testing.assert_close(step.std, torch.full_like(x, 0.1))
    with torch.no_grad():
        net.net[-1].bias.fill_(1e3)
    far = net.step(x, x, torch.randn(2, 4), 0.5, 0.25)
    assert float(far.std.detach().max()) <= 0.2 * (1 + 1e-5)


def test_the_probability_is_that_of_the_normal_distribution():
    step = Step(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[0.5, 0.1, 1.0]]))
    x = torch.tensor([[1.2, 1.9, -5.0]])
    wanted = torch.distributions.Normal(step.mean, step.std).log_prob(x)[..., :2].sum()
    torch.testing.assert_close(step.log_probability(x, 2), wanted)


def test_the_divergence_is_that_of_two_normal_distributions():
    one = Step(torch.randn(4, 3), torch.rand(4, 3) + 0.1)
    other = Step(torch.randn(4, 3), torch.rand(4, 3) + 0.1)
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(
        normal(one.mean, one.std), normal(other.mean, other.std)
    )
    torch.testing.assert_close(one.divergence(other, 3), wanted.sum())


# -- rewards --------------------------------------------------------------------------------------


def test_rewards():
    binary = ReinforcementSettings(reward="binary")
    paper = ReinforcementSettings(reward="smoothvla", jerk_unit=10.0)
    ours = ReinforcementSettings(reward="smooth_invariant", ldlj_best=-5.0, ldlj_worst=-10.0)
    assert reward(True, 99.0, -99.0, binary) == 1.0
    assert all(reward(False, 0.0, -5.0, each) == 0.0 for each in (binary, paper, ours))
    assert reward(True, 20.0, -5.0, paper) == pytest.approx(1.0 - 0.2 * 2.0)
    assert reward(True, 100.0, -5.0, paper) < 0.0  # as published
    assert reward(True, 0.0, -7.5, ours) == pytest.approx(0.9)
    assert reward(True, 0.0, -1e9, ours) == reward(True, 0.0, math.nan, ours) == 0.8
    assert reward(True, math.nan, -5.0, paper) == 0.0
    assert reward(True, 0.0, 0.0, ours) == 1.0


def test_the_advantage_is_within_the_group_and_its_deviation_has_a_floor():
    found = advantages([[1.0, 0.0], [1.0, 1.0], [1.0, 0.99]], 0.1)
    np.testing.assert_allclose(found[0], [1.0, -1.0])
    np.testing.assert_allclose(found[1], [0.0, 0.0])
    np.testing.assert_allclose(found[2], [0.05, -0.05])


# -- rollouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("drawn", [1, 2])
@pytest.mark.parametrize("sampler", ["flow_sde", "learned_noise"])
def test_what_was_drawn_has_the_probability_that_is_said(checkpoint, tmp_path, sampler, drawn):
    settings = replace(SHORT, sampler=sampler, noise=0.1, drawn_steps=drawn)
    training = begin(tmp_path / "run", checkpoint, settings)
    try:
        training._write_weights(training.folder / "current")
        assert (training.folder / "current" / NOISE_FILE).exists() == (sampler != "flow_sde")
        rollout = next(training._rollouts.make(training.wanted()[0]))
        assert len(rollout.decisions) >= 3
        kept = torch.from_numpy(np.stack([each.log_probability for each in rollout.decisions]))
        assert kept.shape[1] == drawn
        now, _ = training.probabilities(rollout.decisions)
        torch.testing.assert_close(now.detach(), kept, rtol=1e-4, atol=1e-2)
    finally:
        training.close()


def test_a_rollout_is_a_function_of_its_seeds(checkpoint, tmp_path):
    process = RolloutProcess(scenes(limit_s=1.0), SHORT)
    case = TrialCase("smooth", (0.05, 0.10), "none", 5, "blue")
    try:
        chains = [
            process.rollout(RolloutWanted(case, draw, checkpoint, 0)).decisions[0].chain
            for draw in ((0, 1), (0, 2), (0, 1))
        ]
    finally:
        process.close()
    assert np.array_equal(chains[0], chains[2])
    assert not np.array_equal(chains[0], chains[1])


def test_pictures_are_kept_without_loss():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    seen = pixels.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
    assert small(seen).dtype == np.uint8
    assert np.array_equal(shown(small(seen)), seen)
    between = seen + np.float32(1e-3)
    assert np.array_equal(shown(small(between)), between)


# -- the run --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenes", "seeds"), [(0, [70, 71, 72, 73, 74, 75]), (4, [70, 71, 72, 73, 70, 71])]
)
def test_scenes_are_new_ones_or_come_again(checkpoint, tmp_path, scenes, seeds):
    settings = replace(SHORT, updates=3, groups=2, first_seed=70, scenes=scenes)
    training = begin(tmp_path / "run", checkpoint, settings)
    try:
        found = []
        for training.update in range(3):
            found += [group[0].case.seed for group in training.wanted()]
    finally:
        training.close()
    assert found == seeds


def test_what_paid_becomes_likelier_and_what_did_not_less(checkpoint, tmp_path):
    settings = replace(SHORT, learning_rate=3e-4, clip=10.0, batch=64)
    training = begin(tmp_path / "run", checkpoint, settings)
    try:
        training._write_weights(training.folder / "current")
        good, bad = training._rollouts.make(training.wanted()[0])
        decisions = [*good.decisions, *bad.decisions]
        gains = [1.0 / len(good.decisions)] * len(good.decisions)
        gains += [-1.0 / len(bad.decisions)] * len(bad.decisions)
        before, _ = training.probabilities(decisions)
        told = training.learn(decisions, gains)
        assert told["ratio"] == pytest.approx(1.0, abs=0.02)  # nothing has changed yet
        after, _ = training.probabilities(decisions)
        change = (after - before).sum(dim=1).detach().numpy()
        split = len(good.decisions)
        assert change[:split].mean() > 0.0 > change[split:].mean()
    finally:
        training.close()


def test_several_epochs_go_further_and_the_clip_holds_them(checkpoint, tmp_path):
    def change(name, **changed):
        settings = replace(SHORT, learning_rate=1e-4, batch=64, **changed)
        training = begin(tmp_path / name, checkpoint, settings)
        try:
            good, bad = training.rollouts()
            decisions = [*good.decisions, *bad.decisions]
            gains = [1.0] * len(good.decisions) + [-1.0] * len(bad.decisions)
            seen = training._prefix(decisions)
            before, _ = training.probabilities(decisions, seen)
            told = training.learn(decisions, gains)
            after, _ = training.probabilities(decisions)
            # What was seen is not learned anew: it need not be computed anew.
            assert torch.equal(after, training.probabilities(decisions, seen)[0])
        finally:
            training.close()
        apart = (after - before).sum(dim=1).detach().numpy()
        split = len(good.decisions)
        return told, float(apart[:split].mean() - apart[split:].mean())

    _, once = change("once", clip=10.0)
    _, often = change("often", clip=10.0, epochs=6)
    assert often > 2.0 * once > 0.0
    told, held = change("held", clip=1e-3, epochs=6)
    assert told["clipped"] > 0.3
    assert held < often


def test_only_the_expert_is_changed_and_the_divergence_from_the_start_is_told(
    checkpoint, tmp_path
):
    settings = replace(SHORT, reference_weight=0.1, learning_rate=1e-3)
    training = begin(tmp_path / "run", checkpoint, settings)
    before = {name: each.detach().clone() for name, each in training.model.named_parameters()}
    try:
        training._write_weights(training.folder / "current")
        (first, second) = training._rollouts.make(training.wanted()[0])
        decisions = [*first.decisions, *second.decisions]
        assert training.learn(decisions, [0.3] * len(decisions))["divergence"] >= 0.0
        changed = {
            name
            for name, each in training.model.named_parameters()
            if not torch.equal(each, before[name])
        }
        assert changed
        assert all(name.startswith(("expert.", "action_")) for name in changed)
        assert training.learn(decisions, [0.0] * len(decisions))["divergence"] > 0.0
    finally:
        training.close()


def test_what_counts_as_much_jerk_is_what_the_policy_had(checkpoint, tmp_path):
    """With a fixed unit a success was worth -5, or -495: less than a failure."""
    training = begin(tmp_path / "run", checkpoint, replace(SHORT, reward="smoothvla"))
    try:
        (made, *_) = training.rollouts()
    finally:
        training.close()

    def rollout(success, jerk, ldlj):
        measures = replace(made.result.measures, twist_jerk_mean=jerk, ldlj=ldlj)
        return replace(made, result=replace(made.result, success=success, measures=measures))

    training._measure([rollout(False, 5.0, -3.0)])
    assert training._reward(rollout(True, 5.0, -3.0)) == 0.0  # there was nothing to compare with
    training._measure([rollout(False, 5.0, -3.0), rollout(True, 400.0, -20.0)])
    training._measure([rollout(True, 7.0, -2.0)])  # not what it began as
    assert training._reward(rollout(True, 400.0, -20.0)) == pytest.approx(0.8)
    assert training._reward(rollout(True, 200.0, -20.0)) == pytest.approx(0.9)
    assert training._reward(rollout(False, 200.0, -20.0)) == 0.0
    assert (training.rewarded.ldlj_best, training.rewarded.ldlj_worst) == (-16.0, -24.0)
    training.save()
    again = begin(tmp_path / "run", checkpoint, replace(SHORT, reward="smoothvla"))
    again.close()
    assert again.rewarded == training.rewarded
    given = replace(SHORT, jerk_unit=3.0, ldlj_best=-1.0, ldlj_worst=-2.0)
    assert given.scaled(400.0, -20.0) == given


def test_learned_noise_fits_a_model_whose_action_is_padded():
    """Of a published SmolVLA: 32 columns, of which an arm has six."""
    noise = LearnedNoise(32, 6, 0.1, 0.05, 0.2)
    x = torch.randn(4, 50, 32)
    step = noise.step(x, torch.zeros_like(x), torch.zeros(4, 32), 1.0, 0.25)
    assert step.mean.shape == step.std.shape == x.shape
    assert step.log_probability(x, 6).shape == (4,)
    torch.testing.assert_close(step.std[..., :6], torch.full((4, 50, 6), 0.1))


def test_the_divergence_is_from_the_noise_that_it_began_with_too(checkpoint, tmp_path):
    settings = replace(SHORT, reference_weight=0.1, sampler="learned_noise", noise=0.1)
    training = begin(tmp_path / "run", checkpoint, settings)
    try:
        decisions = training.rollouts()[0].decisions[:2]
        assert training.probabilities(decisions)[1].abs().max() < 1e-5
        with torch.no_grad():
            training.sampler.net[-1].bias.add_(2.0)
        assert training.probabilities(decisions)[1].min() > 0.1
    finally:
        training.close()


def test_of_equals_none_is_better():
    for value in (0.8, 0.1, 1.0 / 3.0, 0.0):
        assert not advantages([[value] * 6], 0.1).any()
    assert advantages([[0.8] * 5 + [0.9]], 0.1)[0, -1] > 0.0


@pytest.mark.parametrize("gain", [1.0, -1.0])
def test_a_ratio_beyond_all_bounds_leaves_the_weights_finite(checkpoint, tmp_path, gain):
    training = begin(tmp_path / "run", checkpoint, SHORT)
    try:
        decisions = [
            replace(each, log_probability=each.log_probability - 500.0)
            for each in training.rollouts()[0].decisions
        ]
        told = training.learn(decisions, [gain] * len(decisions))
    finally:
        training.close()
    assert all(np.isfinite(value) for value in told.values())
    assert all(torch.isfinite(each).all() for each in training.model.parameters())


@pytest.mark.parametrize("sampler", ["flow_sde", "learned_noise"])
def test_nothing_of_what_is_learned_on_another_device_is_left_on_the_cpu(
    checkpoint, tmp_path, sampler, monkeypatch
):
    """Torch's meta device is on every machine, and does not mix with the CPU."""
    settings = replace(SHORT, reference_weight=0.1, sampler=sampler, noise=0.1)
    training = begin(tmp_path / "run", checkpoint, settings)
    try:
        decisions = training.rollouts()[0].decisions[:3]
    finally:
        training.close()
    for model in (training.model, training._reference):
        width = model.embed_time(torch.ones(1)).shape[-1]
        monkeypatch.setattr(model, "embed_time", lambda t, w=width: t.new_zeros(len(t), w))
        model.to("meta").vision.embeddings.place("meta")
    training.sampler.to("meta")
    training._reference_sampler.to("meta")
    training._device = torch.device("meta")
    chances, apart = training.probabilities(decisions)
    assert (chances.device.type, apart.device.type) == ("meta", "meta")
    assert chances.shape == (3, settings.drawn_steps)


def test_a_run_that_is_interrupted_goes_on_to_the_same_numbers(checkpoint, tmp_path):
    settings = replace(SHORT, reference_weight=0.1)

    def finish(folder, *stops):
        for until in stops:
            training = begin(folder, checkpoint, settings)
            try:
                training.run(until=until)
            finally:
                training.close()
        return torch.load(folder / STATE_FILE, weights_only=True)["model"]

    whole, parts = finish(tmp_path / "whole", None), finish(tmp_path / "parts", 1, None)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    lines = [
        [line[:-2] for line in csv.reader((tmp_path / name / "metrics.csv").open())]
        for name in ("whole", "parts")
    ]
    assert lines[0] == lines[1]
    with pytest.raises(TrainingError, match="reward: the run was begun with smooth_invariant"):
        begin(tmp_path / "whole", checkpoint, replace(settings, reward="binary"))


def test_the_command_writes_a_checkpoint_that_is_a_policy(checkpoint, tmp_path, capsys):
    settings = tmp_path / "rl.yaml"
    settings.write_text(
        "updates: 1\ngroups: 1\ngroup_size: 2\nlimit_s: 1.0\nflow_steps: 2\ndrawn_steps: 1\n"
        "threads: 1\n"
    )
    words = ["rl", str(tmp_path / "run"), str(checkpoint), "--settings", str(settings)]
    config = ["--processes", "1", "--config", str(TOP / "config")]
    assert main([*words, *config]) == 0
    assert "update 1 of 1" in capsys.readouterr().out
    card = (tmp_path / "run" / "checkpoint" / "README.md").read_text(encoding="utf-8")
    assert "smooth_invariant" in card
    process = RolloutProcess(scenes(limit_s=0.5), SHORT)
    case = TrialCase("smooth", (0.05, 0.10), "none", 5, "blue")
    try:
        wanted = RolloutWanted(case, (0,), tmp_path / "run" / "checkpoint", 0)
        assert process.rollout(wanted).decisions
    finally:
        process.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("update: 3", "update: is unknown"),
        ("group_size: 1", "group_size: is 1; write 2 to"),
        ("reward: fast", "reward: is 'fast'; write binary or smoothvla or smooth_invariant"),
        ("noise: .nan", "noise"),
        ("flow_steps: 2", "drawn_steps: is 3; write at most flow_steps, 2"),
        ("ldlj_best: -5\nldlj_worst: -3", "ldlj_worst: is -3; write less than ldlj_best"),
        ("sampler: learned_noise\nnoise: 0.9", "noise: is 0.9; with learned_noise write 0.05 to"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(tmp_path, text, says):
    path = tmp_path / "rl.yaml"
    path.write_text(text + "\n")
    with pytest.raises(TrainingError) as caught:
        read_reinforcement(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
