# SPDX-License-Identifier: Apache-2.0
"""Reinforcement of a flow policy by GRPO, with rewards that know how smoothly the arm moved."""
