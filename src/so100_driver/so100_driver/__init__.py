# SPDX-License-Identifier: Apache-2.0
"""Driver of the SO-100 and SO-101 arms: the Feetech bus, its calibration, its protection."""
