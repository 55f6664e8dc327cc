# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire, as pure functions: the rmw_zenoh protocol's keys and formats."""
