# SPDX-License-Identifier: Apache-2.0
"""``python -m embedded_ros2.cli``: the command line without its script."""

import contextlib
import os
import sys

from embedded_ros2.cli import main

if __name__ == "__main__":
    # `python -m` puts the working folder in front, where any folder would pass for a package.
    with contextlib.suppress(ValueError):
        sys.path.remove(os.getcwd())
    sys.exit(main())
