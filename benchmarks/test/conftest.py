# SPDX-License-Identifier: Apache-2.0
"""Benchmarks are scripts; their tests import them as they import each other."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
