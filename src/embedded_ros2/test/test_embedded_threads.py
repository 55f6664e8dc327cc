# SPDX-License-Identifier: Apache-2.0
"""What is done to Zenoh's threads."""

import os
import threading

from embedded_ros2 import threads


def test_what_the_user_has_set_of_zenohs_threads_stays(monkeypatch):
    monkeypatch.setenv(threads.RUNTIME_VARIABLE, "(rx: (worker_threads: 1))")
    threads.let_readers_wait()
    assert os.environ[threads.RUNTIME_VARIABLE] == "(rx: (worker_threads: 1))"
    monkeypatch.delenv(threads.RUNTIME_VARIABLE)
    threads.let_readers_wait()
    assert "handover" in os.environ[threads.RUNTIME_VARIABLE]


def test_a_thread_whose_state_is_kept_ends_like_any_other():
    for _ in range(50):
        thread = threading.Thread(target=lambda: [threads.keep_state() for _ in range(3)])
        thread.start()
        thread.join(timeout=10.0)
        assert not thread.is_alive()
