# SPDX-License-Identifier: Apache-2.0
"""What judges the suite and is not installed on a robot."""
