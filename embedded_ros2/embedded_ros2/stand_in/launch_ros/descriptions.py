# SPDX-License-Identifier: Apache-2.0
"""Descriptions of parameters."""

from .parameter_descriptions import Parameter, ParameterFile, ParameterValue

__all__ = ["Parameter", "ParameterFile", "ParameterValue"]
