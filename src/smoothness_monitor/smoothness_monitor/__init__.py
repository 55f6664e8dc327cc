# SPDX-License-Identifier: Apache-2.0
"""The only writer to the controller's topics: gate, detectors and a latching stop."""
