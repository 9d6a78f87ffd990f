#!/usr/bin/env bash
# on.sh: the tests on another Debian, in a root made for it.
#
#   tests/on.sh SUITE [FILTER]     what ./build.sh test --on SUITE [FILTER] calls
#   tests/on.sh SUITE --service [PACKAGE.deb]
#                                  makes the package there, or takes that one, and tries it on a
#                                  machine with systemd: tests/service/
#
#   tests/on.sh arm64 [FILTER]     compiled for ARM on Debian 12, its unit tests and the simulation
#                                  under qemu's emulation of one process, which has no io_uring
#
# The root is below build/roots/SUITE and is kept, with what was built in it; take it away with
# `rm -r`, as root. It is Debian's own packages and nothing of this machine but the kernel. The
# source tree is mounted in it for reading, by a name that nothing else has, as a test looks for it
# in what is installed; the build goes into the root. Mounts are those of a namespace, and go with
# the command.
#
# Needs root, and mmdebstrap. No browsers and no linters: those are tried on Debian 12.
set -euo pipefail

readonly SUITE="$1" FILTER="${2:-}"
SOURCE="$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")"
readonly SOURCE
readonly ROOT="$SOURCE/build/roots/$SUITE"
readonly MIRROR="http://deb.debian.org/debian"
readonly LEFT_OUT='chromium|chromium-driver|firefox-esr|python3-selenium|prometheus'

# listed GROUPS: of build.sh's list.
listed() {
    sed -n "/^readonly PACKAGES='/,/^'/p" "$SOURCE/build.sh" |
        awk -F'|' -v groups="^($1) *\$" '$1 ~ groups { gsub(/ /, "", $2); print $2 }'
}

# The tools are this machine's, the libraries the other's.
packages_arm64() {
    echo crossbuild-essential-arm64
    echo qemu-user-static
    listed build | grep -vE '^(lib.*|zlib1g-dev|nettle-dev|build-essential|curl)$'
    listed build | grep -E '^(lib.*|zlib1g-dev|nettle-dev)$' | sed 's/$/:arm64/'
    listed test | grep -E '^lib' | sed 's/$/:arm64/'
}

# The list is build.sh's own, but for what another Debian calls otherwise: its librdkafka-dev wants
# the OpenSSL flavour of libcurl, and there can be one.
packages() {
    local curl=libcurl4-gnutls-dev
    [[ "$SUITE" == bookworm ]] || curl=libcurl4-openssl-dev
    listed 'build|report|test|package' | grep -vxE "$LEFT_OUT" |
        sed "s/^libcurl4-gnutls-dev$/$curl/" | sort -u | paste -s -d ,
}

# Made anew where the list has changed; what was built stays.
make_root() {
    local list made="$ROOT.packages" debian="$SUITE" architectures=()
    if [[ "$SUITE" == arm64 ]]; then
        debian=bookworm architectures=(--architectures="$(dpkg --print-architecture),arm64")
        list="ca-certificates,git,python3,$(packages_arm64 | sort -u | paste -s -d ,)"
    else
        list="ca-certificates,git,iproute2,procps,python3-pip,$(packages)"
    fi
    [[ "$(cat "$made" 2>/dev/null)" != "$list" ]] || return 0
    rm -rf "$ROOT.build"
    [[ ! -d "$ROOT/build" ]] || mv "$ROOT/build" "$ROOT.build"
    rm -rf "$ROOT"
    mkdir -p "$(dirname "$ROOT")"
    mmdebstrap --variant=minbase --aptopt='APT::Install-Recommends "false"' \
        "${architectures[@]}" --include="$list" "$debian" "$ROOT" "$MIRROR"
    mkdir -p "$ROOT/ringside-source" "$ROOT.build"
    mv "$ROOT.build" "$ROOT/build"
    echo "$list" >"$made"
}

# What all that runs in the root begins with.
begin_inside() {
    cat <<'INSIDE'
set -euo pipefail
cd /ringside-source
export CI=true RINGSIDE_BUILD=/build PYTHONDONTWRITEBYTECODE=1 CCACHE_DIR=/build/ccache
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=/ringside-source
# Of unit tests and integration tests, a filter may be meant for either.
filter="${1:-}" status=0
units_of() { meson test -C "$1" --list 2>/dev/null | sed 's/.* \/ //' | grep -F -- "$filter"; }
INSIDE
}

# What runs in the root; $1 is the filter.
inside() {
    begin_inside
    cat <<'INSIDE'
meson setup --reconfigure /build/release --buildtype=debugoptimized -Dwerror=true >/dev/null ||
    meson setup /build/release --buildtype=debugoptimized -Dwerror=true
ninja -C /build/release
export RINGSIDE_SERVER=/build/release/server/ringside-server
export RINGSIDE_BENCH=/build/release/bench/ringside-bench
mapfile -t units < <(units_of /build/release)
if [[ ${#units[@]} -gt 0 ]]; then
    nice meson test -C /build/release --no-rebuild ${filter:+"${units[@]}"} || status=$?
fi
integration=0
nice python3 -m pytest -q -p no:cacheprovider -n 2 --dist loadfile tests/integration \
    ${filter:+-k "$filter"} || integration=$?
# 5: none of that name.
[[ "$integration" -eq 5 && ${#units[@]} -gt 0 ]] || status=$((status + integration))
exit "$status"
INSIDE
}

# The same of a build for ARM. Its programs are some ten times slower than they would be there.
inside_arm64() {
    begin_inside
    cat <<'INSIDE'
cat >/build/arm64.ini <<'CROSS'
[binaries]
c = ['ccache', 'aarch64-linux-gnu-gcc']
ar = 'aarch64-linux-gnu-gcc-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'aarch64-linux-gnu-pkg-config'
exe_wrapper = 'qemu-aarch64-static'
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8-a'
endian = 'little'
CROSS
meson setup --reconfigure /build/arm64 >/dev/null 2>&1 ||
    meson setup /build/arm64 --cross-file /build/arm64.ini --buildtype=debugoptimized -Dwerror=true
ninja -C /build/arm64
needs_a_ring='unit/(core/(ring_client|ring_peers|ring_tables|ring_uring|ring_uring_fd)|engine)'
mapfile -t units < <(units_of /build/arm64 | grep -vxE "$needs_a_ring")
nice meson test -C /build/arm64 --no-rebuild --timeout-multiplier 20 "${units[@]}" || status=$?
if [[ simulation == *"$filter"* ]]; then
    nice qemu-aarch64-static /build/arm64/tests/sim/ringside-sim --seed 1 --count 20 || status=1
fi
exit "$status"
INSIDE
}

# What makes the package of the commit, of a clone in the root.
package_inside() {
    cat <<'INSIDE'
set -euo pipefail
export PYTHONDONTWRITEBYTECODE=1 CCACHE_DIR=/build/ccache
cd /build/package/ringside
dpkg-buildpackage -b -us -uc >../build.log 2>&1 || { tail -n 40 ../build.log >&2; exit 1; }
INSIDE
}

# enter SCRIPT [ARGUMENT]: runs a script that lies in the root.
enter() {
    # shellcheck disable=SC2016  # for the shell in the namespace
    unshare --mount --pid --fork --kill-child bash -c '
        set -e
        mount --make-rprivate /
        mount -o bind,ro "$2" "$1/ringside-source"
        mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"
        mount --rbind /sys "$1/sys"
        mount -t tmpfs tmpfs "$1/tmp"
        exec chroot "$1" bash "$3" "$4"
    ' _ "$ROOT" "$SOURCE" "$@"
}

try_service() {
    local package="${1:-}" folder="$ROOT/build/package"
    if [[ -z "$package" ]]; then
        make_root
        rm -rf "$folder"
        mkdir -p "$folder"
        git clone -q "$SOURCE" "$folder/ringside"
        cp -r "$SOURCE/packaging/debian" "$folder/ringside/debian"
        package_inside >"$ROOT/package.sh"
        enter /package.sh ""
        package="$(echo "$folder"/ringside_*.deb)"
    fi
    exec "$SOURCE/tests/service/machine.sh" "$SUITE" "$package"
}

if [[ "$(id -u)" -ne 0 ]]; then
    echo "test --on needs root: it mounts, and changes its root" >&2
    exit 1
fi
if [[ "$FILTER" == --service ]]; then
    try_service "${3:-}"
fi
make_root
if [[ "$SUITE" == arm64 ]]; then
    inside_arm64 >"$ROOT/inside.sh"
else
    inside >"$ROOT/inside.sh"
fi
enter /inside.sh "$FILTER"
