# SPDX-License-Identifier: Apache-2.0
"""Files that `so101` does not destroy or cannot write, and its end by Ctrl-C."""

from so100_driver.cli.__main__ import main


class Interrupting:
    """A person who presses Ctrl-C while the joints are looked at."""

    def say(self, text):
        pass

    def wait(self, text):
        pass

    def waiting(self):
        raise KeyboardInterrupt


def test_a_simulated_arm_does_not_replace_the_calibration_of_a_real_one(tmp_path, capsys):
    file = tmp_path / "my_arm.json"
    file.write_text("precious")
    assert main(["simulate", "--calibration", str(file)]) == 2
    assert file.read_text() == "precious"
    assert "choose another name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]


def test_a_calibration_that_cannot_be_written_is_said_in_one_line(tmp_path, capsys):
    file = tmp_path / "no_such_folder" / "arm.json"
    assert main(["simulate", "--calibration", str(file)]) == 2
    assert capsys.readouterr().err.splitlines() == [f"{file}: No such file or directory"]


def test_ctrl_c_while_the_joints_are_moved_ends_a_calibration_in_one_line(port, tmp_path, capsys):
    file = tmp_path / "arm.json"
    assert main(["calibrate", str(port.path), str(file)], Interrupting()) == 1
    assert capsys.readouterr().err == "ended by Ctrl-C: nothing more is done\n"
    assert not file.exists()
