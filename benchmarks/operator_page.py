# SPDX-License-Identifier: Apache-2.0
"""The operator's page: from its STOP to the first braking reference, and what viewers cost.

    python -m benchmarks.operator_page [--stops 20] [--pairs 4] [--write]

The space bar is pressed in a headless Chromium while the simulated arm moves, at the speed of the
host's clock; a node hears when the controller's reference leaves the plan that ran. Then the same
episodes run without the page, with it, and with eight pages that look on, in turns.
`--write` renews docs/measurements/operator_page.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from benchmarks.pages import DOCS, fill, machine, table
from verification import chromium
from verification.launched_page import Launched, launched, started

PAGE = DOCS / "operator_page.md"
STATE = "document.querySelector('#summary-name').textContent"
PRESSED = (
    "addEventListener('keydown', () => {"
    " window.pressed = performance.timeOrigin + performance.now(); }, true)"
)
# The reference has left the plan that ran: far above rounding, far below what anybody sees.
LEFT_RAD = 1e-6
VIEWERS = 8
HANGS_S = 300.0


class StopWatch:
    """Hears which plan the controller runs, and when it is first seen to leave the one before."""

    def __init__(self) -> None:
        import rclpy
        from control_msgs.msg import JointTrajectoryControllerState
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
        from trajectory_msgs.msg import JointTrajectory

        from node_kit import qos

        rclpy.init()
        self.node = rclpy.create_node("stop_watch")
        self._plans: dict[int, Any] = {}
        # When each cycle was heard: host's time, stamp, start of the plan that ran, positions.
        self._cycles: list[tuple[float, int, int, Any]] = []
        self.speed = 0.0
        states = "arm_controller/controller_state"
        subscribe = self.node.create_subscription
        subscribe(JointTrajectory, "arm_controller/joint_trajectory", self._on_plan, qos.EACH)
        subscribe(JointTrajectoryControllerState, states, self._on_state, qos.ALL_SENSED)
        executor = SingleThreadedExecutor()
        executor.add_node(self.node)

        def spin() -> None:
            with contextlib.suppress(ExternalShutdownException):
                executor.spin()

        self._thread = threading.Thread(target=spin, daemon=True)
        self._thread.start()

    def _on_plan(self, msg: Any) -> None:
        from node_kit.messages import to_ns, trajectory_from

        self._plans[to_ns(msg.header.stamp)] = trajectory_from(msg).plan()

    def _on_state(self, msg: Any) -> None:
        from node_kit.messages import to_ns

        now_s, stamp_ns = time.time(), to_ns(msg.header.stamp)
        start_ns = stamp_ns - to_ns(msg.reference.time_from_start)
        self.speed = max(map(abs, msg.reference.velocities), default=0.0)
        self._cycles.append((now_s, stamp_ns, start_ns, np.array(msg.reference.positions)))

    def begin(self) -> None:
        """Forget what was heard."""
        self._cycles.clear()

    def left_s(self) -> float:
        """Return when the newest plan, which is the brake, first left the one that ran before."""
        cycles = list(self._cycles)
        brake_ns = cycles[-1][2]
        old_ns = next(start for _, _, start, _ in reversed(cycles) if start != brake_ns)
        for now_s, stamp_ns, start_ns, position in cycles:
            if start_ns == brake_ns:
                expected = self._plans[old_ns].sample(stamp_ns).position
                if np.abs(expected - position).max() > LEFT_RAD:
                    return now_s
        raise RuntimeError("the brake was not seen")

    def close(self) -> None:
        import rclpy

        rclpy.try_shutdown()
        self._thread.join(10.0)
        self.node.destroy_node()


async def until(condition: Any, what: str) -> None:
    end_s = time.monotonic() + HANGS_S
    while not condition():
        if time.monotonic() > end_s:
            raise RuntimeError(f"no {what}")
        await asyncio.sleep(0.01)


async def time_stops(
    path: str, address: str, watch: StopWatch, count: int
) -> list[dict[str, float]]:
    """Stop the arm in motion again and again, by the space bar."""
    found = []
    async with chromium.chromium(path) as browser:
        tab = await browser.open()
        # Before the page's own, which lets nobody else hear of it.
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=PRESSED)
        await tab.goto(address)
        await tab.until(f"{STATE} === 'READY'")
        await tab.write("#name", "bench")
        await tab.activate("#take")
        colours = ("red", "green", "blue")
        for number in range(count):
            await tab.write("#text", f"put the {colours[number % 3]} cube in the bin")
            await tab.activate("#instruct button[type=submit]")
            watch.begin()
            await until(lambda: watch.speed > 0.3, "motion")
            await tab.evaluate("window.pressed = 0")
            await tab.space()
            await tab.until(f"{STATE} === 'STOPPED'")
            pressed_s = await tab.evaluate("window.pressed") / 1e3
            words = await tab.text("#log li")
            found.append({"braking_s": watch.left_s() - pressed_s, "answer": words})
            await tab.until("document.querySelector('#blocks').textContent === 'nothing'")
            await tab.activate("#reset")
            await tab.until(f"{STATE} === 'READY'")
            print(f"stop {number + 1}: {found[-1]}", flush=True)
    return found


async def look_on(address: str, ended: asyncio.Event, pictures: list[int]) -> None:
    """Be one page that shows everything."""
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(
            f"{address}/socket", origin=address, max_msg_size=1 << 22
        )
        count = 0
        while not ended.is_set():
            message = await socket.receive()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return
            count += 1
            pictures[0] += message.type is aiohttp.WSMsgType.BINARY
            await socket.send_str(json.dumps({"do": "seen", "n": count}))


def cpu_s(name: str, root: int) -> float:
    """Return the processor time of a node among the processes that another began, s."""
    parents, found = {}, {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            parents[int(entry.name)] = int(fields[1])
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if f"__node:={name}" in words:
                ticks = int(fields[11]) + int(fields[12])
                found[int(entry.name)] = ticks / os.sysconf("SC_CLK_TCK")
    # Launch gives each node a session of its own, so its ancestors are what tells whose it is.
    return max((spent for pid, spent in found.items() if _descends(pid, root, parents)), default=0)


def _descends(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != root:
        pid = parents[pid]
    return pid == root


async def episode(seed: int, page: bool, viewers: int) -> dict[str, Any]:
    """Run one episode and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "vla_bringup.demo", "--episodes", "1"]
        words += ["--seed", str(seed), "--output", folder, "--policy", "color_pick"]
        with started([*words, "--page" if page else "--no-page"]) as demo:
            pictures, ended, spent_s = [0], asyncio.Event(), 0.0
            pages = []
            if viewers:
                address = await asyncio.to_thread(demo.address)
                pages = [
                    asyncio.create_task(look_on(address, ended, pictures)) for _ in range(viewers)
                ]
            while demo.process.poll() is None:
                spent_s = max(spent_s, cpu_s("vla_operator", demo.process.pid))
                await asyncio.sleep(1.0)
            ended.set()
            for each in pages:
                each.cancel()
            await asyncio.gather(*pages, return_exceptions=True)
        assert (spent_s > 0.0) == page, "the page's node was not found among the processes"
        summary = json.loads((Path(folder) / "summary.json").read_text())
    return {**summary, "page_cpu_s": spent_s, "pictures": pictures[0]}


CASES = (
    ("no page", False, 0),
    ("page, nobody looks", True, 0),
    (f"{VIEWERS} pages", True, VIEWERS),
)


def pairs(count: int) -> dict[str, list[dict[str, Any]]]:
    """Run the same episodes in each case, in turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in CASES}
    for seed in range(count):
        for name, page, viewers in CASES[seed % 3 :] + CASES[: seed % 3]:
            found[name].append(asyncio.run(episode(seed, page, viewers)))
            print(f"seed {seed}, {name}: {shown(found[name][-1:])}", flush=True)
    return found


def shown(runs: list[dict[str, Any]]) -> list[str]:
    """Return the figures of some runs in words: medians, but for what must never be."""

    def middle(key: str) -> float:
        return float(np.median([run[key] for run in runs]))

    factor = np.median([run["ros_s"] / run["wall_s"] for run in runs])
    return [
        f"{sum(run['success_rate'] == 1.0 for run in runs)} of {len(runs)}",
        str(sum(len(run["trips"]) for run in runs)),
        f"{max(run['peak_command_jerk_ratio'] for run in runs):.6f}",
        f"{middle('plan_ms_p50'):.2f} / {middle('plan_ms_p99'):.2f}",
        f"{middle('inference_ms_p50'):.1f} / {middle('inference_ms_p99'):.1f}",
        f"{factor:.2f}",
        f"{middle('page_cpu_s') / middle('wall_s'):.2f}",
        f"{np.median([run['pictures'] / run['wall_s'] for run in runs]):.0f}",
    ]


HEAD = (
    *("", "episodes that succeeded", "stops", "largest commanded jerk / limit"),
    *("plan, ms (p50 / p99)", "inference, ms (p50 / p99)", "simulated time / host's"),
    *("cores that the page's node takes", "pictures a second, all pages"),
)


def stop_words(found: list[dict[str, Any]]) -> str:
    times = np.array([each["braking_s"] for each in found]) * 1e3
    return (
        f"{len(times)} stops: median {np.median(times):.0f} ms, least {times.min():.0f} ms, "
        f"largest {times.max():.0f} ms. {machine()}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    blocks: dict[str, str] = {}
    path = chromium.found()
    if arguments.stops and path is not None:
        blocks["stops"] = stop_words(stops(path, arguments.stops))
        print(blocks["stops"])
    if arguments.pairs:
        found = pairs(arguments.pairs)
        blocks["viewers"] = table(HEAD, [(name, *shown(runs)) for name, runs in found.items()])
        print(blocks["viewers"])
    if arguments.write:
        fill(PAGE, blocks)
    return 0


def stops(path: str, count: int) -> list[dict[str, Any]]:
    """Launch the simulation and stop it."""
    with launched("so101_sim.launch.py", page="true", seed="3") as graph:
        watch = StopWatch()
        try:
            return asyncio.run(_stops(path, graph, watch, count))
        finally:
            watch.close()


async def _stops(path: str, graph: Launched, watch: StopWatch, count: int) -> list[dict[str, Any]]:
    address = await asyncio.to_thread(graph.address)
    return await time_stops(path, address, watch, count)


if __name__ == "__main__":
    sys.exit(main())
