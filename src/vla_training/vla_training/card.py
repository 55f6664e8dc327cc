# SPDX-License-Identifier: Apache-2.0
"""The README.md of a checkpoint: what it was trained on, how, and what its figures were."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vla_training.imitate import LOSSES, Imitation, parameter_count
from vla_training.lessons import Lessons
from vla_training.metrics import CSV_FILE

_CARD = """---
library_name: lerobot
pipeline_tag: robotics
license: apache-2.0
tags: [smolvla, robotics]
---

# {name}

SmolVLA's architecture with {weights:.2f} million weights ({layers} layers of {hidden}), trained
from {start} by `vla-train imitate`, in LeRobot's format.

- Inputs: {inputs}, `observation.state` ({units}: {states}), an instruction.
- Output: {rows} rows, {dt_s:g} s apart, of {joints}, {units}.
- Columns that are offsets from the measured joint; the contract has to name them under
  `relative`: {relative}.
- Instructions that it was trained with: {known}, such as "{example}".

## Trained with

| dataset | rows |
| --- | --- |
{data}

    {command}

Step {step} of {steps}; the weights are averages over steps (decay {ema:g}). Settings:

```yaml
{settings}
```

Losses at the end: {figures}. They say nothing of success: `vla-eval` counts that.

## Limits

It knows the scenes, things and words of its data, and nothing else.
"""


def model_card(
    training: Imitation, lessons: Lessons, command: str, datasets: Sequence[Path]
) -> str:
    """Return the text of a model card.

    Args:
        training: The run.
        lessons: Its data.
        command: That repeats it.
        datasets: Folders of the data.
    """
    settings, info, config = training.settings, lessons.info, training.checkpoint.config
    text = training.checkpoint.shapes.text
    counts = np.diff(lessons.bounds).tolist()
    start = "nothing" if training.base is None else str(training.base)
    inputs = (f"`{name}` ({size[0]} x {size[1]})" for name, size in info.cameras.items())
    return _CARD.format(
        name=training.folder.resolve().name,
        weights=parameter_count(training.model) / 1e6,
        layers=text.layers,
        hidden=text.hidden,
        start=start,
        inputs=", ".join(inputs),
        rows=config.chunk_size,
        dt_s=1.0 / info.fps,
        joints=", ".join(info.joints),
        states=", ".join(info.state_names),
        units=info.units or "units not said",
        relative=", ".join(settings.relative) or "none",
        known=sum(map(len, info.instructions)),
        example=info.instructions[0][0],
        data="\n".join(
            f"| `{folder.name}` | {count} |"
            for folder, count in zip(datasets, counts, strict=True)
        ),
        command=command,
        step=training.step,
        steps=settings.steps,
        ema=settings.ema,
        settings=yaml.safe_dump(_said(training), sort_keys=False).strip(),
        figures=_figures(training.folder),
    )


def _said(training: Imitation) -> dict[str, Any]:
    """Return the settings; those of a model from nothing say nothing of one that was there."""
    document = training.settings.document()
    return {key: document[key] for key in document if key != "size" or training.base is None}


def _figures(folder: Path) -> str:
    with (folder / CSV_FILE).open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if not lines:
        return "none yet"
    last = lines[-1]
    return ", ".join(f"{name} {last[name]}" for name in LOSSES)
