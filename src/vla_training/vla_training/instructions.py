# SPDX-License-Identifier: Apache-2.0
"""How an instruction may be said: what a policy is trained with, and what it has never heard.

Words cost no pictures, so there are many ways to say the same: with few, a policy learns the
sentences by heart and understands no other.
"""

from __future__ import annotations

from itertools import cycle, product

_THINGS = (
    "the {} cube",
    "the {} block",
    "the {} one",
    "the small {} cube",
    "the cube that is {}",
    "that {} block",
)
_PLACES = ("in the bin", "into the bin", "in the box", "into the container")
_SENTENCES = (
    "put {thing} {place}",
    "drop {thing} {place}",
    "place {thing} {place}",
    "move {thing} {place}",
    "throw {thing} {place}",
    "take {thing} and drop it {place}",
    "pick up {thing} and put it {place}",
    "lift {thing}, then lower it {place}",
    "find {thing} and bring it {place}",
    "please put {thing} {place}",
    "lay {thing} {place}, please",
    "{thing} goes {place}",
    "{thing}, {place}",
    "{thing} belongs {place}",
    "robot, carry {thing} {place}",
    "your task: set {thing} {place}",
    "can {thing} be put {place}?",
    "we need {thing} {place}",
    "next, toss {thing} {place}",
    "clean up: {thing} must go {place}",
    "do not touch any other, only put {thing} {place}",
    "look for {thing} and deliver it {place} with care",
    "it is time to tidy {thing} away {place}",
    "this time let us see {thing} {place}",
)
# Long ones, with much that says nothing.
_LONG = (
    "well, since everybody has gone home already, put the {} cube in the bin",
    "whatever else may be lying around on this table, the {} block goes into the bin",
    "before anything else happens here, kindly transfer the {} one from the table to the bin",
    "of those three things in front of the camera the {} one should finally be thrown in the bin",
    "my colleague told me yesterday evening that the {} cube was to be put into the container",
    "slowly and without any hurry whatsoever bring the {} cube into the box, thank you very much",
    "it would be rather nice, if it is not too much trouble, to see the {} block in the bin",
    "three cubes are here; forget two of them; the {} one is to be dropped in the bin",
    "excuse me, kind machine, the {} cube has no business being on the table: into the bin",
    "both others stay where they are while the {} block is taken away into the box",
)

SPOKEN = (
    "put the {} cube in the bin",
    "{} cube, into the bin",
    *_LONG,
    *(
        sentence.format(thing=thing, place=place)
        for (sentence, thing), place in zip(
            product(_SENTENCES, _THINGS), cycle(_PLACES), strict=False
        )
    ),
)
UNHEARD = (
    "could you place the {} cube inside the bin",
    "grab the {} block and drop it in the bin",
    "get the {} cube and leave it in the bin",
    "i want the {} cube in the bin",
    "now move the {} block into the bin please",
    "would somebody chuck the {} cube into that bin over there",
    "the bin is waiting for the {} block",
    "make sure that the {} cube ends up in the bin",
)
