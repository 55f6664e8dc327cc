# SPDX-License-Identifier: Apache-2.0
"""``vla-eval``: what a policy does in scenes that it has not seen, and how it moves there."""
