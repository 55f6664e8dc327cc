# SPDX-License-Identifier: Apache-2.0
"""Launch files, configuration and the demonstration that runs and measures episodes."""
