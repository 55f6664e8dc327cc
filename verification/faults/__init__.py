# SPDX-License-Identifier: Apache-2.0
"""Faults on purpose: between the topics of a running system, and in campaigns without one."""
