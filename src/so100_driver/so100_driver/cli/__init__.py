# SPDX-License-Identifier: Apache-2.0
"""`so101`: look at an arm, and simulate one."""
