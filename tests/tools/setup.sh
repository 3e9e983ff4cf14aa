#!/bin/sh
# Installs the released MCP clients, servers and the conformance suite that the tests run against.
#
# Usage: tests/tools/setup.sh
#
# They go into .tools/ at the top of the repository, or where BARTIZAN_TOOLS says:
#   bin/node                      Node 22 (the conformance suite and the inspector need it)
#   npm/node_modules/             what package-lock.json lists
#   python/bin/python             an interpreter with what requirements.txt lists
# Chromium, for the pages, and GNOME Keyring with a D-Bus daemon, for secrets in it, are installed on the system where they
# are missing, if that is Debian's kind and this is root.
# So are the runtimes of the levels beyond `process`, runc and gVisor's runsc.
# A second call does nothing unless one of the lists has changed. Prints the folder.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
tools=${BARTIZAN_TOOLS:-$here/../../.tools}

fail() {
    echo "setup.sh: $1" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null 2>&1 || fail "'$1' is missing; $2"
}

need sha256sum "install coreutils"
mkdir -p "$tools"
tools=$(CDPATH='' cd -- "$tools" && pwd)
stamp=$tools/stamp
wanted=$(cat "$here/setup.sh" "$here/package-lock.json" "$here/requirements.txt" | sha256sum | cut -d' ' -f1)

current() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]
}

install_npm() {
    mkdir -p "$tools/npm" "$tools/bin"
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$tools/npm/"
    (cd "$tools/npm" && npm ci --loglevel=error >&2) || fail "npm could not install the packages (see above); is the registry reachable?"
    for arch in x64 arm64; do
        node=$tools/npm/node_modules/node-linux-$arch/bin/node
        [ -x "$node" ] && ln -sf "../npm/node_modules/node-linux-$arch/bin/node" "$tools/bin/node"
    done
    "$tools/bin/node" --version >/dev/null 2>&1 || fail "no Node 22 binary for this machine ($(uname -sm)); Linux on x86-64 and arm64 have one"
}

install_python() {
    rm -rf "$tools/python"
    python3 -m venv "$tools/python" >&2 || fail "python3 cannot make a virtual environment; install python3-venv"
    "$tools/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$here/requirements.txt" >&2 || fail "pip could not install the packages (see above); is the index reachable?"
}

# A real keyring, and the bus that it is reached by. They belong to the machine as well.
install_keyring() {
    command -v gnome-keyring-daemon >/dev/null 2>&1 && command -v dbus-daemon >/dev/null 2>&1 && command -v secret-tool >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
    exec 7>"$tools/lock-keyring"
    flock 7
    command -v gnome-keyring-daemon >/dev/null 2>&1 && command -v dbus-daemon >/dev/null 2>&1 && command -v secret-tool >/dev/null 2>&1 && return
    keyring="env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends dbus-daemon dbus-bin gnome-keyring libsecret-tools"
    $keyring >&2 || { apt-get update -qq >&2 && $keyring >&2; } || echo "setup.sh: gnome-keyring could not be installed" >&2
}

# What gives the levels of confinement beyond the first. Each is tried where it is.
install_runtimes() {
    # An ordinary PATH has no place of system programs.
    missing=
    for runtime in runc runsc; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$runtime" >/dev/null 2>&1 || missing="$missing $runtime"
    done
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
    exec 6>"$tools/lock-runtimes"
    flock 6
    # One at a time: not every distribution has both.
    for runtime in $missing; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$runtime" >/dev/null 2>&1 && continue
        package="env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $runtime"
        $package >&2 || { apt-get update -qq >&2 && $package >&2; } || echo "setup.sh: $runtime could not be installed" >&2
    done
}

# A browser is not in the stamp: it belongs to the machine, and may be gone while the rest is there. Without one, the
# tests that need it say so.
install_browser() {
    command -v chromium >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
    exec 8>"$tools/lock-browser"
    flock 8
    command -v chromium >/dev/null 2>&1 && return
    browser="env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium"
    $browser >&2 || { apt-get update -qq >&2 && $browser >&2; } || echo "setup.sh: chromium could not be installed" >&2
}

install_browser
install_keyring
install_runtimes
if ! current; then
    need npm "install Node.js with npm"
    need python3 "install python3 and python3-venv"
    need flock "install util-linux"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "python3 is older than 3.10"
    python3 -c 'import ensurepip, venv' 2>/dev/null || fail "python3 has no venv or ensurepip module; install python3-venv"
    # Test programs may call this at the same time: one installs, the others wait and find it done.
    exec 9>"$tools/lock"
    flock 9
    if ! current; then
        install_npm
        install_python
        echo "$wanted" >"$stamp"
    fi
fi
echo "$tools"
