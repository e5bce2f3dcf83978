# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# The set-up that ./demo and ./check share. Sourced from the repository root.

say() { printf '%s\n' "$*"; }
fail() { printf '%s: %s\n' "$0" "$*" >&2; exit 1; }

# Packages of packages.txt that dpkg does not know as installed.
missing_packages() {
    sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' packages.txt | while read -r package; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
        [ "$state" = installed ] || printf '%s ' "$package"
    done
}

install_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "This is no Debian system: install what packages.txt names by hand. Trying to go on."
        return 0
    fi
    missing=$(missing_packages)
    if [ -z "$missing" ]; then
        say "Packages: all of packages.txt are installed."
        return 0
    fi
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "not root and no sudo; please install: $missing"
        sudo=sudo
    fi
    say "Packages to install${sudo:+ with sudo}: $missing"
    $sudo apt-get update -q </dev/null || fail "apt-get update failed"
    # shellcheck disable=SC2086 # a list of words
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        $missing </dev/null || fail "apt-get install failed"
}

# A compiler cache shortens repeated builds; nothing depends on it.
use_ccache() {
    if command -v ccache >/dev/null 2>&1; then
        export CMAKE_C_COMPILER_LAUNCHER="${CMAKE_C_COMPILER_LAUNCHER-ccache}"
    fi
}
