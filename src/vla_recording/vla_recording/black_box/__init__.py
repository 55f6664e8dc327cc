# SPDX-License-Identifier: Apache-2.0
"""The black box: the last seconds of every topic in memory, written as a bag when the arm stops.

A process of its own: it takes nothing from the monitor's time and outlives it.
"""
