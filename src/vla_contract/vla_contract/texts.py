# SPDX-License-Identifier: Apache-2.0
"""Instructions and names as people write them, in any language."""

# Of no width, and no control characters: Persian and Hindi write words with them, and some emoji
# are made of them. To Python they are not printable.
_JOINERS = dict.fromkeys((0x200C, 0x200D))


def visible(text: str) -> str:
    """Return a text without what joins its letters, to be judged by `isprintable` and `strip`."""
    return text.translate(_JOINERS)
