# SPDX-License-Identifier: Apache-2.0
"""Recordings of a robot: the black box that makes them, the report that judges them."""
