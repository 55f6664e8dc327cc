# SPDX-License-Identifier: Apache-2.0
"""From the description of an arm, a URDF, to its folder: limits, model, thresholds, contracts."""
