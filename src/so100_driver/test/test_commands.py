# SPDX-License-Identifier: Apache-2.0
"""The guided commands over a real pseudo-terminal, led by a person who is simulated."""

import json
import subprocess

import pytest
from test_proof import Person

from so100_driver.cli.__main__ import main
from so100_driver.core.calibration import JOINTS, load
from so100_driver.core.proved import load_proof
from so100_driver.sim_bus.arm import so101_calibration
from so100_driver.sim_bus.hand import ArmHand


class PortPerson(Person):
    """Moves the joints of an arm behind a port."""

    def __init__(self, port):
        self.port = port
        super().__init__(self)

    @property
    def angles(self):
        with self.port.bus() as bus:
            return bus.plant.encoder.copy()

    def place(self, angles):
        with self.port.bus() as bus:
            bus.plant._angle[:] = angles
            bus.plant._velocity[:] = 0.0
            # Held by hand: without torque it would fall until the next look.
            bus.plant.stuck = set(range(6))
            bus._look()

    def wait(self, text):
        super().wait(text)
        if "The gripper will close" in text:
            with self.port.bus() as bus:
                bus.plant.stuck = set(range(5))


def test_prove_keeps_a_proof_beside_the_file(port, tmp_path, capsys):
    path = tmp_path / "arm.json"
    text = so101_calibration().to_text()
    path.write_text(text)
    person = PortPerson(port)
    assert main(["prove", str(port.path), str(path)], person) == 0, capsys.readouterr()
    assert set(load_proof(path, load(path)).zeros) == set(JOINTS)
    assert path.read_text() == text
    with port.bus() as bus:
        assert [servo.get("Torque_Enable") for servo in bus.servos] == [0] * 6
    assert main(["doctor", str(port.path), "--calibration", str(path)]) == 0


def test_prove_refuses_a_wrong_file_by_name_and_keeps_no_proof(port, tmp_path, capsys):
    path = tmp_path / "arm.json"
    rows = json.loads(so101_calibration().to_text())
    rows["elbow_flex"]["range_min"] += 600
    path.write_text(json.dumps(rows))
    assert main(["prove", str(port.path), str(path)], PortPerson(port)) == 1
    assert "elbow_flex: its range is" in capsys.readouterr().err
    assert [item.name for item in tmp_path.iterdir()] == ["arm.json"]


def test_calibrate_writes_lerobots_file_and_proves_it(port, tmp_path, capsys):
    path = tmp_path / "new" / "arm.json"
    assert main(["calibrate", str(port.path), str(path), "--dry-run"], PortPerson(port)) == 0
    assert not path.parent.exists()
    assert json.loads(capsys.readouterr().out)["gripper"]["id"] == 6
    assert main(["calibrate", str(port.path), str(path)], PortPerson(port)) == 0
    assert load_proof(path, load(path))
    before = path.read_text()
    person = PortPerson(port)
    assert main(["calibrate", str(port.path), str(path)], person) == 0
    assert (path.parent / "arm.json.before").read_text() == before


def test_setup_motors_gives_a_new_servo_its_id_and_asks_for_one_at_a_time(port, capsys):
    """The chain is taken apart, and each servo is connected alone."""
    with port.bus() as bus:
        chain, hand = list(bus.servos), ArmHand(bus)
        hand.do("new")

    class Assembler:
        def __init__(self):
            self.said = []

        def say(self, text):
            self.said.append(text)

        def wait(self, text):
            name = next(name for name in JOINTS if f"of {name} ALONE" in text)
            with port.bus() as bus:
                hand.do(f"alone {name}")
                # The others lose their power at the next step of its time.
                bus.advance(bus.now_s + 0.002)

        def waiting(self):
            return False

    helper = Assembler()
    assert main(["setup-motors", str(port.path)], helper) == 0, capsys.readouterr()
    for number, servo in enumerate(chain, start=1):
        servo.restart()
        assert servo.id_on_the_bus == number
        assert servo.get("Lock") == 1
    with port.bus() as bus:
        hand.do("chain")
        bus.advance(bus.now_s + 0.002)
    assert main(["doctor", str(port.path)]) == 0, capsys.readouterr()


def test_setup_motors_refuses_a_chain_and_writes_nothing_into_it(port, capsys):
    class Hasty:
        def say(self, text):
            pass

        def wait(self, text):
            pass

        def waiting(self):
            return False

    assert main(["setup-motors", str(port.path)], Hasty()) == 1
    assert "more than one servo answers (ids [1, 2, 3, 4, 5, 6])" in capsys.readouterr().err
    with port.bus() as bus:
        assert [servo.id_on_the_bus for servo in bus.servos] == [1, 2, 3, 4, 5, 6]


def test_the_rule_for_udev_is_printed(capsys):
    assert main(["udev"]) == 0
    text = capsys.readouterr().out
    assert 'SYMLINK+="so101_follower"' in text
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in lines:
        for item in line.split(", "):
            assert "==" in item or "=" in item, item


def test_a_terminal_that_ends_ends_a_guided_command(port, tmp_path):
    path = tmp_path / "arm.json"
    path.write_text(so101_calibration().to_text())
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "so100_driver.cli", "prove", str(port.path), str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1
    assert "ended by its input: nothing more is done" in done.stderr


@pytest.mark.parametrize("command", ["calibrate", "prove"])
def test_a_port_that_is_none_is_one_line(command, tmp_path, capsys):
    path = tmp_path / "arm.json"
    path.write_text(so101_calibration().to_text())
    assert main([command, str(tmp_path / "none"), str(path), "--dry-run"], PortPerson(None)) == 1
    assert "there is no such port" in capsys.readouterr().err
