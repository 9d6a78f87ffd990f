#!/usr/bin/env bash
# machine.sh: the package on a machine of its own: systemd, nginx, and nothing of the sources.
#
#   tests/service/machine.sh SUITE PACKAGE.deb    what tests/on.sh SUITE --service ends with
#
# The machine is a root below build/roots/SUITE-service, booted by systemd-nspawn: its own init,
# network and processes, this machine's kernel. What is tried in it is in inside.sh.
#
# Needs root, mmdebstrap and systemd-container.
set -euo pipefail

readonly SUITE="$1"
PACKAGE="$(realpath "$2")"
HERE="$(realpath "$(dirname "${BASH_SOURCE[0]}")")"
readonly PACKAGE HERE
readonly ROOT="$HERE/../../build/roots/$SUITE-service"
readonly MIRROR="http://deb.debian.org/debian"
readonly INCLUDE="ca-certificates,systemd,systemd-sysv,dbus,procps,iproute2,curl,openssl,\
nginx-light,python3"
readonly SECONDS_MAX=300

make_root() {
    [[ ! -e "$ROOT/made" ]] || return 0
    rm -rf "$ROOT"
    mkdir -p "$(dirname "$ROOT")"
    mmdebstrap --variant=minbase --aptopt='APT::Install-Recommends "false"' \
        --include="$INCLUDE" "$SUITE" "$ROOT" "$MIRROR"
    chroot "$ROOT" apt-get -qq update
    touch "$ROOT/made"
}

# The next version: the same but for its number. An upgrade to it must keep what the operator wrote.
make_next() {
    local tree="$1/next" version
    version="$(dpkg-deb -f "$PACKAGE" Version)"
    dpkg-deb -R "$PACKAGE" "$tree"
    sed -i "s/^Version: .*/Version: $version+next/" "$tree/DEBIAN/control"
    printf '\n; What a new version says of itself.\n' >>"$tree/etc/ringside/ringside.ini"
    (cd "$tree" && md5sum etc/ringside/ringside.ini >/dev/null)
    dpkg-deb --root-owner-group -b "$tree" "$1/ringside-next.deb" >/dev/null
}

# What is tried needs no network: the libraries that the package names are fetched before.
fill() {
    rm -rf "$1/try"
    mkdir -p "$1/try"
    cp "$PACKAGE" "$1/try/ringside.deb"
    cp "$HERE/inside.sh" "$1/try/"
    make_next "$1/try"
    mount --bind /etc/resolv.conf "$1/etc/resolv.conf" 2>/dev/null || cp /etc/resolv.conf "$1/etc/"
    chroot "$1" apt-get -qq -y --download-only install /try/ringside.deb
    cat >"$1/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /try/inside.sh
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=file:/try/report
StandardError=file:/try/errors
[Install]
WantedBy=multi-user.target
UNIT
    mkdir -p "$1/etc/systemd/system/multi-user.target.wants"
    ln -s ../try.service "$1/etc/systemd/system/multi-user.target.wants/"
}

# A machine where /sys/fs/cgroup is of the first version has the second beside it; nspawn wants to
# find it there. The group is left behind when all have gone, and goes with the next command.
boot() {
    local group=/sys/fs/cgroup/ringside-service
    if [[ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]]; then
        umount -R /sys/fs/cgroup
        mount -t cgroup2 none /sys/fs/cgroup
    fi
    mkdir -p "$group"
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    (echo "$BASHPID" >"$group/cgroup.procs" && exec timeout -k 10 "$SECONDS_MAX" \
        systemd-nspawn -q --register=no --keep-unit --private-network \
        --machine=ringside-service -D "$1" --boot </dev/null >"$1/try/console" 2>&1) || true
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
}

main() {
    local machine
    mount --make-rprivate /
    make_root
    machine="$(mktemp -d)"
    mount -t tmpfs tmpfs "$machine" # what is tried is on top of the root, and goes with the mount
    mkdir "$machine/upper" "$machine/work" "$machine/root"
    mount -t overlay -o "lowerdir=$ROOT,upperdir=$machine/upper,workdir=$machine/work" overlay \
        "$machine/root"
    fill "$machine/root"
    boot "$machine/root"
    mkdir -p "$ROOT-results"
    cp "$machine/root/try/"{console,report,errors,journal} "$ROOT-results/" 2>/dev/null || true
    umount "$machine/root/etc/resolv.conf" "$machine/root" "$machine" 2>/dev/null || true
    cat "$ROOT-results/report"
    grep -q '^0 failed$' "$ROOT-results/report" ||
        { echo "more in $ROOT-results" >&2; exit 1; }
}

[[ "$(id -u)" -eq 0 ]] || { echo "this needs root: it boots a machine" >&2; exit 1; }
if [[ "${IN_OWN_MOUNTS:-}" != yes ]]; then
    IN_OWN_MOUNTS=yes exec unshare --mount bash "${BASH_SOURCE[0]}" "$@"
fi
main
