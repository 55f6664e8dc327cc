# SPDX-License-Identifier: Apache-2.0
"""The operator's page in a real browser, in front of the launched simulation."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from verification import chromium

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
STATE = "document.querySelector('#summary-name').textContent"


def address_of(graph) -> str:
    """Return where the page is, as the log says."""
    end = time.monotonic() + 400.0
    while time.monotonic() < end and graph.process.poll() is None:
        told = PAGE.search(graph.log.read_text())
        if told:
            return told.group(1)
        time.sleep(0.1)
    raise AssertionError(f"no page in:\n{graph.log.read_text()}")


async def operate(address: str) -> None:
    """Instruct, stop in motion by the space bar, and reset, as a person does."""
    async with chromium.chromium(CHROMIUM) as browser:
        tab = await browser.open()
        await tab.goto(address)
        await tab.until(f"{STATE} === 'READY'")
        await tab.until("document.querySelectorAll('#cameras img').length === 2")
        await tab.until("document.querySelector('#cameras img').naturalWidth > 0")
        assert await tab.evaluate("document.querySelector('#instruct button').disabled")

        await tab.write("#name", "Ann")
        await tab.activate("#take")
        await tab.until("document.querySelector('#who').textContent === 'You are in control'")
        await tab.write("#text", "put the red cube in the bin")
        # With Shift the bar writes.
        await tab.space(shift=True)
        written = await tab.evaluate("document.querySelector('#text').value")
        assert written == "put the red cube in the bin "
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
