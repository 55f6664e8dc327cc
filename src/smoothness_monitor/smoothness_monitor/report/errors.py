# SPDX-License-Identifier: Apache-2.0
"""What keeps a report from being made."""


class ReportError(ValueError):
    """No report can be made. The message is one line that names the file and says what to do."""
