# SPDX-License-Identifier: Apache-2.0
"""Files that `so101` does not destroy or cannot write, and its end by Ctrl-C."""

import os
import pty
import select
import sys

from so100_driver.cli.__main__ import _free, main
from so100_driver.cli.guide import TerminalGuide


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


def test_each_calibration_that_is_replaced_is_kept_under_a_name_of_its_own(tmp_path):
    file = tmp_path / "arm.json"
    for text in ("first", "second", "third"):
        file.write_text(text)
        file.replace(_free(file))
    kept = [tmp_path / f"arm.json.{name}" for name in ("before", "before2", "before3")]
    assert [path.read_text() for path in kept] == ["first", "second", "third"]


def test_an_enter_that_was_typed_before_the_question_does_not_answer_it(monkeypatch):
    person, terminal = pty.openpty()
    shown, write = [], os.write
    write(person, b"\n\n")
    select.select([terminal], [], [], 10.0)

    class Screen:
        def write(self, text):
            if "Enter when it is done" in text:
                write(person, b"\n")
            shown.append(text)

        def flush(self):
            pass

    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", Screen())
        TerminalGuide().wait("Turn it.")
        # The one line that came after the question was the answer: none is left.
        left = select.select([terminal], [], [], 0.0)[0]
    os.close(person)
    assert "Turn it." in "".join(shown)
    assert not left
