# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with an episode."""


class EpisodeError(ValueError):
    """An episode cannot be recorded, converted or changed. One line: what is wrong, what to do."""
