# SPDX-License-Identifier: Apache-2.0
import ast
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

import vla_policies
from vla_policies import Policy, PolicyError, available, load_policy, registry


class Still:
    """A policy of another package."""

    spec = None

    def reset(self):
        pass

    def infer(self, observation):
        return observation

    def close(self):
        pass


@pytest.fixture
def register(monkeypatch):
    """Register a module `elsewhere` with the given attributes, under the given entry points."""

    def use(points, **attributes):
        module = ModuleType("elsewhere")
        module.__dict__.update(attributes)
        monkeypatch.setitem(sys.modules, "elsewhere", module)
        entries = [EntryPoint(name, value, registry.GROUP) for name, value in points]
        monkeypatch.setattr(registry, "entry_points", lambda group: entries)

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


def test_two_packages_with_one_name_are_refused(register):
    register([("replay", "elsewhere:make")])
    with pytest.raises(PolicyError, match="two policies are called replay"):
        load_policy("replay", {})


def test_the_protocol_registry_and_built_in_policies_import_neither_ros_nor_torch():
    root = Path(vla_policies.__file__).parent
    own = [*root.glob("*.py"), *(root / "color_pick").glob("*.py")]
    own += (root / "wire").glob("*.py")
    for path in own:
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
            assert not roots & {"rclpy", "torch", "mujoco", "smooth_motion", "vla_sim"}, path
