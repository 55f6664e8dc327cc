# SPDX-License-Identifier: Apache-2.0
"""Convert a SmolVLA checkpoint to a bundle that runs faster, with a report of its errors.

Observations, for the report and to calibrate int8 and mixed, are .npz files with
observation.state in the checkpoint's units, task, and a uint8 RGB array for each camera. Every
fourth is for the report alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_policies.protocol import PolicyError

INSTALL = "./src/smolvla[convert]"
HELD_OUT = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", type=Path, help="a LeRobot checkpoint folder")
    parser.add_argument("folder", type=Path, help="a new folder for the bundle")
    parser.add_argument("--backend", choices=["openvino"], default="openvino")
    parser.add_argument(
        "--precision", choices=["float32", "bfloat16", "mixed", "int8"], default="bfloat16",
        help="of the computation; mixed is int8 where --error allows it (default: bfloat16)",
    )  # fmt: skip
    parser.add_argument(
        "--error", type=float, default=0.02,
        help="of mixed: largest error over standard deviation of an action (default: 0.02)",
    )  # fmt: skip
    parser.add_argument("--observations", type=Path, help="a folder of observations")
    parser.add_argument("--statistics", type=Path, help="replaces those of the checkpoint")
    parser.add_argument("--patch-positions", choices=["exact", "shifted"])
    parser.add_argument("--threads", type=int, default=0, help="0: the libraries' choice")


def run(arguments: argparse.Namespace) -> int:
    """Convert, compare, report."""
    from smolvla.bundle import QUANTISED
    from smolvla.checkpoint import read_checkpoint
    from smolvla.export import convert, new_folder, note
    from smolvla.hardware import lacks_bfloat16
    from smolvla.loading import load_bundle, load_checkpoint
    from smolvla.parity import answers, compare
    from smolvla.samples import random_samples, read_samples

    if arguments.precision in QUANTISED:
        from smolvla.quantise import quantise

    # First what takes no time, then what takes minutes.
    problem = lacks_bfloat16(arguments.precision)
    if problem:
        raise PolicyError(f"--precision: {problem}")
    checkpoint = read_checkpoint(
        arguments.checkpoint,
        statistics=arguments.statistics,
        patch_positions=arguments.patch_positions,
    )
    to_quantise = arguments.precision in QUANTISED
    if not arguments.error > 0.0:
        raise PolicyError(f"--error {arguments.error:g}: give a number above 0")
    if arguments.observations is not None:
        samples = read_samples(arguments.observations, checkpoint.config)
        report = samples[HELD_OUT - 1 :: HELD_OUT] or samples
        calibration = [s for i, s in enumerate(samples) if i % HELD_OUT != HELD_OUT - 1]
        source = f"{len(report)} of {arguments.observations}"
    elif to_quantise:
        raise PolicyError(
            f"{arguments.precision} needs observations to calibrate by; record some dozens of the "
            "robot at work and give their folder with --observations"
        )
    else:
        report = random_samples(checkpoint.config, checkpoint.processing, 2)
        source = "2 of noise; give --observations for a report that counts"
    with new_folder(arguments.folder) as folder:
        print(f"converting {arguments.checkpoint} ...", flush=True)
        convert(checkpoint, folder, arguments.precision)
        if to_quantise:
            print(f"quantising by {len(calibration)} observations ...", flush=True)
            quantise(
                checkpoint, folder, calibration, threads=arguments.threads,
                allowed=arguments.error if arguments.precision == "mixed" else None,
            )  # fmt: skip
        print(f"comparing with torch in float32 on {source} ...", flush=True)
        exact = load_checkpoint(checkpoint, "float32", threads=arguments.threads)
        first = answers(exact, report)
        exact.backend.close()
        fast = load_bundle(folder, threads=arguments.threads)
        parity = compare(first, answers(fast, report))
        fast.backend.close()
        note(folder, "parity", {"observations": source, **parity.report()})
    print("action column   largest error      rms error   standard deviation")
    for index, (largest, rms, std) in enumerate(
        zip(parity.largest, parity.rms, parity.std, strict=True)
    ):
        print(f"{index:>13} {largest:15.3g} {rms:14.3g} {std:20.3g}")
    print(f"largest error / standard deviation: {parity.worst:.2g}")
    return 0
