# SPDX-License-Identifier: Apache-2.0
"""Try the stop ladder on the ros2_control that is installed.

python -m verification.stop_trials --hardware mock --rate 100 --case lost_topic
python -m verification.stop_trials --page docs/measurements/ros2_control.md     # all of them
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from verification.stop_trials.cases import CASES
from verification.stop_trials.page import put
from verification.stop_trials.processes import TrialError
from verification.stop_trials.result import TrialResult, shortcomings
from verification.stop_trials.trial import Trial

RATES_HZ = (100, 1000)
HARDWARE = ("mock", "topic_based")


def main(words: Sequence[str] | None = None) -> int:
    """Run the trials.

    Returns:
        0 when every one went as it should, 1 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="python -m verification.stop_trials", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--case", choices=CASES, action="append", help="default: all")
    parser.add_argument("--hardware", choices=HARDWARE, action="append", help="default: both")
    parser.add_argument("--rate", type=int, action="append", help="Hz; default: 100 and 1000")
    parser.add_argument("--folder", type=Path, help="for the logs; default: a temporary one")
    parser.add_argument(
        "--results", type=Path, help="JSON lines to append to; what they have is not run again"
    )
    parser.add_argument("--page", type=Path, help="page whose table is renewed")
    arguments = parser.parse_args(words)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="ladder_trial_"))
    known = _known(arguments.results)
    trials: list[TrialResult] = []
    failed = False
    for hardware in arguments.hardware or HARDWARE:
        for rate_hz in arguments.rate or RATES_HZ:
            for name in arguments.case or CASES:
                if hardware not in CASES[name].rung:
                    continue
                if (name, hardware, rate_hz) in known:
                    trials.append(known[name, hardware, rate_hz])
                    continue
                place = folder / f"{name}_{hardware}_{rate_hz}"
                try:
                    measured = Trial(CASES[name], hardware, rate_hz, place).run()
                    wrong = shortcomings(measured, CASES[name])
                    trials.append(measured)
                    if arguments.results and not wrong:
                        with arguments.results.open("a") as stream:
                            stream.write(json.dumps(asdict(measured)) + "\n")
                except TrialError as error:
                    wrong = [str(error)]
                failed |= bool(wrong)
                print(f"{place.name}: {'; '.join(wrong) or 'as it should'}", flush=True)
    if arguments.page:
        put(arguments.page, trials)
    return int(failed)


def _known(results: Path | None) -> dict[tuple[str, str, int], TrialResult]:
    """Return the trials of a file by case, hardware and rate."""
    if results is None or not results.exists():
        return {}
    lines = results.read_text().splitlines()
    trials = [TrialResult(**json.loads(line)) for line in lines]
    return {(trial.case, trial.hardware, trial.rate_hz): trial for trial in trials}


if __name__ == "__main__":
    sys.exit(main())
