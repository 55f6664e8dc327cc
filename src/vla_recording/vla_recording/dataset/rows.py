# SPDX-License-Identifier: Apache-2.0
"""Rows of a contract: what is recorded is what the policy sees, and what was commanded.

Both go through `vla_contract`: a row is made of the observation that its buffer assembled, with
its sizes, order and units, and an observation is made again of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vla_contract.contract import Contract, StateSource
from vla_contract.observation import Assembled
from vla_policies import Observation
from vla_recording.dataset.errors import DatasetError
from vla_recording.dataset.features import STRING, TIME, VIDEO, Feature, picture, vector
from vla_recording.dataset.reader import Dataset

ACTION = "action"
# How old each part of the observation was, how far apart they were, and when it really was.
AGE, SKEW = "timing.age_s", "timing.skew_s"
# Who held the arm, and whether that was somebody other than the policy, as LeRobot marks it.
HOLDER, INTERVENTION = "source", "intervention"
# LeRobot's endings of a joint's name.
_ENDINGS = {"position": ".pos", "velocity": ".vel"}


class ContractRows:
    """Makes rows of the observations of one contract, an episode after the other."""

    def __init__(
        self,
        contract: Contract,
        image_sizes: Mapping[str, tuple[int, int]],
        *,
        stored: str = VIDEO,
        timing: bool = True,
        holder: bool = False,
    ) -> None:
        """Say what a row has.

        Args:
            contract: Narrowed to the policy, so that its features are the policy's.
            image_sizes: Height and width of each image feature, pixels.
            stored: ``video`` or ``image``: how pictures are kept.
            timing: Keep age and skew of the parts, and the true time, beside each row.
            holder: Keep who held the arm beside each row.

        Raises:
            DatasetError: A size is missing.
        """
        self._contract, self._timing, self._holder = contract, timing, holder
        self._began_ns: int | None = None
        features: dict[str, Feature] = {}
        for image in contract.images:
            if image.feature not in image_sizes:
                raise DatasetError(f"{contract.path}: {image.feature}: its size is not given")
            features[image.feature] = picture(*image_sizes[image.feature], stored)
        for state in contract.states:
            names = _names(state.joints, state.field)
            features[state.feature] = vector(names, units=_unit(state))
        columns = _names(contract.action_joints, "position")
        features[ACTION] = vector(columns, units=contract.action_unit.name)
        if timing:
            sources = [source.feature for source in contract.sources]
            features[AGE] = vector(sources, units="s")
            features[SKEW] = vector(["skew"], units="s")
            features[TIME] = vector(["time"], "float64", units="s")
        if holder:
            features[HOLDER] = Feature(STRING, (1,))
            features[INTERVENTION] = Feature("bool", (1,))
        self.features: Mapping[str, Feature] = features

    def begin_episode(self) -> None:
        """Let the next row be the first of an episode."""
        self._began_ns = None

    def row(
        self,
        assembled: Assembled,
        action: ArrayLike,
        now_ns: int | None = None,
        *,
        holder: str = "",
        intervention: bool = False,
    ) -> dict[str, Any]:
        """Return a row for `DatasetWriter.add_frame`.

        Args:
            assembled: What the policy sees.
            action: (J,) what is commanded, in the contract's order and units.
            now_ns: When it was assembled, on the clock of its stamps; needed with `timing`.
            holder: Who held the arm, empty where nobody did; kept with `holder`.
            intervention: That was somebody other than the policy; kept likewise.

        Raises:
            DatasetError: The time or a stamp is not given.
        """
        seen = assembled.observation
        row: dict[str, Any] = {**seen.images, **seen.state, ACTION: np.asarray(action)}
        if self._holder:
            row |= {HOLDER: holder, INTERVENTION: np.array([intervention])}
        if self._timing:
            if now_ns is None:
                raise DatasetError(f"{TIME}: the time of the row is not given; give now_ns")
            lacks = [s.feature for s in self._contract.sources
                     if s.feature not in assembled.stamps_ns]  # fmt: skip
            if lacks:
                raise DatasetError(f"{AGE}: {', '.join(lacks)}: the stamp is not given")
            if self._began_ns is None:
                self._began_ns = now_ns
            row[AGE] = np.array(
                [
                    (now_ns - assembled.stamps_ns[source.feature]) * 1e-9
                    for source in self._contract.sources
                ]
            )
            row[SKEW] = np.array([assembled.skew_ns * 1e-9])
            row[TIME] = np.array([(now_ns - self._began_ns) * 1e-9])
        return row


def observation(dataset: Dataset, index: int) -> Observation:
    """Return what a policy saw at a row of a dataset.

    Its stamp is the row's time in its episode. The state has the precision of the file, float32.

    Raises:
        DatasetError: There is no such row, or a file is damaged.
    """
    row = dataset.row(index)
    images, state = {}, {}
    for name, feature in dataset.features.items():
        if feature.is_picture:
            images[name] = row[name]
        elif name.startswith("observation."):
            state[name] = np.asarray(row[name], dtype=np.float64)
    stamp_ns = round(float(row["frame_index"][0]) / dataset.fps * 1e9)
    return Observation(stamp_ns, images, state, row["task"])


def _names(joints: Sequence[str], field: str) -> list[str]:
    return [joint + _ENDINGS[field] for joint in joints]


def _unit(state: StateSource) -> str:
    return state.unit.name if state.field == "position" else f"{state.unit.name}/s"
