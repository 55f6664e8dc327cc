# SPDX-License-Identifier: Apache-2.0
"""What every node of the suite has: start and end, the clock of the motion, tables of itself."""
