# SPDX-License-Identifier: Apache-2.0
"""Words that nobody reads must not hold up the stop; see `smooth_motion.output`."""

from smooth_motion.output import never_waiting

__all__ = ["never_waiting"]
