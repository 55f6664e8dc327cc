# SPDX-License-Identifier: Apache-2.0
"""A simulated arm at the other end of libfranka's wire, which aborts as Franka's Control does."""
