# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import textwrap

import pytest

CHATTER = """
    import sys
    from node_kit.output import never_waiting

    with never_waiting():
        for number in range({lines}):
            for stream in (sys.stdout, sys.stderr):
                try:
                    print(f"line {{number}} " + "x" * 100, file=stream, flush=True)
                except BlockingIOError:
                    pass
        open(sys.argv[1], "w").close()
        {last}
"""


def chatter(tmp_path, *, lines, last="", **options):
    code = textwrap.dedent(CHATTER.format(lines=lines, last=last))
    done = tmp_path / "done"
    process = subprocess.Popen([sys.executable, "-c", code, str(done)], text=True, **options)
    return process, done


def test_a_reader_that_does_not_read_holds_up_nothing(tmp_path):
    """H26. A suspended terminal, a launch system that is stopped, a pager."""
    pipe = subprocess.PIPE
    process, done = chatter(tmp_path, lines=20000, stdout=pipe, stderr=pipe)
    try:
        for _ in range(3000):
            if done.exists():
                break
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        assert done.exists()
    finally:
        process.kill()
        process.communicate()


def test_what_is_read_arrives_whole_and_in_order(tmp_path):
    process, _ = chatter(tmp_path, lines=300, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    numbers = [int(line.split()[1]) for line in text.splitlines()]
    assert numbers == [number for number in range(300) for _ in range(2)]


def test_the_words_at_the_end_of_a_process_that_failed_arrive(tmp_path):
    process, _ = chatter(
        tmp_path, lines=1, last="raise RuntimeError('the reason')", stderr=subprocess.PIPE
    )
    _, text = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "RuntimeError: the reason" in text


def test_a_reader_that_is_gone_ends_nothing(tmp_path):
    reading, writing = os.pipe()
    process, done = chatter(tmp_path, lines=3000, stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    process.wait(300)
    assert done.exists()


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_output_is_no_reason_not_to_start(tmp_path, closed):
    process, done = chatter(
        tmp_path, lines=0, preexec_fn=lambda: os.close(closed), stdout=None, stderr=None
    )
    process.wait(300)
    assert done.exists()
