# SPDX-License-Identifier: Apache-2.0
"""Tests use `verification`, which is not installed: it lies here, at the top of the repository."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
