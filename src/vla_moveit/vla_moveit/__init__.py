# SPDX-License-Identifier: Apache-2.0
"""Planned, collision-aware motion to a pose: a source of chunks like any other."""
