# SPDX-License-Identifier: Apache-2.0
"""`vla-eval --live`: two policies compared on an arm that runs. No ROS here."""
