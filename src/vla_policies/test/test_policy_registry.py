# SPDX-License-Identifier: Apache-2.0
"""Policies are found by name, and whatever another package offers harms no other policy."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import vla_policies
from vla_policies import (
    FeatureKind,
    FeatureSpec,
    Policy,
    PolicyError,
    PolicySpec,
    TrainingSpan,
    available,
    load_policy,
    registry,
)

STATE = FeatureSpec("observation.state", FeatureKind.STATE, (2,), "rad", ("a", "b"))
IMAGE = FeatureSpec("observation.images.front", FeatureKind.IMAGE, (None, None, 3))
SPEC = PolicySpec("still 1", (STATE, IMAGE), ("a", "b"), "rad", 0.1, 10)


class Still:
    """A policy of another package."""

    spec = SPEC

    def reset(self):
        pass

    def infer(self, observation):
        return observation

    def close(self):
        pass


class SimpleStill(Still):
    def __init__(self, spec):
        self.spec = spec


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of nothing but an entry_points.txt."""

    def use(name, text):
        info = tmp_path / name / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(text)
        monkeypatch.syspath_prepend(info.parent)

    return use


@pytest.fixture
def register(install, monkeypatch):
    """Register a module `elsewhere` with the given attributes, under the given entry points."""

    def use(points, **attributes):
        module = ModuleType("elsewhere")
        module.__dict__.update(attributes)
        monkeypatch.setitem(sys.modules, "elsewhere", module)
        lines = [f"{name} = {value}\n" for name, value in points]
        install("elsewhere", "".join([f"[{registry.GROUP}]\n", *lines]))

    return use


def test_the_built_in_policies_are_known_from_the_source_tree():
    assert {"color_pick", "replay", "adversary"} <= set(available())


def test_setup_registers_exactly_the_built_in_policies():
    setup = (Path(__file__).parents[1] / "setup.py").read_text(encoding="utf-8")
    package = "vla_policies"
    for name, value in registry.BUILT_IN.items():
        assert f"{name} = {value}" in setup.replace("{PACKAGE}", package)


def test_an_unknown_policy_is_an_error_that_names_those_that_exist():
    with pytest.raises(PolicyError, match=r"no policy 'dance'; there are .*color_pick.*replay"):
        load_policy("dance", {})


def test_a_policy_of_another_package_is_loaded_by_its_entry_point(register):
    register([("still", "elsewhere:make")], make=lambda options: Still())
    assert isinstance(load_policy("still", {}), Still)
    assert isinstance(Still(), Policy)


def test_the_options_reach_the_factory(register):
    seen = []
    register([("still", "elsewhere:make")], make=lambda options: seen.append(options) or Still())
    load_policy("still", {"speed": 2})
    assert seen == [{"speed": 2}]


def test_a_policy_whose_module_is_missing_is_an_error_that_says_so(register):
    register([("gone", "not_installed_anywhere:make")])
    with pytest.raises(PolicyError, match=r"gone: not_installed_anywhere:make cannot be imported"):
        load_policy("gone", {})


def test_a_factory_that_returns_something_else_is_refused(register):
    register([("wrong", "elsewhere:make")], make=lambda options: 7)
    with pytest.raises(PolicyError, match="returned a int"):
        load_policy("wrong", {})


def raising(error):
    def make(options):
        raise error

    return make


@pytest.mark.parametrize(
    "error",
    [
        ValueError("speed is 3\nor 4"),
        KeyError("gain"),
        ZeroDivisionError(),
        SystemExit(4),
        RecursionError("deep"),
        MemoryError(),
        TypeError("make() takes 0 positional arguments but 1 was given"),
    ],
)
def test_a_factory_that_raises_is_an_error_of_one_line_with_the_place(register, error):
    register([("wrong", "elsewhere:make")], make=raising(error))
    with pytest.raises(PolicyError, match=r"policy wrong: elsewhere:make failed with ") as seen:
        load_policy("wrong", {})
    assert type(error).__name__ in str(seen.value)
    assert "test_policy_registry.py:" in str(seen.value)
    assert "\n" not in str(seen.value)


def test_an_error_that_the_factory_words_itself_stays_as_it_is(register):
    register([("wrong", "elsewhere:make")], make=raising(PolicyError("rows: is 0; write 1")))
    with pytest.raises(PolicyError, match=r"^rows: is 0; write 1$"):
        load_policy("wrong", {})


@pytest.mark.parametrize("text", ["1 / 0", "def broken(:", "raise SystemExit", "import nowhere_a"])
def test_a_module_that_cannot_be_run_is_an_error_of_one_line(
    register, monkeypatch, tmp_path, text
):
    (tmp_path / "broken_policy.py").write_text(f"{text}\n")
    monkeypatch.syspath_prepend(tmp_path)
    register([("broken", "broken_policy:make")])
    with pytest.raises(PolicyError, match=r"policy broken: .*broken_policy:make") as seen:
        load_policy("broken", {})
    assert "\n" not in str(seen.value)


def test_what_is_no_factory_is_refused(register):
    register([("wrong", "elsewhere:make")], make={"spec": SPEC})
    with pytest.raises(PolicyError, match="elsewhere:make is a dict; register a function"):
        load_policy("wrong", {})


def test_a_policy_whose_spec_raises_is_an_error_of_one_line(register):
    class Moody(Still):
        @property
        def spec(self):
            raise RuntimeError("not today")

    register([("moody", "elsewhere:make")], make=lambda options: Moody())
    with pytest.raises(PolicyError, match="failed with RuntimeError: not today"):
        load_policy("moody", {})


SPAN = TrainingSpan((0.0,), (1.0,), (0.0,), (1.0,), (1.0,), (0.0,), "action.units")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dt_s": "0.1"}, r"dt_s is '0.1'; give the time between two rows in s"),
        ({"dt_s": 0}, "dt_s is 0;"),
        ({"dt_s": -0.1}, "dt_s is -0.1;"),
        ({"dt_s": float("nan")}, "dt_s is nan;"),
        ({"dt_s": float("inf")}, "dt_s is inf;"),
        ({"dt_s": True}, "dt_s is True;"),
        ({"dt_s": None}, "dt_s is None;"),
        ({"policy_id": None}, "policy_id is None; give a text"),
        ({"policy_id": ""}, "policy_id is ''; give a text"),
        ({"policy_id": 7}, "policy_id is 7; give a text"),
        ({"chunk_size": 0}, "chunk_size is 0; give the rows of an action"),
        ({"chunk_size": 10.0}, "chunk_size is 10.0;"),
        ({"chunk_size": 10**9}, "chunk_size is 1000000000;"),
        ({"chunk_size": None}, "chunk_size is None;"),
        ({"joint_names": ("a", "a")}, "joint_names has 'a' more than once; name each joint once"),
        ({"joint_names": ()}, "joint_names are empty"),
        ({"joint_names": ["a", "b"]}, r"joint_names is \['a', 'b'\]; give a tuple"),
        ({"joint_names": ("a", None)}, "joint_names is .*; give a tuple of names"),
        ({"joint_names": None}, "joint_names is None;"),
        ({"units": "degrees"}, "units is 'degrees'; write 'deg'"),
        ({"units": "radians"}, "units is 'radians'; write 'rad'"),
        ({"units": None}, "units is None; write 'rad' or 'deg'"),
        ({"units": ["rad"]}, r"units is \['rad'\];"),
        ({"observation": None}, "observation is None; give a tuple of FeatureSpec"),
        ({"observation": ({"name": "x"},)}, "observation has .* in it; give a tuple of Feature"),
        ({"observation": (STATE, STATE)}, "observation has 'observation.state' more than once"),
        ({"observation": (replace(STATE, units="degrees"),)}, "units is 'degrees'; write 'deg'"),
        ({"observation": (replace(STATE, shape=2),)}, r"shape is 2; give \(N,\)"),
        ({"observation": (replace(STATE, shape=(0,)),)}, r"shape is \(0,\); give"),
        ({"observation": (replace(IMAGE, shape=(3,)),)}, r"give \(H, W, 3\)"),
        (
            {"observation": (replace(STATE, kind="state"),)},
            "kind is 'state'; write FeatureKind.IMAGE",
        ),
        ({"observation": (replace(STATE, name=None),)}, "name is None; give a text"),
        ({"observation": (replace(STATE, names=("a",)),)}, "1 names for 2 elements"),
        ({"observation": (replace(STATE, span=SPAN),)}, "give a finite number for each element"),
        ({"span": 3}, "span is 3; give a TrainingSpan"),
        ({"notes": "a note"}, "notes are 'a note'; give a tuple of texts"),
    ],
)
def test_a_spec_that_cannot_be_is_named_with_what_to_write(register, changes, said):
    closed = []

    class Wrong(Still):
        spec = replace(SPEC, **changes)

        def close(self):
            closed.append(True)

    register([("wrong", "elsewhere:make")], make=lambda options: Wrong())
    with pytest.raises(PolicyError, match=rf"policy wrong: its spec's .*{said}") as seen:
        load_policy("wrong", {})
    assert "\n" not in str(seen.value)
    assert closed == [True]


@pytest.mark.parametrize("spec", [None, {"policy_id": "x"}, "a spec", PolicySpec])
def test_what_is_no_spec_is_named(register, spec):
    register([("wrong", "elsewhere:make")], make=lambda options: SimpleStill(spec))
    with pytest.raises(PolicyError, match=r"policy wrong: its spec is .*PolicySpec$"):
        load_policy("wrong", {})


def test_numbers_of_numpy_are_numbers(register):
    spec = replace(SPEC, dt_s=np.float32(0.1), chunk_size=np.int64(10))
    register([("still", "elsewhere:make")], make=lambda options: SimpleStill(spec))
    assert load_policy("still", {}).spec is spec


def test_a_name_that_two_packages_take_is_refused_and_the_others_are_loaded(register, install):
    register([("still", "elsewhere:make"), ("replay", "elsewhere:make")], make=lambda _: Still())
    install("rival", "[vla_policies]\nmine = rival:make\n")
    install("twin", "[vla_policies]\nmine = twin:make\n")
    for name, values in (("replay", "elsewhere:make"), ("mine", "(rival|twin):make")):
        with pytest.raises(PolicyError, match=rf"two policies are called {name}: .* {values};"):
            load_policy(name, {})
    assert isinstance(load_policy("still", {}), Still)


@pytest.mark.parametrize("text", ["[vla_policies]\nno equals sign\n", "[console_scripts]\nx\n"])
def test_a_package_with_damaged_metadata_is_named_and_the_others_are_loaded(
    register, install, text
):
    register([("still", "elsewhere:make")], make=lambda options: Still())
    install("torn", text)
    assert isinstance(load_policy("still", {}), Still)
    with pytest.raises(
        PolicyError, match=r"there are .*still, .*; .* of torn is damaged, install"
    ):
        load_policy("lost", {})


@pytest.mark.parametrize("value", ["not a value!", "elsewhere", "elsewhere:"])
def test_an_entry_point_that_names_no_factory_says_what_to_write(register, value):
    register([("wrong", value)])
    with pytest.raises(PolicyError, match=r"policy wrong: .*(written module:factory|a function)"):
        load_policy("wrong", {})


def test_the_how_tos_policy_is_found_and_answers_once_its_package_is_installed(tmp_path):
    pytest.importorskip("pip", reason="pip is not installed")
    how_to = Path(__file__).parents[3] / "docs/how-to/your_policy.md"
    text = how_to.read_text(encoding="utf-8")
    source, place = tmp_path / "source", tmp_path / "place"
    for name, code in re.findall(r"```python\n# (\S+\.py)\n(.*?)```", text, re.DOTALL):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(code)
    (source / "my_package/__init__.py").touch()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(place)]
    subprocess.run([*pip, *offline, str(source)], check=True, timeout=300)
    code = (
        "import numpy as np; from vla_policies import STATE, Observation, load_policy\n"
        "policy = load_policy('hold', {'rows': 30})\n"
        "action = policy.infer(Observation(0, {}, {STATE: np.arange(6.0)}, 'stay'))\n"
        "print(policy.spec.policy_id, action.positions[29].tolist())"
    )
    path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, check=True,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout == "hold 1.0 [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]\n"


def test_no_module_imports_ros_a_model_library_or_a_policy_of_another_package():
    foreign = {"rclpy", "torch", "safetensors", "tokenizers", "openvino", "mujoco"}
    foreign |= {"smolvla", "smooth_motion", "vla_sim"}
    for path in Path(vla_policies.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # LeRobot's adapter imports torch, but not before it is used.
        late = path.name == "lerobot_adapter.py"
        for node in tree.body if late else ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            roots = {name.split(".")[0] for name in names}
            assert not roots & foreign, path
