# SPDX-License-Identifier: Apache-2.0
"""The one reader of YAML files that people write. Imports nothing but PyYAML."""

from strict_yaml.reader import MAX_BYTES, StrictYamlError, parse_yaml, read_yaml

__all__ = ["MAX_BYTES", "StrictYamlError", "parse_yaml", "read_yaml"]
