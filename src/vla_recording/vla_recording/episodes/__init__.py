# SPDX-License-Identifier: Apache-2.0
"""Episodes: topics as a bag while somebody acts, and at the end rows of a LeRobot dataset.

The rows are made of the bag, by the code that judged the inputs while it was recorded.
"""
