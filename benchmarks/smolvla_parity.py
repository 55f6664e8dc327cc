# SPDX-License-Identifier: Apache-2.0
"""Hold our SmolVLA against LeRobot 0.4.4: the same file, the same noise, the error of each joint.

LeRobot makes a checkpoint with its own random weights and writes it; both load that file. Needs
one environment with both:

    pip install lerobot==0.4.4 "transformers==4.57.*" num2words ./src/smolvla
    python benchmarks/smolvla_parity.py --size full
    python benchmarks/smolvla_parity.py --checkpoint config/checkpoints/so101_smolvla_cubes

With ``--checkpoint`` both load the checkpoint that is named, as it is. The error is the largest
over rows, divided by the action's standard deviation over rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import lerobot_reference as lerobot
import numpy as np
import torch
from smolvla_scenes import JOINTS, TASK, random_scene

from smolvla.checkpoint import read_checkpoint
from smolvla.policy import make
from smolvla.samples import pattern_noise, pattern_sample, random_samples
from smolvla.tiny import make_tiny
from vla_policies import Observation
from vla_policies.protocol import STATE


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=list(lerobot.SIZES), default="tiny")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--observations", type=int, default=2, help="2 at least")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where to keep checkpoints between runs")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument("--golden", type=Path, help="write LeRobot's answer for the tests instead")
    parser.add_argument("--checkpoint", type=Path, help="compare this one, in float32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lerobot.import_lerobot()
    lerobot.exact_patch_positions()
    if arguments.golden:
        write_golden(arguments.golden)
        return
    if arguments.checkpoint:
        compare_checkpoint(arguments.checkpoint, arguments.observations)
        return
    work = arguments.work or Path(tempfile.mkdtemp(prefix="smolvla_parity_"))
    print(f"LeRobot 0.4.4 against ours, {arguments.size}, random weights, error / std")
    print(f"{'cameras':>7} {'computed in':<28} {'max':>9}   {'  '.join(JOINTS)}")
    rows = []
    try:
        for cameras in arguments.cameras:
            rows += compare(work, arguments, cameras)
    finally:
        if arguments.work is None:
            shutil.rmtree(work)
    if arguments.write:
        write(rows, arguments)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def compare(work: Path, arguments: argparse.Namespace, cameras: int) -> list[dict]:
    random = np.random.default_rng(cameras)
    scenes = [
        (*random_scene(random, cameras), random.standard_normal((50, 32), dtype=np.float32))
        for _ in range(arguments.observations)
    ]
    theirs, ours = {}, {}
    for dtype in arguments.dtypes:
        folder = work / f"{arguments.size}_{dtype}_{cameras}"
        if not folder.exists():
            lerobot.make_checkpoint(folder, arguments.size, dtype, cameras)
        reference = lerobot.LerobotPolicy(folder, dtype)
        theirs[dtype] = [reference(*scene) for scene in scenes]
        del reference
        ours[dtype] = answers(folder, dtype, scenes)
        if dtype == "bfloat16":
            # What bfloat16 itself costs, in both: against the same file computed in float32.
            ours["bfloat16 file in float32"] = answers(folder, "float32", scenes)
    found = []
    # How much there is to get right: what another image and another state do to the action.
    first, last, any_dtype = scenes[0], scenes[-1], arguments.dtypes[0]
    folder = work / f"{arguments.size}_{any_dtype}_{cameras}"
    for name, other in (
        ("another image", (last[0], first[1], first[2])),
        ("another state", (first[0], last[1], first[2])),
    ):
        moved = answers(folder, any_dtype, [other])
        found.append(report(cameras, f"{name}, ours", moved, ours[any_dtype][:1]))
    for dtype in arguments.dtypes:
        found.append(report(cameras, f"{dtype}, ours - LeRobot", ours[dtype], theirs[dtype]))
    if "bfloat16" in ours:
        exact = ours["bfloat16 file in float32"]
        found.append(report(cameras, "bfloat16, ours - float32", ours["bfloat16"], exact))
        found.append(report(cameras, "bfloat16, LeRobot - float32", theirs["bfloat16"], exact))
    return found


def compare_checkpoint(folder: Path, observations: int) -> None:
    """Print how far apart both are on one checkpoint, in units of the action's deviation."""
    folder = folder.resolve()
    checkpoint = read_checkpoint(folder)
    samples = [pattern_sample(checkpoint.config, checkpoint.processing)]
    samples += random_samples(checkpoint.config, checkpoint.processing, observations)
    noise = pattern_noise(checkpoint.config)
    # LeRobot looks for the vision-language model from where it runs.
    here = Path.cwd()
    os.chdir(folder)
    try:
        reference = lerobot.LerobotPolicy(folder, "float32")
    finally:
        os.chdir(here)
    size = checkpoint.config.action_size
    policy = make(
        {
            "checkpoint": str(folder),
            "dt_s": 0.1,
            "joints": {f"joint_{index}": "rad" for index in range(size)},
            "dtype": "float32",
            "patch_positions": "exact",
        }
    )
    worst, moved = np.zeros(size), []
    for sample in samples:
        theirs = reference(sample.images, sample.state, noise, sample.task)[:, :size]
        seen = Observation(0, sample.images, {STATE: sample.state}, sample.task)
        ours = policy.infer(seen, noise=noise)
        worst = np.maximum(worst, np.abs(ours.positions - theirs).max(axis=0))
        moved.append(theirs)
    policy.close()
    scale = checkpoint.processing.action.scale[:size]
    spread = np.std(moved, axis=(0, 1))
    print(f"{folder.name}: {len(samples)} observations, {noise.shape[0]} rows, float32")
    print(f"largest difference: {worst.max():.1e} in the action's units")
    print(f"largest over the data's deviation: {np.max(worst / np.abs(scale)):.1e}")
    print(f"the answers themselves differ from one another by {spread.max():.1e} (deviation)")


def answers(folder: Path, dtype: str, scenes: list[tuple]) -> list[np.ndarray]:
    policy = make(
        {
            "checkpoint": str(folder),
            "dt_s": 1 / 30,
            # The checkpoint's numbers as they are: rad stands for whatever they mean.
            "joints": dict.fromkeys(JOINTS, "rad"),
            "dtype": dtype,
            "patch_positions": "exact",
        }
    )
    found = [
        policy.infer(Observation(0, images, {STATE: state}, TASK), noise=noise).positions
        for images, state, noise in scenes
    ]
    policy.close()
    return found


def report(cameras: int, name: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> dict:
    errors = [np.abs(a - b).max(axis=0) / b.std(axis=0) for a, b in zip(ours, theirs, strict=True)]
    worst = np.max(errors, axis=0)
    columns = "  ".join(f"{e:{len(j)}.1e}" for e, j in zip(worst, JOINTS, strict=True))
    print(f"{cameras:>7} {name:<28} {worst.max():9.1e}   {columns}", flush=True)
    joints = dict(zip(JOINTS, worst.tolist(), strict=True))
    return {"cameras": cameras, "computed": name, "max": float(worst.max()), **joints}


def write(rows: list[dict], arguments: argparse.Namespace) -> None:
    import pages

    run = (
        f"`python benchmarks/smolvla_parity.py --size {arguments.size}`: LeRobot 0.4.4, "
        f"transformers {transformers_version()}, torch {torch.__version__}, "
        f"{arguments.observations} observations."
    )
    header = ["cameras", "", "largest", *JOINTS]
    cells = [
        [row["cameras"], row["computed"], f"{row['max']:.1e}",
         *(f"{row[joint]:.1e}" for joint in JOINTS)]
        for row in rows
    ]  # fmt: skip
    blocks = {"parity run": run, "parity": pages.table(header, cells)}
    pages.fill(pages.DOCS / "smolvla.md", blocks)


def write_golden(path: Path) -> None:
    """Write what LeRobot computes for smolvla_tiny: a chunk, and the loss of a training step."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "tiny"
        make_tiny(folder)
        checkpoint = read_checkpoint(folder)
        sample = pattern_sample(checkpoint.config, checkpoint.processing)
        noise = pattern_noise(checkpoint.config)
        # LeRobot looks for the vision-language model from where it runs.
        here = Path.cwd()
        os.chdir(folder)
        try:
            reference = lerobot.LerobotPolicy(folder, "float32")
        finally:
            os.chdir(here)
        chunk = reference(sample.images, sample.state, noise, sample.task)
        wanted = pattern_noise(checkpoint.config)[::-1].copy()
        losses = reference.losses(sample.images, sample.state, noise, sample.task, wanted, t=0.7)
    document = {
        "made by": f"lerobot 0.4.4, transformers {transformers_version()}, float32, with exact "
        "patch positions",
        "actions": np.round(chunk.astype(float), 6).tolist(),
        "losses": np.round(losses[::7].astype(float), 6).tolist(),
    }
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def transformers_version() -> str:
    import transformers

    return str(transformers.__version__)


if __name__ == "__main__":
    main()
