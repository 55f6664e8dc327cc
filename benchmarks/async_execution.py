# SPDX-License-Identifier: Apache-2.0
"""How chunks of a remote flow policy meet, under latency and jitter: one table.

    .venv-policy/bin/smolvla make-tiny /tmp/tiny
    .venv/bin/python benchmarks/async_execution.py /tmp/tiny --python .venv-policy/bin/python

A SmolVLA checkpoint is served by a process of its own; each answer takes at least a latency that
varies, more where the model is slower. A new observation is sent as soon as the answer to the last
one is there, and the rows that the arm consumes meanwhile are counted. The answer takes over at
the first row that is still to come. Four ways of taking over:

- continue: the policy is told what runs and how many rows will be consumed (real-time chunking),
- replace: the new chunk as it is,
- ensemble: ACT's mean over all chunks, the oldest weighing most,
- LeRobot: 0.3 old + 0.7 new where both say something, its client's default.

The jump is by how much the raw target changes at the moment of taking over: new minus old for that
same row, over all joints. It says nothing of a checkpoint's skill: an untrained one is the hardest
case, since its chunks have nothing in common. The policy node's plans are continuous in any case;
this is what is left for them to smooth.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from smooth_motion import Chunk
from vla_policies import STATE, Action, FeatureKind, Observation
from vla_policies.own_process import Launch, OwnProcessPolicy
from vla_policies.rtc import Committed
from vla_policy_node.core.chunk_blending import committed, ensemble
from vla_policy_node.core.latency import DurationPercentile

SECOND_NS = 1_000_000_000
WAYS = ("continue", "replace", "ensemble", "LeRobot")
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


class Late:
    """Holds a policy's answers back, as a network would."""

    def __init__(self, policy: OwnProcessPolicy, seed: int) -> None:
        self.policy, self.spec = policy, policy.spec
        self.reset, self.close = policy.reset, policy.close
        self.random = np.random.default_rng(seed)
        self.latency_s = self.jitter_s = 0.0

    def infer(self, observation: Observation, told: Committed | None) -> Action:
        jitter = self.random.uniform(-self.jitter_s, self.jitter_s)
        due = time.monotonic() + max(0.0, self.latency_s + jitter)
        policy = self.policy
        action = policy.continue_chunk(observation, told) if told else policy.infer(observation)
        time.sleep(max(0.0, due - time.monotonic()))
        return action


def execute(client: Late, way: str, chunks: int, seed: int) -> dict[str, list[float]]:
    """Run and return the jumps, the errors of committed rows and the delays, each a list."""
    random = np.random.default_rng(seed)
    images = {
        f.name: random.integers(0, 255, (120, 160, 3), dtype=np.uint8)
        for f in client.spec.observation
        if f.kind is FeatureKind.IMAGE
    }
    dt_ns = round(client.spec.dt_s * SECOND_NS)
    found: dict[str, list[float]] = {"jump": [], "match": [], "delay": [], "told": []}
    running: Chunk | None = None
    older: list[Chunk] = []
    delay = DurationPercentile()
    now_ns = 0
    client.reset()
    for number in range(chunks):
        here = np.zeros(len(JOINTS)) if running is None else running.at(np.array([now_ns]))[0]
        told = None
        if way == "continue" and running is not None:
            told = committed(running, now_ns, dt_ns, delay.p99_ns)
        began = time.monotonic_ns()
        observation = Observation(now_ns, images, {STATE: here}, "pick up the red cube")
        action = client.infer(observation, told)
        took_ns = time.monotonic_ns() - began
        new = Chunk(JOINTS, now_ns, dt_ns, action.positions)
        # Whole rows, as the arm has consumed them when the answer is there.
        consumed = -(-took_ns // dt_ns)
        over_ns = now_ns + consumed * dt_ns
        if way == "ensemble":
            merged = ensemble(older, new)
            older = [*older[-31:], new]
        elif way == "LeRobot" and running is not None:
            times = new.times_ns
            both = times <= running.end_ns
            mixed = new.positions.copy()
            mixed[both] = 0.3 * running.at(times[both]) + 0.7 * new.positions[both]
            merged = replace(new, positions=mixed)
        else:
            merged = new
        # The first takes over from nothing, and its delay is that of a warm-up.
        if running is not None and over_ns <= min(running.end_ns, new.end_ns) and number > 2:
            at = np.array([over_ns])
            found["jump"].append(float(np.abs(merged.at(at) - running.at(at)).max()))
            found["delay"].append(float(consumed))
            if told is not None:
                rows = told.delay
                found["told"].append(float(rows))
                error = np.abs(new.positions[:rows] - told.positions[:rows])
                found["match"].append(float(error.max()) if rows else 0.0)
        delay.add(over_ns - now_ns)
        running, now_ns = merged, over_ns
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--python", default="", help="interpreter that has torch (default: this)")
    parser.add_argument("--latencies-ms", type=int, nargs="+", default=range(0, 501, 100))
    parser.add_argument("--chunks", type=int, default=25, help="of each run (default: 25)")
    parser.add_argument("--dt", type=float, default=1 / 30, help="s (default: 1/30)")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    arguments = parser.parse_args()
    options = {
        "checkpoint": str(arguments.checkpoint), "dt_s": arguments.dt, "threads": 1,
        "joints": dict.fromkeys(JOINTS, "rad"), "dtype": "float32",
    }  # fmt: skip
    launch = Launch("smolvla", options, python=arguments.python)
    client = Late(OwnProcessPolicy(launch, timeout_s=30.0), seed=0)
    worst, rows = 0.0, []
    heads = ("latency", "jitter", "rows consumed", "way", "mean", "p95", "max", "committed rows")
    print("| " + " | ".join(heads) + " |")
    print("| " + " | ".join(["---"] * len(heads)) + " |")
    for latency in arguments.latencies_ms:
        client.latency_s, client.jitter_s = latency / 1e3, latency / 2e3
        for way in WAYS:
            found = execute(client, way, arguments.chunks, seed=latency)
            jump, delay = np.array(found["jump"]), np.array(found["delay"])
            rows.append((latency, way, delay, jump))
            match = f"match to {max(found['match']):.1e}" if found["match"] else ""
            worst = max([worst, *found["match"]])
            print(
                f"| {latency} ms | ±{latency // 2} ms | {delay.min():.0f} to {delay.max():.0f} "
                f"| {way} | {jump.mean():.4f} | {np.percentile(jump, 95):.4f} | {jump.max():.4f} "
                f"| {match} |",
                flush=True,
            )
    print(f"\njumps in rad; committed rows match to {worst:.1e} rad at worst")
    client.close()
    if arguments.write:
        write(rows, worst, arguments)
    return 0 if worst <= 0.002 else 1


def write(rows: list[tuple], worst: float, arguments: argparse.Namespace) -> None:
    import pages

    found: dict[int, dict[str, tuple]] = {}
    for latency, way, delay, jump in rows:
        found.setdefault(latency, {})[way] = (delay, jump)
    cells = []
    for latency, ways in found.items():
        delays = np.concatenate([delay for delay, _ in ways.values()])
        jumps = [
            f"{jump.mean():.3f} / {np.percentile(jump, 95):.3f} / {jump.max():.3f}"
            for _, jump in (ways[way] for way in WAYS)
        ]
        spread = f"{delays.min():.0f} to {delays.max():.0f}"
        name = f"{latency} ± {latency // 2} ms" if latency else "as it is"
        cells.append([name, spread, *jumps])
    header = ["latency and jitter", "rows consumed", *(f"{w}: mean / p95 / max" for w in WAYS)]
    run = (
        f"`python benchmarks/async_execution.py`, {arguments.chunks} chunks each, less the first "
        f"three. Committed rows match to {worst:.1e} rad at worst."
    )
    blocks = {"async run": run, "async": pages.table(header, cells)}
    pages.fill(pages.DOCS / "policy_server.md", blocks)


if __name__ == "__main__":
    sys.exit(main())
