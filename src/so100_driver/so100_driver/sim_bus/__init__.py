# SPDX-License-Identifier: Apache-2.0
"""A bus of simulated STS3215 servos that speaks the real protocol over a pseudo-terminal."""
