# SPDX-License-Identifier: Apache-2.0
"""The node that turns cameras, joint states and an instruction into jerk-bounded plans."""
