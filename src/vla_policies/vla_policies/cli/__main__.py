# SPDX-License-Identifier: Apache-2.0
"""``python -m vla_policies.cli``, where the command is not installed."""

import sys

from vla_policies.cli import main

sys.exit(main())
