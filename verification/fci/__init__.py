# SPDX-License-Identifier: Apache-2.0
"""The controller's reference through Franka's control interface: the real client, its reflexes."""
