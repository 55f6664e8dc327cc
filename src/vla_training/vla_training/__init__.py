# SPDX-License-Identifier: Apache-2.0
"""Learn a policy: demonstrations in a simulated world, imitation, evaluation. Imports no ROS."""
