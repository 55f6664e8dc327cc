# SPDX-License-Identifier: Apache-2.0
"""Signals reach what the tests start, wherever the tests themselves are started from."""

import signal

# Behind nohup or in a shell's background these are ignored, and a child would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
