# SPDX-License-Identifier: Apache-2.0
"""A detector of another package: written as the how-to says, it is asked and it stops the arm."""

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smoothness_monitor.core.detectors import Detector
from smoothness_monitor.core.detectors.base import Cycle
from smoothness_monitor.core.monitor import Monitor
from smoothness_monitor.core.types import StopState
from smoothness_monitor.params import ConfigError
from smoothness_monitor.plugins import GROUP, load_detectors

MS = 1_000_000


class TooFarOut(Detector):
    """The first joint is further out than a fence allows."""

    name = "too_far_out"
    watches = "controller_state, joint_states, driver_states"
    trips_when = "the first joint is beyond the fence"
    unit = "rad"
    latency = "1 cycle"
    doc = "For the test."

    def __init__(self) -> None:
        super().__init__()
        self.fence_rad = np.inf
        self.asked = {"cycle": 0, "measurement": 0, "driver": 0, "tick": 0}

    def _judge(self, kind, position):
        self.asked[kind] += 1
        return self.report("it is out" if abs(position[0]) > self.fence_rad else "")

    def on_cycle(self, cycle):
        return self._judge("cycle", cycle.position)

    def on_measurement(self, measurement):
        return self._judge("measurement", measurement.position)

    def on_driver(self, measurement):
        return self._judge("driver", measurement.position)

    def on_tick(self, ages):
        self.asked["tick"] += 1
        return ""


@pytest.fixture
def added(bench):
    """Return a bench whose monitor has one detector more, and the detector."""
    detector = TooFarOut()
    bench.monitor = Monitor(bench.robot, bench.config, (detector,))
    for controller in (bench.robot.arm_controller, bench.robot.gripper.controller):
        bench.monitor.on_controller_parameters(controller, "")
    return bench, detector


def test_a_detector_of_another_package_is_asked_at_every_event(added):
    bench, detector = added
    bench.get_ready()
    before = dict(detector.asked)
    bench.run(2.0)
    asked = {kind: detector.asked[kind] - before[kind] for kind in before}
    assert {kind: round(count, -1) for kind, count in asked.items()} == {
        "cycle": 200,
        "measurement": 200,
        "driver": 0,
        "tick": 200,
    }
    assert bench.state is StopState.READY


def test_what_it_finds_stops_the_arm_and_blocks_the_reset(added):
    bench, detector = added
    bench.get_moving()
    bench.policy_on = False
    detector.fence_rad = 0.0
    assert bench.run_until(lambda: bench.first_cause == "too_far_out", 0.1)
    assert bench.run_until(lambda: bench.state is StopState.STOPPED_LATCHED, 3.0)
    assert bench.peak_jerk_ratio() <= 1.000001
    bench.run(0.3)
    assert "too_far_out: it is out" in bench.reset()[1]
    detector.fence_rad = np.inf
    bench.run(0.1)
    assert bench.reset()[0]
    names = [report.name for report in bench.monitor.reports()]
    assert names[-1] == "too_far_out"


@pytest.mark.parametrize("method", ["on_cycle", "on_measurement", "on_tick"])
def test_a_detector_needs_no_more_than_one_method(bench, method):
    asked = []

    class One(Detector):
        name = "one"
        watches = trips_when = latency = doc = "-"

    setattr(One, method, lambda self, event: asked.append(event) or "")
    bench.monitor = Monitor(bench.robot, bench.config, (One(),))
    bench.run(0.5)
    assert len(asked) > 40


def test_two_detectors_of_one_name_are_refused(bench):
    with pytest.raises(ValueError, match="two detectors are called too_far_out"):
        Monitor(bench.robot, bench.config, (TooFarOut(), TooFarOut()))


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package which offers a detector."""

    def install(source, value="fence:make"):
        (tmp_path / "fence.py").write_text(source, encoding="utf-8")
        info = tmp_path / "fence-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fence\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\nfence = {value}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "fence", raising=False)
        importlib.invalidate_caches()

    return install


SOURCE = """
from smoothness_monitor.core.detectors import Detector

class Fence(Detector):
    name = "fence"
    watches = "joint_states"
    trips_when = "never"
    latency = "none"
    doc = "For the test."
    def __init__(self, joints):
        super().__init__()
        self.joints = joints

def make(robot, config):
    return Fence(robot.limits.joint_names)
"""


def test_an_installed_package_offers_its_detector_by_an_entry_point(install, robot, config):
    assert load_detectors(robot, config) == ()
    install(SOURCE)
    (detector,) = load_detectors(robot, config)
    assert detector.name == "fence"
    assert detector.joints == robot.limits.joint_names
    assert "fence" in Monitor(robot, config, (detector,)).detectors.by_name


def test_the_how_tos_detector_stops_an_arm_that_is_too_far_out(install, bench):
    """What the page says to type is what is tried, its entry point too."""
    page = Path(__file__).parents[3] / "docs/how-to/add_a_detector.md"
    text = page.read_text(encoding="utf-8")
    source, setup = re.findall(r"```python\n# \S+\.py\n(.*?)```", text, re.S)
    assert f'entry_points={{"{GROUP}": ["too_far_out = my_package:make"]}}' in setup
    install(source)
    (detector,) = load_detectors(bench.robot, bench.config)
    reference = np.zeros(len(bench.robot.limits.joint_names))
    seen = Cycle(0, 0, reference, reference, reference, None, np.zeros((3, reference.size)))
    assert detector.on_cycle(seen) == ""
    for out in (-1.1, np.nan):
        far = reference.copy()
        far[0] = out
        assert detector.on_cycle(seen._replace(position=far)) == "it is out"
        assert detector.present == "it is out"


@pytest.mark.parametrize(
    ("source", "value", "words"),
    [
        ("1 / 0", "fence:make", "ZeroDivisionError"),
        (SOURCE, "fence:absent", "AttributeError"),
        (SOURCE, "nowhere:make", "ModuleNotFoundError"),
        ("def make(robot, config): return 3", "fence:make", "made a int"),
        (SOURCE.replace('    doc = "For the test."\n', ""), "fence:make", "has no doc"),
    ],
)
def test_a_detector_that_cannot_be_made_ends_the_start_and_is_named(
    install, robot, config, source, value, words
):
    """An arm that is watched by less than what is installed would be a surprise."""
    install(source, value)
    with pytest.raises(ConfigError, match=f"detector fence .*{words}"):
        load_detectors(robot, config)


# -- why an input is silent ----------------------------------------------------------------------


def waits(bench, source):
    bench.run(0.5)
    (line,) = [line for line in bench.monitor.waiting_for() if line.startswith(f"stale_{source}")]
    return line


@pytest.mark.parametrize(
    ("rename", "words"),
    [
        (lambda name: f"left/{name}", "every joint has the prefix 'left/'"),
        (lambda name: f"so101_{name}", "every joint has the prefix 'so101_'"),
        (lambda name: f"{name}_joint", "every joint has the suffix '_joint'"),
        (lambda name: f"axis{len(name)}é", "the robot file must name them alike"),
    ],
)
def test_joint_states_of_other_names_are_named_with_what_is_expected(bench, rename, words):
    bench.on_joints_message = lambda m: replace(
        m, joint_names=tuple(rename(name) for name in m.joint_names)
    )
    line = waits(bench, "joint_states")
    assert words in line
    assert "not shoulder_pan, shoulder_lift" in line
    assert ascii(rename("shoulder_pan"))[1:-1] in line


def test_a_controller_of_other_names_is_named_with_what_is_expected(bench):
    bench.on_controller_message = lambda m: replace(
        m, joint_names=tuple(f"left/{name}" for name in m.joint_names)
    )
    assert "every joint has the prefix 'left/'" in waits(bench, "controller_state")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: replace(m, position=m.position[:3]), "has 3 positions for 6 joints"),
        (lambda m: replace(m, joint_names=(), position=()), "names no joint"),
        (lambda m: replace(m, stamp_ns=-5), "its stamp is"),
        (lambda m: replace(m, joint_names=("x", *m.joint_names[1:])), "lacks shoulder_pan"),
    ],
)
def test_joint_states_that_cannot_be_used_say_why(bench, change, words):
    bench.on_joints_message = change
    assert words in waits(bench, "joint_states")


def test_what_the_graph_says_is_said_until_something_is_received(make_bench):
    bench = make_bench()
    text = "/driver publishes on /joint_states with an incompatible QoS"
    bench.monitor.on_graph({"joint_states": text})
    assert f"stale_joint_states: nothing received yet: {text}" in bench.monitor.waiting_for()
    bench.get_ready()
    bench.monitor.on_graph({"joint_states": text})
    assert bench.monitor.waiting_for() == ()
