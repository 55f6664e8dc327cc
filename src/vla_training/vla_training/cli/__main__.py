# SPDX-License-Identifier: Apache-2.0
"""``python -m vla_training.cli``."""

import sys

from vla_training.cli import main

sys.exit(main())
