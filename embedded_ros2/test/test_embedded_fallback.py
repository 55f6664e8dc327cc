# SPDX-License-Identifier: Apache-2.0
"""The fallback never hides a real package, and costs an interpreter without ROS nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import embedded_ros2

ROOT = Path(embedded_ros2.__file__).resolve().parent.parent


def run(code, *, path=(), cwd=None, **environment):
    """Run code in an interpreter that starts like an installed one; return its output."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    start += (ROOT / "embedded_ros2.pth").read_text().strip()
    result = subprocess.run(
        [sys.executable, "-c", f"{start}\n{code}"],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def make(folder, files):
    """Make packages in a folder: {dotted name: content of its __init__.py}."""
    for name, content in files.items():
        target = folder.joinpath(*name.split("."), "__init__.py")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)


def test_names_resolve_to_the_stand_ins_where_nothing_else_is():
    output = run("import rclpy, std_msgs.msg as m; print(rclpy.__file__, m.String(data='x'))")
    assert "stand_in" in output
    assert output.endswith("std_msgs.msg.String(data='x')")


def test_a_real_rclpy_wins(tmp_path):
    make(tmp_path, {"rclpy": "WHO = 'real'"})
    assert run("import rclpy; print(rclpy.WHO)", path=[tmp_path]) == "real"


@pytest.mark.parametrize("missing", ["launch_ros", "std_msgs", "std_msgs.msg"])
def test_beside_a_real_rclpy_nothing_is_made_up(tmp_path, missing):
    make(tmp_path, {"rclpy": ""})
    code = f"import rclpy\ntry:\n    import {missing}\nexcept ImportError:\n    print('none')"
    assert run(code, path=[tmp_path]) == "none"


def test_a_real_interface_package_wins(tmp_path):
    make(tmp_path, {"std_msgs": "", "std_msgs.msg": "String = 'real'"})
    assert run("from std_msgs.msg import String; print(String)", path=[tmp_path]) == "real"


@pytest.mark.parametrize("name", ["launch", "rclpy", "std_msgs"])
def test_a_mere_folder_of_the_name_hides_nothing(tmp_path, name):
    (tmp_path / name).mkdir()
    module = name if name != "std_msgs" else "std_msgs.msg"
    assert run(f"import {module} as m; print(m.__spec__.origin)", path=[tmp_path]) != "None"


def test_a_folder_called_msg_beside_the_program_hides_no_messages(tmp_path):
    (tmp_path / "std_msgs" / "msg").mkdir(parents=True)
    output = run("from std_msgs.msg import String; print(String.__name__)", path=[tmp_path])
    assert output == "String"


def test_it_can_be_switched_off():
    code = "try:\n    import rclpy\nexcept ImportError:\n    print('none')"
    assert run(code, EMBEDDED_ROS2="off") == "none"


def test_an_unknown_package_stays_unknown():
    code = "try:\n    import nowhere_msgs\nexcept ModuleNotFoundError as e:\n    print(e.name)"
    assert run(code) == "nowhere_msgs"


def test_the_start_of_an_interpreter_loads_nothing_but_the_finders():
    output = run(
        "print(*sorted(name for name in sys.modules if name.startswith('embedded_ros2')))"
    )
    assert output == "embedded_ros2 embedded_ros2.fallback"


def test_optional_modules_that_python_looks_for_do_not_wake_it():
    code = "try:\n    import no_such_module\nexcept ImportError:\n    pass\n"
    output = run(code + "print('embedded_ros2.stand_ins' in sys.modules)")
    assert output == "False"


def test_installing_twice_registers_once():
    output = run(
        "import embedded_ros2.fallback as f; f.install(); "
        "print(sum(type(x).__module__ == 'embedded_ros2.fallback' for x in sys.meta_path))"
    )
    assert output == "2"
