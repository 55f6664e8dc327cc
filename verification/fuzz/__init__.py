# SPDX-License-Identifier: Apache-2.0
"""Inputs by the million that nobody sends, and what must hold all the same."""
