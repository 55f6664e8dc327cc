# SPDX-License-Identifier: Apache-2.0
"""The demo command's own input checks."""

from types import SimpleNamespace

import pytest

from vla_bringup.demo import (
    contract_for,
    contract_in,
    ends_all,
    folder_of,
    has_simulated_servos,
    monitor_for,
    parse,
)


def test_an_unknown_policy_is_refused_with_the_list_of_known_ones(tmp_path):
    folder = tmp_path / "config" / "policies"
    folder.mkdir(parents=True)
    (folder / "so101_color_pick.yaml").touch()
    with pytest.raises(
        ValueError, match=r"--policy dance: there are \['color_pick'\]; no so101_dance.yaml in "
    ):
        contract_for("dance", "so101", tmp_path, tmp_path)


def test_a_known_policy_names_its_contract_file(tmp_path):
    folder = tmp_path / "config" / "policies"
    folder.mkdir(parents=True)
    (folder / "so101_color_pick.yaml").touch()
    found = contract_for("color_pick", "so101", tmp_path, tmp_path)
    assert found == folder / "so101_color_pick.yaml"
    assert contract_for("", "so101", tmp_path, tmp_path) == found


def test_a_robot_without_a_task_wanders_where_its_folder_has_a_contract_for_that(tmp_path):
    """As of a folder that `vla-robot from-urdf` wrote, moved to config/robots."""
    (tmp_path / "wander.yaml").touch()
    assert contract_for("", "seven", tmp_path, tmp_path) == tmp_path / "wander.yaml"
    (tmp_path / "wander.yaml").unlink()
    with pytest.raises(ValueError, match=r"no seven_color_pick.yaml .*, and no wander.yaml"):
        contract_for("", "seven", tmp_path, tmp_path)


def test_a_robot_without_simulated_servos_is_refused_with_those_that_have_some(monkeypatch):
    """`make demo ROBOT=fr3_bus` looked for a launch file of that name."""
    servos = [SimpleNamespace(name="so101")]
    monkeypatch.setattr("vla_bringup.demo.entry_points", lambda group: servos)
    has_simulated_servos("so101")
    with pytest.raises(ValueError, match="no simulated servos of fr3; there are of so101; leave"):
        has_simulated_servos("fr3")


def test_results_go_to_the_home_where_a_shell_left_the_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse(["--output", "~/demo"]).output == tmp_path / "demo"


def test_the_page_is_served_unless_it_is_not_wanted_and_ends_nothing(tmp_path):
    """All its ports may be taken: the demonstration goes on without it."""
    words = ["--output", str(tmp_path)]
    assert parse(words).page
    assert not parse([*words, "--no-page"]).page
    assert not ends_all("vla_operator-5", 2)
    assert not ends_all("black_box-3", 0)
    assert ends_all("smoothness_monitor-1", 2)
    assert ends_all("episode_runner-6", 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--episodes", "0"], "--episodes must be 1 or more"),
        (["--seed", "-1"], "--seed must be between 0 and"),
        (["--output", "/proc/demo"], "--output /proc/demo: cannot be written"),
    ],
)
def test_what_would_end_the_demonstration_is_refused_before_it_begins(words, told, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse(words)
    assert exit_.value.code == 2
    assert told in capsys.readouterr().err


def test_a_rate_without_thresholds_for_it_is_refused(tmp_path):
    (tmp_path / "monitor_1000hz.yaml").touch()
    assert monitor_for(1000, tmp_path) == tmp_path / "monitor_1000hz.yaml"
    with pytest.raises(ValueError, match=r"--rate 500: there is no .*monitor_500hz.yaml"):
        monitor_for(500, tmp_path)


def test_a_robot_is_found_by_its_name_or_by_the_path_of_its_folder(tmp_path):
    known = tmp_path / "config" / "robots" / "so101"
    own = tmp_path / "mine"
    for folder in (known, own):
        folder.mkdir(parents=True)
        (folder / "robot.yaml").touch()
    assert folder_of("so101", tmp_path) == known
    assert folder_of(str(own), tmp_path) == own
    with pytest.raises(
        ValueError, match=r"--robot nosuch: .*choose one of so101, or give a folder"
    ):
        folder_of("nosuch", tmp_path)
    with pytest.raises(ValueError, match=r"nowhere/robot.yaml; choose one of"):
        folder_of("./nowhere", tmp_path)
    with pytest.raises(ValueError, match=r"--policy dance: there is no .*mine/dance.yaml; add it"):
        contract_in(own, "dance")
