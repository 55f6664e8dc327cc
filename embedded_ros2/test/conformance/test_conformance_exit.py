# SPDX-License-Identifier: Apache-2.0
import signal

import pytest


def test_an_interrupt_raises_keyboard_interrupt(peer):
    other = peer("counter")
    other.send(signal.SIGINT)
    assert other.wait() == (0, ["KeyboardInterrupt", "over"], "")


def test_a_termination_ends_spin(peer):
    other = peer("latched")
    other.send(signal.SIGTERM)
    code, lines, error = other.wait()
    assert (code, error) == (0, "")
    # If the signal comes in a callback, spin ends without the exception.
    assert lines in (["ExternalShutdownException", "over"], ["over"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_multi_threaded_executor_ends_too(peer, number):
    other = peer("action")
    other.send(number)
    code, lines, _ = other.wait()
    assert code == 0
    assert lines[-1] == "over"


@pytest.mark.parametrize("role", ["echo", "counter", "server", "latched"])
def test_a_process_that_cleans_nothing_up_ends_all_the_same(peer, role):
    other = peer(role, "--leave-open")
    other.send(signal.SIGINT)
    code, lines, _ = other.wait()
    assert code == 0
    assert lines[-1] == "over"


def test_an_exception_in_a_callback_ends_the_process(peer):
    code, _, error = peer("raising").wait()
    assert code == 1
    assert "RuntimeError: on purpose" in error


def test_sys_exit_in_a_callback_ends_the_process_while_messages_come_in(peer):
    code, _, _ = peer("exiting").wait()
    assert code == 3
