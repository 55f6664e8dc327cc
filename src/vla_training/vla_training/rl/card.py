# SPDX-License-Identifier: Apache-2.0
"""The README.md of a reinforced checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from vla_training.rl.run import Reinforcement

_CARD = """---
library_name: lerobot
pipeline_tag: robotics
license: apache-2.0
tags: [smolvla, robotics, grpo]
---

# {name}

The checkpoint `{start}`, its action expert reinforced by GRPO in simulation with the reward
`{reward}`, in LeRobot's format. Inputs, outputs and instructions are those of the
checkpoint it began as.

    {command}

Update {update} of {updates}, each of {groups} groups of {size} rollouts. Settings:

```yaml
{settings}
```

## Limits

It was rewarded in one simulated world, with noise in the flow's steps. What it does without noise,
`vla-eval` counts.
"""


def model_card(training: Reinforcement, start: Path, command: str) -> str:
    """Return the text of a model card."""
    settings = training.settings
    return _CARD.format(
        name=training.folder.resolve().name,
        start=start,
        reward=settings.reward,
        command=command,
        update=training.update,
        updates=settings.updates,
        groups=settings.groups,
        size=settings.group_size,
        settings=yaml.safe_dump(training.rewarded.document(), sort_keys=False).rstrip(),
    )
