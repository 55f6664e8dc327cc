# SPDX-License-Identifier: Apache-2.0
"""How an instruction may be said: what a policy is trained with, and what it has never heard."""

from __future__ import annotations

SPOKEN = (
    "put the {} cube in the bin",
    "put the {} cube into the bin",
    "drop the {} cube into the bin",
    "place the {} block in the bin",
    "pick up the {} cube and put it in the bin",
    "move the {} cube to the bin",
    "throw the {} block into the bin",
    "the {} cube goes into the bin",
    "bring the {} cube to the bin",
    "take the {} one and drop it in the bin",
    "please put the {} block in the bin",
    "{} cube, into the bin",
)
UNHEARD = (
    "could you place the {} cube inside the bin",
    "grab the {} block and drop it in the bin",
    "get the {} cube and leave it in the bin",
    "i want the {} cube in the bin",
    "now move the {} block into the bin please",
)
