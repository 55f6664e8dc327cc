#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Usage: install_with.sh PYTHON FOLDER CONSTRAINTS
# Install the suite into a new environment with the versions that a file names. One package alone first: it must
# bring what it needs of the others, and its command must run. Exits with 75 where pip could not install.
set -eu
python=$1 folder=$2 constraints=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Two of these may run at once: each builds in sources of its own.
cp -R src embedded_ros2 launch config "$work"
rm -rf "$work"/src/*/build "$work"/src/*/*.egg-info
# Most of what is installed is never imported here: what is, gets compiled when it is.
export PIP_NO_COMPILE=1
"$python" -m venv "$folder" || exit 75
pip() {
    "$folder/bin/pip" --quiet --disable-pip-version-check install --constraint "$constraints" "$@" || exit 75
}
# Where it was installed before, only the suite itself is installed anew.
"$folder/bin/pip" -qq uninstall --yes embedded_ros2 $(ls src)
pip setuptools wheel hatchling
# What has no build for this Python is built by what the file names, not by the newest of it.
if grep -q '^Cython' "$constraints"; then pip Cython; fi

pip --no-build-isolation "$work/src/vla_recording"
(cd "$work" && "$OLDPWD/$folder/bin/smoothness" --help >/dev/null)
pip --no-build-isolation "$work/embedded_ros2[bag]" "$work/src/vla_bringup[embedded]" \
    "$work/src/smolvla" "$work/src/so100_driver" "$work/src/vla_training" hypothesis pytest
