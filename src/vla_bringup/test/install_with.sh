#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Usage: install_with.sh PYTHON FOLDER CONSTRAINTS
# Install the suite into a new environment with the versions that a file names. One package alone first: it must
# bring what it needs of the others, and its command must run.
set -eu
python=$1 folder=$2 constraints=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$folder"
pip="$folder/bin/pip --quiet --disable-pip-version-check"
$pip install --constraint "$constraints" setuptools wheel hatchling
# What has no build for this Python is built by what the file names, not by the newest of it.
grep -q '^Cython' "$constraints" && $pip install --constraint "$constraints" Cython
install="$pip install --constraint $constraints --no-build-isolation"

$install ./src/smoothness_monitor
(cd "$work" && "$OLDPWD/$folder/bin/smoothness" --help >/dev/null)
$install './src/embedded_ros2[bag,vision]' './src/vla_bringup[embedded]' hypothesis pytest
