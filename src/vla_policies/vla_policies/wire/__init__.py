# SPDX-License-Identifier: Apache-2.0
"""A policy across a network: MessagePack on WebSockets, understood by openpi's too."""
