# SPDX-License-Identifier: Apache-2.0
"""Faults on purpose: what goes wrong between the topics of a graph, by a file."""
