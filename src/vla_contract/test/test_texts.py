# SPDX-License-Identifier: Apache-2.0
"""Which texts can be shown."""

import pytest

from vla_contract.texts import visible


@pytest.mark.parametrize(
    "text",
    [
        "put the red cube in the bin",
        "مکعب قرمز را بردار و می\u200cگذاری",
        "लाल घन को डिब्बे में रखो \u0915\u094d\u200d\u0937",
        "把红色方块放进盒子",
        "Ann \U0001f469\u200d\U0001f527",
    ],
)
def test_words_of_every_language_can_be_shown(text):
    assert visible(text).isprintable()


@pytest.mark.parametrize(
    "text", ["a\nb", "a\tb", "\x07", "\u202eetirw", "\ud800", "\u2066x", "\ufeffx", "\x7f"]
)
def test_what_moves_or_hides_other_letters_cannot(text):
    assert not visible(text).isprintable()


def test_what_only_joins_is_nothing():
    assert visible("\u200d \u200c").strip() == ""
