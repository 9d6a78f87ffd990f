#!/usr/bin/env bash
# on.sh: the tests on another Debian, in a root made for it.
#
#   tests/on.sh SUITE [FILTER]     what ./build.sh test --on SUITE [FILTER] calls
#
# The root is below build/roots/SUITE and is kept, with what was built in it; take it away with
# `rm -r`, as root. It is Debian's own packages and nothing of this machine but the kernel. The
# source tree is mounted in it for reading; the build goes into the root. Mounts are those of a
# namespace, and go with the command.
#
# Needs root, and mmdebstrap. No browsers and no linters: those are tried on Debian 12.
set -euo pipefail

readonly SUITE="$1" FILTER="${2:-}"
SOURCE="$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")"
readonly SOURCE
readonly ROOT="$SOURCE/build/roots/$SUITE"
readonly MIRROR="http://deb.debian.org/debian"
readonly LEFT_OUT='chromium|chromium-driver|firefox-esr|python3-selenium|prometheus'

# The list is build.sh's own.
packages() {
    sed -n "/^readonly PACKAGES='/,/^'/p" "$SOURCE/build.sh" |
        awk -F'|' '$1 ~ /^(build|report|test) *$/ { gsub(/ /, "", $2); print $2 }' |
        grep -vxE "$LEFT_OUT" | sort -u | paste -s -d ,
}

make_root() {
    [[ ! -e "$ROOT/made" ]] || return 0
    rm -rf "$ROOT"
    mkdir -p "$(dirname "$ROOT")"
    mmdebstrap --variant=minbase --aptopt='APT::Install-Recommends "false"' \
        --include="ca-certificates,git,iproute2,procps,$(packages)" "$SUITE" "$ROOT" "$MIRROR"
    mkdir -p "$ROOT/src" "$ROOT/build"
    touch "$ROOT/made"
}

# What runs in the root; $1 is the filter.
inside() {
    cat <<'INSIDE'
set -euo pipefail
cd /src
export CI=true RINGSIDE_BUILD=/build PYTHONDONTWRITEBYTECODE=1 CCACHE_DIR=/build/ccache
git config --global --add safe.directory /src
meson setup --reconfigure /build/release --buildtype=debugoptimized -Dwerror=true >/dev/null ||
    meson setup /build/release --buildtype=debugoptimized -Dwerror=true
ninja -C /build/release
export RINGSIDE_SERVER=/build/release/server/ringside-server
export RINGSIDE_BENCH=/build/release/bench/ringside-bench
status=0
meson test -C /build/release --no-rebuild ${1:+$(meson test -C /build/release --list |
    sed 's/.* \/ //' | grep -F -- "$1" || true)} || status=$?
python3 -m pytest -q -p no:cacheprovider -n 4 --dist loadfile tests/integration ${1:+-k "$1"} ||
    status=$?
exit "$status"
INSIDE
}

if [[ "$(id -u)" -ne 0 ]]; then
    echo "test --on needs root: it mounts, and changes its root" >&2
    exit 1
fi
make_root
inside >"$ROOT/inside.sh"
# shellcheck disable=SC2016  # for the shell in the namespace
exec unshare --mount --pid --fork --kill-child bash -c '
    set -e
    mount --make-rprivate /
    mount -o bind,ro "$2" "$1/src"
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mount --rbind /sys "$1/sys"
    mount -t tmpfs tmpfs "$1/tmp"
    exec chroot "$1" bash /inside.sh "$3"
' _ "$ROOT" "$SOURCE" "$FILTER"
