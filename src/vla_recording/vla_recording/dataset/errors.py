# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a dataset, in one line."""


class DatasetError(ValueError):
    """A dataset cannot be written or read. The message names the file or key and the remedy."""


class VideoError(DatasetError):
    """A video cannot be written: what was under way of it is lost."""
