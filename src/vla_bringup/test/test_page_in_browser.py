# SPDX-License-Identifier: Apache-2.0
"""The operator's page in a real browser, in front of the launched simulation and its recorder."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time

import pytest

from verification import chromium
from vla_recording.dataset import Dataset
from vla_recording.episodes.store import EpisodeFolder
from vla_recording.episodes.words import read_words

CHROMIUM = chromium.found()
pytestmark = [
    pytest.mark.skipif(
        CHROMIUM is None, reason=f"none of {', '.join(chromium.NAMES)} is installed"
    ),
    pytest.mark.timeout(900),
]
PAGE = re.compile(r"the operator's page: (http://localhost:\d+)")
# Slower than the clock on the wall: what a person does next still meets a motion.
SLOWLY = {"page": "true", "real_time_factor": "0.4"}
RECORDED = {**SLOWLY, "record": "TMP/recorded", "record_fps": "5"}
STATE = "document.querySelector('#summary-name').textContent"
RECORDING = "document.querySelector('#record-state').textContent"
ROWS = f"parseInt({RECORDING}.split('”: ').at(-1))"
TASK = "put the red cube in the bin"
PAGE_SOURCE, POLICY_SOURCE = "operator's page", "color_pick"


def address_of(graph) -> str:
    """Return where the page is, as the log says."""
    end = time.monotonic() + 400.0
    while time.monotonic() < end and graph.process.poll() is None:
        told = PAGE.search(graph.log.read_text())
        if told:
            return told.group(1)
        time.sleep(0.1)
    raise AssertionError(f"no page in:\n{graph.log.read_text()}")


async def take_control(tab: chromium.Tab) -> None:
    """Be the page that may do something."""
    await tab.write("#name", "Ann")
    await tab.activate("#take")
    await tab.until("document.querySelector('#who').textContent === 'You are in control'")


async def operate(address: str) -> None:
    """Instruct, stop in motion by the space bar, and reset, as a person does."""
    async with chromium.chromium(CHROMIUM) as browser:
        tab = await browser.open()
        await tab.goto(address)
        await tab.until(f"{STATE} === 'READY'")
        await tab.until("document.querySelectorAll('#cameras img').length === 2")
        await tab.until("document.querySelector('#cameras img').naturalWidth > 0")
        assert await tab.evaluate("document.querySelector('#instruct button').disabled")

        await take_control(tab)
        await tab.write("#text", TASK)
        # With Shift the bar writes.
        await tab.space(shift=True)
        written = await tab.evaluate("document.querySelector('#text').value")
        assert written == f"{TASK} "
        assert await tab.evaluate(STATE) == "READY"
        await tab.activate("#instruct button[type=submit]")
        await tab.until("document.querySelector('#instruction').value.startsWith('put the red')")
        await tab.until("parseFloat(document.querySelector('#jerk-now').value) > 5")

        # The focus is in a field, and the space bar is STOP all the same.
        await tab.evaluate("document.querySelector('#text').focus()")
        await tab.space()
        await tab.until(f"{STATE} === 'STOPPED'")
        assert await tab.evaluate("document.querySelector('#text').value") == written
        assert (await tab.text("#cause")).startswith("somebody asked for the stop")
        await tab.until("document.querySelector('#last-end').textContent.includes('permit')")

        await tab.until("document.querySelector('#blocks').textContent === 'nothing'")
        await tab.activate("#reset")
        await tab.until(f"{STATE} === 'READY'")
        await tab.until("document.querySelector('#stopped').hidden")
        await jog(browser, tab, address)
        assert tab.errors == []

        # On a phone nothing is wider than the screen, and STOP is on it wherever one scrolls.
        await tab.size(390, 844, phone=True)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 390
        for place in ("0", "document.body.scrollHeight"):
            await tab.evaluate(f"window.scrollTo(0, {place})")
            seen = await tab.evaluate(
                "(() => { const r = document.querySelector('#stop').getBoundingClientRect();"
                " const e = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);"
                " return r.top >= 0 && r.bottom <= innerHeight && e.closest('#stop') !== null;"
                " })()"
            )
            assert seen
        await tab.click("#stop")
        await tab.until(f"{STATE} === 'STOPPED'")


async def jog(browser: chromium.Chromium, tab: chromium.Tab, address: str) -> None:
    """Move a joint for as long as a button is held; a page that is closed has let go."""
    turned = "parseFloat(document.querySelector('#plans figcaption span').textContent)"
    planner = "[...document.querySelectorAll('.node .name')][1]?.textContent"
    before = await tab.evaluate(turned)
    await tab.activate("#jog-take")
    await tab.until("!document.querySelector('#joints button').disabled")
    await tab.evaluate("document.querySelector('[aria-label^=\"Jog shoulder_pan up\"]').focus()")
    await tab.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter")
    await tab.until(f"{turned} > {before} + 0.05")
    other = await browser.open()
    await other.goto(address)
    await other.until(f"{planner} === 'PLANNING'")
    await tab.goto("about:blank")
    await other.until(f"{planner} === 'FREE'")
    rest = await other.evaluate(turned)
    await asyncio.sleep(1.0)
    assert await other.evaluate(STATE) == "READY"
    assert abs(await other.evaluate(turned) - rest) < 0.3, "it did not go on"
    await other.goto("about:blank")
    await tab.goto(address)
    await tab.until(f"{STATE} === 'READY'")


@pytest.mark.parametrize("graph", [SLOWLY], indirect=True)
def test_an_operator_instructs_stops_in_motion_and_resets_in_a_browser(graph):
    asyncio.run(operate(address_of(graph)))


# -- recording -----------------------------------------------------------------------------------


async def record(address: str) -> None:
    """Record a policy and a correction of it, say how it went, and look at it."""
    async with chromium.chromium(CHROMIUM) as browser:
        tab = await browser.open()
        await tab.goto(address)
        await tab.until(f"{STATE} === 'READY'")
        assert await tab.evaluate("document.querySelector('#episodes-card').hidden")
        await take_control(tab)
        await tab.until(f"{RECORDING} === 'Ready to record.'")
        await tab.write("#text", TASK)
        await tab.activate("#instruct button[type=submit]")
        told = f"document.querySelector('#instruction').value === '{TASK}'"
        await tab.until(told)
        await tab.activate("#record-begin")
        await tab.until(f"{RECORDING}.startsWith('Recording “{TASK}”')")
        await tab.until(f"{ROWS} >= 5")

        await correct(tab)
        await tab.activate("#jog-resume")
        await tab.until(told)
        rows = await tab.evaluate(ROWS)
        await tab.until(f"{ROWS} >= {rows} + 5")
        await tab.activate("#record-success")
        await tab.until(f"{RECORDING} === 'Ready to record.'")
        why = "document.querySelector('#episodes .why')?.textContent"
        await tab.until(f"{why} === 'finished as success'")
        assert (await tab.text("#episodes strong")) == TASK
        assert await tab.evaluate("document.querySelector('#episodes select').value") == "success"
        assert "of them corrections" in await tab.text("#episodes .words")
        assert tab.errors == []

        # Who only looks on may look at it, and has STOP in sight meanwhile.
        viewer = await browser.open()
        await viewer.goto(address)
        watch = "[...document.querySelectorAll('#episodes button')][0]"
        await viewer.until(f"{watch} && !{watch}.disabled")
        await viewer.evaluate(f"{watch}.click()")
        await viewer.until("document.querySelector('.player video')?.currentTime > 0")
        assert await viewer.evaluate("document.querySelector('.player video').videoWidth") == 480
        await viewer.evaluate("document.querySelector('.player input').focus()")
        await viewer.space()
        await viewer.until(f"{STATE} === 'STOPPED'")
        assert viewer.errors == []


async def correct(tab: chromium.Tab) -> None:
    """Take the arm from the policy and move it for a while."""
    hand = "document.querySelector('#record-hand').textContent"
    await tab.activate("#jog-take")
    await tab.until(f'{hand}.startsWith("{PAGE_SOURCE} has the arm: these rows are marked")')
    rows = await tab.evaluate(ROWS)
    await tab.evaluate("document.querySelector('[aria-label^=\"Jog wrist_roll up\"]').focus()")
    key = {"key": "Enter", "code": "Enter"}
    await tab.call("Input.dispatchKeyEvent", type="keyDown", **key)
    await tab.until(f"{ROWS} >= {rows} + 5")
    await tab.call("Input.dispatchKeyEvent", type="keyUp", **key)


@pytest.mark.parametrize("graph", [RECORDED], indirect=True)
def test_an_operator_records_an_episode_corrects_the_policy_marks_it_and_sees_it(graph, tmp_path):
    asyncio.run(record(address_of(graph)))
    folder = EpisodeFolder(tmp_path / "recorded")
    (name,) = folder.names()
    words = read_words(folder.bag(name))
    assert (words.task, words.operator, words.mark) == (TASK, "Ann", "SUCCESS")
    dataset = Dataset(folder.dataset)
    assert dataset.problems() == []
    sources = dataset.texts("source", words.episode_index)
    corrections = dataset.column("intervention", words.episode_index)[:, 0]
    assert len(dataset) == words.rows
    assert [source == PAGE_SOURCE for source in sources] == corrections.tolist()
    assert sum(corrections) == words.rows_intervened >= 5
    assert sources[0].startswith(POLICY_SOURCE)
    assert sources[-1].startswith(POLICY_SOURCE), "it went on"


async def lose(address: str, page: int, recorder: int) -> None:
    """Lose the page's node for a while, and the recorder for good, in the middle of an episode."""
    async with chromium.chromium(CHROMIUM) as browser:
        tab = await browser.open()
        await tab.goto(address)
        await tab.until(f"{STATE} === 'READY'")
        await take_control(tab)
        begin = "document.querySelector('#record-begin').disabled"
        await tab.until(f"{RECORDING} === 'Ready to record.' && !{begin}")
        os.kill(page, signal.SIGSTOP)
        try:
            await tab.until(f"document.body.classList.contains('old') && {begin}")
            await tab.until(f"{STATE} === 'NO CONNECTION'")
        finally:
            os.kill(page, signal.SIGCONT)
        # It was slow, and the page is in control as before.
        await tab.until(f"!{begin}")
        await tab.write("#task", "look around")
        await tab.activate("#record-begin")
        await tab.until(f"{RECORDING}.startsWith('Recording “look around”')")
        os.kill(recorder, signal.SIGKILL)
        await tab.until("!document.querySelector('#record-gone').hidden")
        assert "`vla-record convert" in await tab.text("#record-gone")
        assert await tab.evaluate(begin)
        await tab.until(f"{STATE} === 'READY'")
        assert tab.errors == []


@pytest.mark.parametrize("graph", [RECORDED], indirect=True)
def test_a_node_that_was_slow_and_a_recorder_that_was_killed_are_told_and_the_arm_is_not_concerned(
    graph, tmp_path
):
    address = address_of(graph)
    pids = [graph.pid_of(name) for name in ("vla_operator", "episode_recorder")]
    asyncio.run(lose(address, *pids))
    folder = EpisodeFolder(tmp_path / "recorded")
    (name,) = folder.names()
    assert read_words(folder.bag(name)).end_ns == 0, "what it had written is there"
