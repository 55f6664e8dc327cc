# SPDX-License-Identifier: Apache-2.0
"""Units as data: each one knows the factor to SI, so that every conversion can be undone."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Unit:
    """A unit of angle (or of its derivatives) and its size in SI.

    Attributes:
        name: As a contract spells it.
        si: Radians in one unit.
    """

    name: str
    si: float

    def to_si(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert values in this unit to radians."""
        return values * self.si

    def from_si(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert radians to this unit."""
        return values / self.si


UNITS = {unit.name: unit for unit in (Unit("rad", 1.0), Unit("deg", math.pi / 180.0))}
