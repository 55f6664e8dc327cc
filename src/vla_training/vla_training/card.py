# SPDX-License-Identifier: Apache-2.0
"""The README.md of a checkpoint: what it was trained on, how, and what its figures were."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import yaml

from vla_training.imitate import Imitation, parameter_count
from vla_training.lessons import Lessons
from vla_training.metrics import CSV_FILE
from vla_training.settings import ImitationSettings


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
    settings, info = training.settings, lessons.info
    relative = ", ".join(settings.relative) or "none"
    text, figures = training.checkpoint.shapes.text, _figures(training.folder)
    counts = [int(high - low) for low, high in zip(lessons.bounds, lessons.bounds[1:], strict=False)]
    data = "\n".join(
        f"| `{folder.name}` | {count} |" for folder, count in zip(datasets, counts, strict=True)
    )
    return f"""---
library_name: lerobot
pipeline_tag: robotics
license: apache-2.0
tags: [smolvla, robotics]
---

# {training.folder.resolve().name}

SmolVLA's architecture at {parameter_count(training.model) / 1e6:.2f} million weights ({text.layers} layers of
{text.hidden}), trained from {"nothing" if training.base is None else training.base} by `vla-train imitate`.
LeRobot 0.4.4 reads it too.

- Inputs: {", ".join(f"`{name}` ({size[0]} x {size[1]})" for name, size in info.cameras.items())}, `observation.state`, an instruction.
- Output: {training.checkpoint.config.chunk_size} rows, {1.0 / info.fps:g} s apart, of {", ".join(info.joints)}, rad.
- Columns that are offsets from the measured joint (set `relative` in the contract): {relative}.
- Known instructions: {sum(map(len, info.instructions))}, such as "{info.instructions[0][0]}".

## Trained with

| dataset | rows |
| --- | --- |
{data}

    {command}

Step {training.step} of {settings.steps}; the weights are averages over steps (decay {settings.ema:g}). Settings:

```yaml
{yaml.safe_dump(_set(settings), sort_keys=False).strip()}
```

Losses at the end: {figures}. They say nothing of success: `vla-train try` counts that.

## Limits

It knows the scenes, things and words of its data, and nothing else. What it does elsewhere has not been looked at.
"""


def _set(settings: ImitationSettings) -> dict[str, object]:
    return settings.document()


def _figures(folder: Path) -> str:
    with (folder / CSV_FILE).open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if not lines:
        return "none yet"
    last = lines[-1]
    return ", ".join(f"{name} {last[name]}" for name in ("flow", "find", "point", "away", "phase"))
