# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of others behind one interface: Meta-World, LIBERO, and what a package adds.

A benchmark runs in an environment of its own, with its own versions of everything. So nothing
here imports torch, a model or the simulator of this suite; the policy is asked over the wire.
"""
