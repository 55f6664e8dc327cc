# SPDX-License-Identifier: Apache-2.0
"""The operator's page in a browser: see the arm, stop it, reset it, instruct it."""
