# SPDX-License-Identifier: Apache-2.0
"""The study counts the episodes that succeeded, and pairs its differences by seed."""

import csv
import math

import pytest
import smoothvla


def tried(folder, name, lines):
    path = folder / "trials" / name / "results.csv"
    path.parent.mkdir(parents=True)
    names = ["seed", "success", *(each for each, _ in smoothvla.MEASURES[1:])]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for seed, success, value in lines:
            writer.writerow([seed, success, *[value] * (len(names) - 2)])


@pytest.fixture
def found(tmp_path):
    for seed in range(3):
        one, other = 5000 + 2 * seed, 5001 + 2 * seed
        tried(tmp_path, f"binary_{seed}_smooth", [(s, 1, 10.0 + seed) for s in (one, other)])
        tried(tmp_path, f"smoothvla_{seed}_smooth", [(one, 1, 5.0 + 0.5 * seed), (other, 0, 99.0)])
    tried(tmp_path, "imitation_smooth", [(5000 + k, 1, 10.0 + k // 2) for k in range(6)])
    return smoothvla.collect(tmp_path, scenes=2, seeds=3)


def test_means_are_of_the_episodes_that_succeeded(found):
    one = next(each for each in found if each.arm == "smoothvla" and each.seed == 0)
    assert one.means["success"] == 0.5
    assert one.means["tip_jerk_mean"] == 5.0


def test_differences_are_paired_by_seed(found):
    said = smoothvla.against(found, "smoothvla", "binary", "smooth", "tip_jerk_mean")
    assert said == "-50.0 ± 0.0"
    # Imitation has no seeds of its own: its scenes are divided among them.
    said = smoothvla.against(found, "binary", "imitation", "smooth", "tip_jerk_mean")
    assert said == "+0.0 ± 0.0"


def test_what_only_one_policy_solves_is_in_no_difference(tmp_path):
    """A policy that solves a long scene too was taken for a slower one."""
    for seed in range(2):
        short, long = 5000 + 2 * seed, 5001 + 2 * seed
        tried(tmp_path, f"binary_{seed}_smooth", [(short, 1, 1.0), (long, 0, 20.0)])
        tried(tmp_path, f"smoothvla_{seed}_smooth", [(short, 1, 1.0), (long, 1, 9.0)])
    found = smoothvla.collect(tmp_path, scenes=2, seeds=2)
    assert found[-1].means["duration_s"] == 5.0
    said = smoothvla.against(found, "smoothvla", "binary", "smooth", "duration_s")
    assert said == "+0.0 ± 0.0"


def test_one_seed_has_no_interval_and_nothing_has_no_mean():
    assert smoothvla.interval([2.0])[0] == 2.0
    assert math.isnan(smoothvla.interval([2.0])[1])
    assert math.isnan(smoothvla.interval([math.nan])[0])


def test_a_policy_that_is_only_slower_is_no_better_than_the_control(tmp_path):
    # Jerk goes with the third power of the duration, whoever makes it slower.
    for slower, name in ((1.0, "imitation"), (1.15, "imitation_1.15_times_slower")):
        rows = [(5000 + k, 1, (4.0 + k) * slower) for k in range(3)]
        write_durations(tmp_path, name, rows)
    for seed in range(3):
        write_durations(tmp_path, f"smoothvla_{seed}", [(5000 + seed, 1, (4.0 + seed) * 1.1)])
        jerky = [(5000 + seed, 1, 4.0 + seed)]
        write_durations(tmp_path, f"binary_{seed}", jerky, share=1.2)
    found = smoothvla.collect(tmp_path, scenes=1, seeds=3)
    name = "tip_jerk_mean"
    assert smoothvla.against(found, "smoothvla", "imitation", "smooth", name).startswith("-24.9")
    said = smoothvla.against_slowness(found, "smoothvla", "smooth", name)
    assert abs(float(said.split()[0])) < 0.15
    said = smoothvla.against_slowness(found, "binary", "smooth", name)
    assert float(said.split()[0]) == pytest.approx(20.0, abs=0.2)


def write_durations(folder, name, lines, share=1.0):
    """Write trials of which each has the jerk of its scene, by the pace."""
    path = folder / "trials" / f"{name}_smooth" / "results.csv"
    path.parent.mkdir(parents=True)
    names = ["seed", "success", *(each for each, _ in smoothvla.MEASURES[1:])]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for seed, success, duration_s in lines:
            scene = seed - 5000
            jerk = share * 100.0 * ((4.0 + scene) / duration_s) ** 3
            values = dict.fromkeys(names, 1.0)
            values.update(seed=seed, success=success, duration_s=duration_s, tip_jerk_mean=jerk)
            writer.writerow(values)
