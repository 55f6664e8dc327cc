# SPDX-License-Identifier: Apache-2.0
"""Time our SmolVLA against LeRobot 0.4.4 in bfloat16, on one random full-size checkpoint.

    pip install lerobot==0.4.4 "transformers==4.57.*" num2words './src/smolvla[convert]'
    python benchmarks/smolvla_speed.py --work /tmp/smolvla_speed

Each contender is a process of its own; they answer in turns, so that whatever else the machine
does falls on all alike. CPU time counts the process alone, wall time is what one waits; both are
medians of the rounds. Every observation has new images, but for the columns "unchanged", where
only the state is new. The error is that of a chunk against LeRobot in float32 (with exact patch
positions), largest over rows, joints and scenes, over the standard deviation of the joint's rows.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from smolvla_scenes import JOINTS, TASK, random_scene

# Of an answer: what it is given. The others are warm-up.
NEW, SAME = "new images", "unchanged"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="checkpoints stay here")
    parser.add_argument("--size", choices=["full", "tiny"], default="full")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rows", type=int, default=16, help="of our shorter chunks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--errors", type=int, default=3, help="scenes whose error is taken")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calibration", type=int, default=12, help="observations for int8")
    parser.add_argument("--skip", nargs="*", default=[], help="contenders to leave out")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    parser.add_argument("--figures", type=Path, help="show such a file instead of running")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    if arguments.figures:
        figures = json.loads(arguments.figures.read_text(encoding="utf-8"))
    else:
        prepare(arguments)
        figures = race(arguments)
    show(figures)
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if arguments.write:
        write(figures)


def contenders(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return what runs: which library, on which folder, with how many rows."""
    place, rows = arguments.work, arguments.rows
    checkpoint = place / f"{arguments.size}_bfloat16_3"
    found = {
        "LeRobot bfloat16": {"library": "lerobot", "folder": checkpoint, "rows": 50},
        "torch bfloat16": {"library": "ours", "folder": checkpoint, "rows": 50},
        "OpenVINO bfloat16": {"library": "ours", "folder": place / "bfloat16", "rows": 50},
        f"OpenVINO bfloat16, {rows} rows": {
            "library": "ours", "folder": place / "bfloat16", "rows": rows,
        },
        f"OpenVINO mixed, {rows} rows": {
            "library": "ours", "folder": place / "mixed", "rows": rows,
        },
        "OpenVINO int8": {"library": "ours", "folder": place / "int8", "rows": 50},
        f"OpenVINO int8, {rows} rows": {
            "library": "ours", "folder": place / "int8", "rows": rows,
        },
    }  # fmt: skip
    return {name: each for name, each in found.items() if name not in arguments.skip}


def prepare(arguments: argparse.Namespace) -> None:
    """Let LeRobot make the checkpoint; convert it. What is there already is kept."""
    import lerobot_reference as lerobot
    import torch

    from smolvla.cli import main as smolvla
    from smolvla.samples import CheckpointSample, write_sample

    torch.set_num_threads(arguments.threads)
    arguments.work.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.work / f"{arguments.size}_bfloat16_3"
    if not checkpoint.exists():
        lerobot.import_lerobot()
        lerobot.make_checkpoint(checkpoint, arguments.size, "bfloat16", 3)
    observations = arguments.work / "observations"
    if not observations.exists():
        observations.mkdir()
        random = np.random.default_rng(100)
        for index in range(arguments.calibration):
            images, state = random_scene(random, 3)
            sample = CheckpointSample(images, state.astype(np.float64), TASK)
            write_sample(observations / f"{index:03}.npz", sample)
    for precision in ("bfloat16", "mixed", "int8"):
        if not (arguments.work / precision).exists():
            code = smolvla(
                ["convert", str(checkpoint), str(arguments.work / precision),
                 "--precision", precision, "--observations", str(observations),
                 "--threads", str(arguments.threads)]
            )  # fmt: skip
            if code:
                sys.exit(code)


def race(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let all answer in turns and return the figures: by contender, then by number of cameras."""
    exact = ContenderProcess("LeRobot float32", arguments)
    wanted = {
        (count, turn): np.array(exact.ask(cameras=count, scene=turn, same=False)["chunk"])
        for count in arguments.cameras
        for turn in range(min(arguments.errors, arguments.rounds + 1))
    }
    exact.close()
    workers = {name: ContenderProcess(name, arguments) for name in contenders(arguments)}
    found: dict[str, Any] = {name: {} for name in workers}
    for count in arguments.cameras:
        times: dict[str, dict[str, list]] = {name: {NEW: [], SAME: []} for name in workers}
        for turn in range(arguments.rounds + 1):
            for name, worker in workers.items():
                first = worker.ask(cameras=count, scene=turn, same=False)
                again = worker.ask(cameras=count, scene=turn, same=True)
                each = found[name].setdefault(str(count), {"error": 0.0})
                exactly = wanted.get((count, turn))
                if exactly is not None:
                    chunk = np.array(first["chunk"])
                    error = np.abs(chunk - exactly[: len(chunk)]).max(axis=0)
                    each["error"] = max(each["error"], float((error / exactly.std(axis=0)).max()))
                if turn == 0:
                    continue
                times[name][NEW].append((first["wall_ms"], first["cpu_ms"]))
                times[name][SAME].append((again["wall_ms"], again["cpu_ms"]))
        for name, worker in workers.items():
            for case, values in times[name].items():
                wall, cpu = np.array(values).T
                found[name][str(count)][case] = {
                    "wall_ms": float(np.median(wall)),
                    "cpu_ms": float(np.median(cpu)),
                }
            found[name][str(count)]["resident_mb"] = worker.resident_mb
    for worker in workers.values():
        worker.close()
    run = f"{arguments.size}, {arguments.threads} thread(s), {arguments.rounds} rounds"
    return {"run": f"{run}; torch {versions()}", "peaks": peaks(arguments), "contenders": found}


def peaks(arguments: argparse.Namespace) -> dict[str, float]:
    """Return what large products reach on this machine, GFLOP/s (int8: GOP/s)."""
    import torch

    torch.set_num_threads(arguments.threads)
    size = 2048
    wide = torch.randn(size, size)
    narrow = torch.randint(-127, 127, (size, size), dtype=torch.int8)
    half = wide.to(torch.bfloat16)
    found = {}
    for name, product in (
        ("float32", lambda: wide @ wide),
        ("bfloat16", lambda: half @ half),
        ("int8", lambda: torch._int_mm(narrow, narrow)),
    ):
        product()
        times = []
        for _ in range(10):
            began = time.process_time()
            product()
            times.append(time.process_time() - began)
        found[name] = 2 * size**3 / min(times) / 1e9
    return found


def versions() -> str:
    import openvino
    import torch

    return f"{torch.__version__}, OpenVINO {openvino.__version__.split('-')[0]}; {processor()}"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}"


class ContenderProcess:
    """A contender in its own process."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        command = [
            sys.executable, __file__, "--worker", name, "--work", str(arguments.work),
            "--size", arguments.size, "--rows", str(arguments.rows),
            "--threads", str(arguments.threads),
        ]  # fmt: skip
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(arguments.threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "MALLOC_MMAP_THRESHOLD_": "33554432",
            "MALLOC_TRIM_THRESHOLD_": "1073741824",
        }
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.resident_mb = 0.0

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"a contender ended with code {self._process.wait()}")
        answer = json.loads(line)
        self.resident_mb = answer["resident_mb"]
        return dict(answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def work(arguments: argparse.Namespace) -> None:
    """Be a contender: answer the questions on stdin."""
    from smolvla.measure import resident_mb

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    with contextlib.redirect_stdout(io.StringIO()):
        answer = contender(arguments)
    for line in sys.stdin:
        question = json.loads(line)
        cameras, scene = question["cameras"], question["scene"]
        random = np.random.default_rng(scene)
        images, state = random_scene(random, cameras)
        noise = random.standard_normal((50, 32), dtype=np.float32)
        if question["same"]:
            state = state + 1
        wall, cpu = time.perf_counter(), time.process_time()
        chunk = answer(images, state, noise)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        reply = {
            "chunk": np.asarray(chunk).tolist(),
            "wall_ms": wall * 1e3,
            "cpu_ms": cpu * 1e3,
            "resident_mb": resident_mb(),
        }
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def contender(arguments: argparse.Namespace) -> Any:
    """Load a contender and return its function of images, state and noise."""
    from vla_policies import Observation
    from vla_policies.protocol import STATE

    chosen = contenders(arguments).get(arguments.worker)
    if chosen is None or chosen["library"] == "lerobot":
        import lerobot_reference as lerobot
        import torch

        torch.set_num_threads(arguments.threads)
        lerobot.import_lerobot()
        lerobot.exact_patch_positions()
        folder = arguments.work / f"{arguments.size}_bfloat16_3"
        return lerobot.LerobotPolicy(folder, "float32" if chosen is None else "bfloat16")

    from smolvla.policy import make

    policies: dict[int, Any] = {}
    options = {
        "checkpoint": str(chosen["folder"]),
        "dt_s": 1 / 30,
        "rows": chosen["rows"],
        "threads": arguments.threads,
        "joints": dict.fromkeys(JOINTS, "rad"),
    }
    if not (chosen["folder"] / "bundle.json").is_file():
        options["dtype"] = "bfloat16"
    whole = make(options)

    def answer(images: dict[str, Any], state: np.ndarray, noise: np.ndarray) -> np.ndarray:
        count = len(images)
        if count not in policies:
            # The same model, told that fewer cameras are there.
            policies[count] = type(whole)(
                whole._loaded, dt_s=1 / 30, action_units=whole._action_units,
                state_units=whole._state_units, sampling=whole._sampling, cameras=list(images),
            )  # fmt: skip
        observation = Observation(0, images, {STATE: state.astype(float)}, TASK)
        return policies[count].infer(observation, noise=noise).positions

    return answer


def rows_of(figures: dict[str, Any]) -> list[list[str]]:
    """Return the table's rows: cameras, contender, times with ratios, error, memory."""
    found = figures["contenders"]
    base = found["LeRobot bfloat16"]
    rows = []
    for count in base:
        for name, each in found.items():
            new, same, one = each[count][NEW], each[count][SAME], base[count]
            rows.append(
                [
                    count,
                    name,
                    f"{new['cpu_ms']:.0f}",
                    f"{one[NEW]['cpu_ms'] / new['cpu_ms']:.2f}",
                    f"{new['wall_ms']:.0f}",
                    f"{one[NEW]['wall_ms'] / new['wall_ms']:.2f}",
                    f"{same['cpu_ms']:.0f}",
                    f"{one[SAME]['cpu_ms'] / same['cpu_ms']:.1f}",
                    f"{each[count]['error']:.4f}",
                    f"{each[count]['resident_mb']:.0f}",
                ]
            )
    return rows


def peaks_of(figures: dict[str, Any]) -> str:
    found = figures["peaks"]
    each = ", ".join(f"{name} {value:.0f}" for name, value in found.items())
    return f"Large products on one thread of this machine reach, in GFLOP/s (int8: GOP/s): {each}."


HEADER = ["cameras", "", "CPU ms", "x", "wall ms", "x", "unchanged", "x", "error", "MB"]


def show(figures: dict[str, Any]) -> None:
    print(figures["run"])
    print(peaks_of(figures))
    for row in [HEADER, *rows_of(figures)]:
        print(f"{row[0]:>7} {row[1]:<28} " + " ".join(f"{cell:>9}" for cell in row[2:]))


def write(figures: dict[str, Any]) -> None:
    import pages

    header = ["cameras", "", "CPU, ms", "×", "wall, ms", "×", "unchanged images, CPU ms", "×"]
    table = pages.table([*header, "error", "resident, MB"], rows_of(figures))
    run = f"`python benchmarks/smolvla_speed.py`: {figures['run']}. {peaks_of(figures)}"
    pages.fill(pages.DOCS / "smolvla.md", {"speed run": run, "speed": table})


if __name__ == "__main__":
    main()
