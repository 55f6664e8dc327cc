#!/bin/sh
# Bring a headless OpenGL (EGL from Mesa, else OSMesa) where there is none: the simulated cameras need one.
set -eu

# Debian keeps ldconfig where only root's PATH leads.
PATH=$PATH:/usr/sbin:/sbin

has() { ldconfig -p 2>/dev/null | grep -q "$1"; }

if has libEGL.so.1 && has libGL.so.1 && { has libEGL_mesa.so.0 || has libEGL_nvidia.so.0; }; then
    exit 0
fi
if has libOSMesa.so; then
    exit 0
fi

packages="libegl1 libgl1 libgl1-mesa-dri"
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        echo "installing $packages for headless rendering"
        apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages >/dev/null && exit 0
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        echo "installing $packages for headless rendering"
        sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends $packages >/dev/null && exit 0
    fi
fi
echo "The simulated cameras need a headless OpenGL. On Debian or Ubuntu: sudo apt install $packages" >&2
exit 1
