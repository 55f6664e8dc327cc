# SPDX-License-Identifier: Apache-2.0
"""Takes the pictures of the operator's page that the documents show, while the arm works.

python -m verification.operator_picture [--output docs/images]

It needs a Chromium, and runs the demonstration for it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from verification import chromium
from verification.launched_page import started

ROOT = Path(__file__).resolve().parents[1]
STATE = "document.querySelector('#summary-name').textContent"
SHARE = "parseFloat(document.querySelector('#jerk-now').value)"
# On a busy computer pictures come late, and the page says so.
FRESH = "!document.querySelector('.age.warn, .age.bad')"


async def take(path: str, address: str, output: Path) -> None:
    """Take a picture of a wide screen and one of a phone."""
    async with chromium.chromium(path) as browser:
        tab = await browser.open()
        await tab.call("Emulation.setEmulatedMedia", features=[DARK])
        await tab.size(1440, 1420)
        await tab.goto(address)
        await tab.until(f"{STATE} === 'READY'")
        await tab.write("#name", "Ann")
        await tab.activate("#take")
        await tab.until("document.querySelector('#who').textContent === 'You are in control'")
        await tab.until("document.querySelector('#instruction').value !== 'none'")
        # In the middle of a motion, with half a minute of jerk behind it.
        await asyncio.sleep(25.0)
        await tab.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        cameras = "document.querySelectorAll('#cameras img').length > 1"
        await tab.until(f"{SHARE} > 40 && {cameras} && {FRESH}")
        await tab.picture(output / "operator.png")
        await tab.size(390, 844, scale=2.0, phone=True)
        await tab.until(f"{SHARE} > 5 && {FRESH}")
        await tab.picture(output / "operator_phone.png")


DARK = {"name": "prefers-color-scheme", "value": "dark"}


def main() -> int:
    """Run the demonstration and take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument(
        "--policy", default="color_pick", help="which works (default: %(default)s)"
    )
    arguments = parser.parse_args()
    path = chromium.found()
    if path is None:
        print(f"none of {', '.join(chromium.NAMES)} is installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "vla_bringup.demo", "--episodes", "5", "--output", folder]
        with started([*words, "--policy", arguments.policy]) as demo:
            asyncio.run(take(path, demo.address(), arguments.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
