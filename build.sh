#!/usr/bin/env bash
# build.sh: the front door. One command per thing a person wants from this repository.
#
# All is done by Meson, Ninja and the two programs that they build; this file knows the order, the
# Debian packages (one list, below) and where the results are. `./build.sh --help` is the manual.
set -euo pipefail
# A folder that is named from where the caller stands.
[[ -z "${RINGSIDE_BUILD:-}" ]] || RINGSIDE_BUILD="$(realpath -m -- "$RINGSIDE_BUILD")"
cd "$(dirname "${BASH_SOURCE[0]}")"

# Debian's own tools come first: its python3 is the one that the python3-* packages belong to.
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"

readonly BUILD_ROOT="${RINGSIDE_BUILD:-build}"
readonly LISTEN_DEFAULT="127.0.0.1:8080"
readonly TLS_LISTEN_DEFAULT="127.0.0.1:8443"
# shellcheck disable=SC1091
DISTRIBUTION="$(. /etc/os-release && echo "$ID${VERSION_ID:-}")" || DISTRIBUTION=""

# ---- packages ---------------------------------------------------------------------------------
# group | Debian's package | why. A command names the groups that it needs, and nothing else is
# installed: `compare` gets by without the browser and the linters that `test` wants.
readonly PACKAGES='
build  | build-essential     | the C compiler and libc headers
build  | meson               | describes the build
build  | ninja-build         | runs the build
build  | pkg-config          | finds the libraries
build  | liburing-dev        | io_uring
build  | libbearssl-dev      | SHA-1 for the WebSocket handshake, TLS 1.2, records
build  | libgnutls28-dev     | handshakes of TLS 1.3
build  | nettle-dev          | hashes of STUN
build  | libjemalloc-dev     | the heap, and its statistics
build  | libjansson-dev      | JSON on the control plane
build  | libinih-dev         | the config file
build  | libnghttp2-dev      | HTTP/2
build  | libngtcp2-dev       | QUIC
build  | libngtcp2-crypto-gnutls-dev | its handshakes and packets, by GnuTLS
build  | libnghttp3-dev      | QPACK, for HTTP/3
build  | zlib1g-dev          | permessage-deflate
build  | libhiredis-dev      | Redis, for several nodes
build  | libnats-dev         | NATS, for several nodes
build  | librdkafka-dev      | Kafka, as a source; without it the server is built without
build  | libcurl4-gnutls-dev | posts to the servers of others
build  | libsqlite3-dev      | the queue of webhooks
build  | libxxhash-dev       | hashes of channel names
build  | uthash-dev          | hash tables and lists
build  | openssl             | makes the certificates of run --tls and bench --tls
build  | ccache              | what was compiled once is not compiled again
build  | curl                | what run says to try; in tests, polling, long polling, SSE
broker | redis-server        | what the nodes of run --broker share
broker | nats-server         | likewise, with --broker nats
report | python3-matplotlib  | draws the plots of a report as SVG
report | python3-jsonschema  | checks a run.json against its schema
test   | libcmocka-dev       | unit tests
test   | libusrsctp-dev      | foreign end of associations of SCTP
test   | coturn              | foreign relay, and its client, for the credentials of /turn
test   | python3-pytest      | integration tests
test   | python3-jsonschema  | runs of the bench against their schema
test   | python3-pytest-xdist | several of them at once
test   | python3-jwt         | foreign issuer of tokens
test   | python3-cryptography | records of TLS that no client sends
test   | python3-websockets  | foreign client: WebSocket
test   | python3-h2          | foreign client: HTTP/2, and what it must not do
test   | python3-httpx       | foreign client: HTTP/2
test   | nghttp2-client      | foreign clients: nghttp, h2load
test   | python3-prometheus-client | foreign reader: OpenMetrics
test   | nodejs              | foreign client: runs the two below
test   | node-ws             | foreign client: WebSocket
test   | node-eventsource    | foreign client: SSE
test   | redis-server        | what the nodes of a cluster share
test   | nats-server         | likewise
test   | python3-confluent-kafka | foreign client: Kafka
test   | maven               | brings Java, and Kafka itself, for a few tests
test   | haproxy             | foreign proxy: the PROXY protocol, X-Forwarded-For
test   | caddy               | foreign proxy
test   | nginx-light         | foreign proxy: X-Forwarded-For
test   | python3-seccomp      | the server under its own profiles
test   | prometheus          | reads /metrics, for the dashboard and the alerts
test   | chromium            | browser tests
test   | chromium-driver     | steers the browser
test   | python3-selenium    | speaks to chromium-driver
test   | firefox-esr         | browser tests, by WebDriver BiDi: there is no geckodriver
browser | chromium           | bench page, and the claims about browsers
kernel | qemu-system-x86     | emulates the machine on which another kernel runs
kernel | busybox-static      | what that machine starts
kernel | cpio                | packs its initrd
kernel | debian-archive-keyring | signs the kernels
cover  | gcovr               | which lines the tests reach
lint   | clang-tidy          | static analysis
lint   | clang-format        | the layout of the code
lint   | shellcheck          | this file
fuzz   | clang               | the compiler that has libFuzzer
fuzz   | libclang-rt-14-dev  | libFuzzer and the sanitizers for it
fuzz   | llvm                | names in the stack traces of a crash
package | debhelper          | makes the Debian package
package | dpkg-dev           | likewise
package | lintian            | looks for what is wrong with it
root   | mmdebstrap          | makes the root of another Debian
root   | systemd-container   | boots one, to try the package and its service in it
image  | mmdebstrap          | unpacks the libraries that go into an image
image  | umoci               | makes an OCI image, without a daemon
'

# ---- saying things ----------------------------------------------------------------------------
say() {
    printf '\n==> %s\n' "$*"
}

die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    cat <<'HELP'
Ringside: a realtime push server on io_uring, and the bench that measures it.

  usage: ./build.sh <command> [arguments]

Try it (each of these installs what is missing, builds, and runs; nothing else is needed first)
  run [server arguments]       start the server on 127.0.0.1:8080 and print commands to try on it
  run --tls [...]              the same with TLS and HTTP/3 on 127.0.0.1:8443, and a certificate
  run --broker redis|nats [...]  two nodes on 8080 and 8081 around a Redis of their own, which keeps
                               everything that it acknowledges; all three end together
  compare [bench arguments]    what polling, long polling, SSE and WebSocket cost on this machine:
                               a table here, and an HTML report under runs/
  bench <experiment> [args]    any experiment: hold, fanout, compare, ceiling, ...
                               `./build.sh bench --help` lists them
  bench diff A B               two runs side by side; so do report RUN, index, and
                               export RUN --csv or --openmetrics
  bench record RUN             keeps a run that documents cite, from runs/ in results/
  record [name ...]            makes all runs anew that documents cite, or those that are named, on
                               this commit and machine; --list: which, and how long each takes
  peers [name ...]             install other servers, to be compared by `compare --peer NAME`;
                               without a name: which there are, and what each would install

Work on it
  deps [group ...]             install the Debian packages that are missing, and say why each is
                               needed; groups: build broker report test browser kernel cover lint
                               fuzz package root image
                               (default: build report)
  build [flavour]              release (default), debug, asan (with UBSan), tsan or coverage, into
                               build/
  test                         everything: unit tests, fuzz corpus and simulation in three builds
                               (release, ASan+UBSan, TSan), fuzzing, style, lint, integration,
                               browser, an older kernel; several steps at once, the output of each
                               in build/logs
                               A case that fails beside others and passes by itself counts as
                               passed, and is listed as unstable: tests/README.md
  test --strict [...]          such a case counts as failed
  test --quick                 the release build only, and no browser and no lint
  test --coverage              which lines of server/ and bench/ the tests reach, by folder, and a
                               page in build/coverage; below tests/coverage.floor it fails
  test <filter>                the release build, and only tests whose name contains <filter>
  test --kernel VERSION [FILTER]
                               the release build on another kernel, emulated: 6.1 (Debian 12),
                               6.12 (Debian 13), host (this one, to compare with), or all
  test --on SUITE [FILTER]     the release build on another Debian, as trixie, in a root below
                               build/roots; needs root, and the network the first time;
                               --service: the package, on a machine with systemd;
                               SUITE arm64: unit tests and simulation, compiled for it and emulated
  fuzz [parser] [seconds]      fuzz one parser, or each (default: for 60 seconds)
  fuzz [parser] --hours N      N hours of CPU over all of them; keeps new inputs in
                               tests/fuzz/corpus, and ends with a line for docs/THREATS.md
  lint                         style guide, clang-format, shellcheck and clang-tidy
  format                       lay out all C files as .clang-format says
  package                      a Debian package of the commit that is checked out, looked at by
                               lintian, in build/package
  image                        an OCI image with the server of that package, in build/image: no
                               shell, nothing to write to, 6 MB
  clean                        remove what this script built

Environment
  CI=true                      warnings are errors (in `test` they always are)
  RINGSIDE_BUILD=DIR           build in DIR, named from where you stand, instead of in build/

Packages are those of Debian 12 or 13, by apt-get, which needs root or sudo when one is missing.
HELP
}

# ---- deps -------------------------------------------------------------------------------------
# Lines "package|why" of the groups asked for.
packages_of() {
    local group package why wanted
    while IFS='|' read -r group package why; do
        group="${group// /}" package="${package// /}" why="${why# }"
        case "$DISTRIBUTION:$package" in # which calls it otherwise
        debian13:libcurl4-gnutls-dev) package=libcurl4-openssl-dev ;; # librdkafka-dev's
        debian13:libclang-rt-14-dev) package=libclang-rt-19-dev ;;
        ubuntu24.04:libclang-rt-14-dev) package=libclang-rt-18-dev ;;
        esac
        for wanted in "$@"; do
            if [[ -n "$group" && "$group" == "$wanted" ]]; then
                printf '%s|%s\n' "$package" "$why"
            fi
        done
    done <<<"$PACKAGES"
}

package_present() {
    # A node from elsewhere serves as well as Debian's.
    [[ "$1" == nodejs ]] && command -v node >/dev/null && return 0
    [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

as_root() {
    if [[ "$(id -u)" -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "installing packages needs root, and there is no sudo. As root, run: $*"
    fi
}

# Leaves the machine with all packages of the groups; quiet when nothing is missing.
deps() {
    command -v dpkg-query >/dev/null || die "this is not Debian; see the package list in build.sh"
    local package why missing=()
    while IFS='|' read -r package why; do
        if ! package_present "$package"; then
            missing+=("$package")
            printf '  missing: %-20s %s\n' "$package" "$why"
        fi
    done < <(packages_of "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
    as_root "${apt[@]}" update
    # haproxy and nginx are clients of the tests: nothing is to listen because of them.
    local held=/usr/sbin/policy-rc.d made="" status=0
    if [[ ! -e "$held" ]]; then
        printf '#!/bin/sh\nexit 101\n' | as_root install -m 755 /dev/stdin "$held" && made=yes
    fi
    as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" || status=$?
    [[ -z "$made" ]] || as_root rm -f "$held"
    return "$status"
}

cmd_deps() {
    local groups=("$@") group
    [[ ${#groups[@]} -gt 0 ]] || groups=(build report)
    for group in "${groups[@]}"; do
        [[ -n "$(packages_of "$group")" ]] || die "no package group '$group'; see --help"
    done
    deps "${groups[@]}"
    say "All packages are there for: ${groups[*]}"
}

# ---- build ------------------------------------------------------------------------------------
flavour_options() {
    case "$1" in
    release) echo --buildtype=debugoptimized ;;
    debug) echo --buildtype=debug ;;
    asan) echo --optimization=1 --debug -Db_sanitize=address,undefined ;;
    tsan) echo --optimization=1 --debug -Db_sanitize=thread ;;
    # Several threads count in the same place.
    coverage) echo --buildtype=debug -Db_coverage=true -Dc_args=-fprofile-update=atomic ;;
    fuzz)
        echo --optimization="$FUZZ_OPTIMIZATION" --debug -Dfuzz=true \
            -Db_sanitize=address,undefined -Db_lundef=false
        ;;
    *) die "no build flavour '$1'; there are: release debug asan tsan coverage" ;;
    esac
}

# Meson takes ccache where there is one. It needs a folder that it can write to, which the home of
# a build machine may not be.
place_ccache() {
    local usual="${XDG_CACHE_HOME:-${HOME:-/}/.cache}/ccache"
    if [[ -z "${CCACHE_DIR:-}" ]] && ! { mkdir -p "$usual" && [[ -w "$usual" ]]; } 2>/dev/null; then
        mkdir -p "$BUILD_ROOT/ccache"
        CCACHE_DIR="$(realpath "$BUILD_ROOT/ccache")"
        export CCACHE_DIR
    fi
}

# build_flavour <flavour> [ninja target ...]
build_flavour() {
    local flavour="$1" dir="$BUILD_ROOT/$1" options
    shift
    options="$(flavour_options "$flavour")"
    # What is counted where is named by the folder that it was compiled in.
    [[ "$flavour" != coverage ]] || export CCACHE_DISABLE=1
    # GCC's manual: a sanitizer makes some warnings untrue. The release build has all of them.
    [[ "${CI:-}" != true || "$options" == *b_sanitize* ]] || options+=" -Dwerror=true"
    place_ccache
    say "Building $flavour in $dir"
    if [[ -f "$dir/build.ninja" ]]; then
        # Again, as what is optional may have come since.
        # shellcheck disable=SC2086  # words
        meson setup --reconfigure "$dir" $options >"$dir/configure.log" ||
            { cat "$dir/configure.log" >&2; return 1; }
    else
        # shellcheck disable=SC2086
        meson setup "$dir" $options || return 1
    fi
    # One run is to say all that is wrong.
    ninja -C "$dir" ${CI:+-k 0} "$@"
}

cmd_build() {
    deps build
    build_flavour "${1:-release}"
}

# ---- run, compare, bench ----------------------------------------------------------------------
# The value of an option among the arguments, or its default: value_of <option> <default> [args ...]
value_of() {
    local option="$1" value="$2"
    shift 2
    while [[ $# -gt 0 ]]; do
        case "$1" in
        "$option") value="${2:-$value}" ;;
        "$option"=*) value="${1#"$option"=}" ;;
        esac
        shift
    done
    echo "$value"
}

# A self-signed certificate for this machine alone, kept for the next time. Chromium takes one by
# its hash, for WebTransport, if it is for two weeks at most.
development_certificate() {
    local folder="$1"
    if [[ -s "$folder/certificate.pem" && -s "$folder/key.pem" ]] &&
        openssl x509 -in "$folder/certificate.pem" -noout -checkend 86400 >/dev/null &&
        ! openssl x509 -in "$folder/certificate.pem" -noout -checkend 1209600 >/dev/null; then
        return 0
    fi
    say "Making a self-signed certificate for localhost in $folder"
    mkdir -p "$folder"
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 13 \
        -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
        -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>"$folder/openssl.log") ||
        { cat "$folder/openssl.log" >&2; return 1; }
}

print_tls_commands() {
    local address="$1" certificate="$2" hash # its SHA-256, as a page gives it
    hash="$(openssl x509 -in "$2" -outform der | openssl dgst -sha256 -binary | base64)"
    cat <<TRY
The same with TLS, by a certificate that only this machine has reason to trust:
  curl --cacert $certificate -N 'https://$address/sse?channel=news'
  openssl s_client -connect $address -CAfile $certificate
In a browser, which warns of the certificate once:
  https://$address/
  new WebSocket('wss://$address/ws?channel=news')
By HTTP/3 and WebTransport, which take this certificate without a warning:
  new WebTransport('https://$address/wt?channel=news', {serverCertificateHashes: [{algorithm:
    'sha-256', value: Uint8Array.from(atob('$hash'), c => c.charCodeAt(0))}]})
\`kill -HUP $$\` reads the certificate again.

TRY
}

print_cluster_commands() {
    local broker="$1" first="$2" second="$3" port="$4"
    cat <<TRY

Two nodes around $broker on 127.0.0.1:$port. Try it, in other terminals:
  curl -N 'http://$first/sse?channel=news'                # subscribe on one
  curl -d 'hello' 'http://$second/publish?channel=news'    # publish on the other
  curl 'http://$first/poll?channel=news'                  # the history is the same on both:
  curl 'http://$second/poll?channel=news'                  # positions too
  curl -s 'http://$first/metrics' | grep -E 'ringside_(broker|remote)'
TRY
    if [[ "$broker" == redis ]]; then
        cat <<TRY
  redis-cli -p $port LRANGE 'ringside:{news}:h' 0 -1      # where the history is
  redis-cli -p $port CLIENT PAUSE 2000                    # Redis hangs for two seconds
TRY
    fi
    cat <<TRY
docs/CLUSTER.md says what is promised. Ctrl-C stops all three.

TRY
}

# The engine, as the last of CLUSTER_PIDS. It keeps what it acknowledges.
start_engine() {
    local broker="$1" port="$2" folder="$3"
    if [[ "$broker" == redis ]]; then
        redis-server --bind 127.0.0.1 --port "$port" --dir "$folder" --logfile engine.log \
            --save '' --appendonly yes --appendfsync always &
    else
        nats-server -a 127.0.0.1 -p "$port" -js -sd "$folder" -l "$folder/engine.log" &
    fi
    CLUSTER_PIDS+=("$!")
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$!" 2>/dev/null || die "$broker does not start: $(cat "$folder/engine.log")"
        sleep 0.1
    done
}

# Nodes at the address and at the next port. Whichever of the three ends first ends the others.
run_cluster() {
    local broker="$1" first="$2" second port folder
    local server="$BUILD_ROOT/release/server/ringside-server"
    shift 2
    deps broker
    second="${first%:*}:$((${first##*:} + 1))"
    port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')"
    folder="$(mktemp -d)"
    CLUSTER_PIDS=() CLUSTER_FOLDER="$folder"
    trap 'kill "${CLUSTER_PIDS[@]}" 2>/dev/null || true; wait; rm -rf "$CLUSTER_FOLDER"' EXIT
    trap 'exit 0' INT TERM
    start_engine "$broker" "$port" "$folder"
    if [[ "$broker" == nats ]]; then
        set -- "$@" --set nats_durable=on
    fi
    "$server" "$@" --listen "$first" --set "$broker=127.0.0.1:$port" &
    CLUSTER_PIDS+=("$!")
    "$server" "$@" --listen "$second" --set "$broker=127.0.0.1:$port" &
    CLUSTER_PIDS+=("$!")
    print_cluster_commands "$broker" "$first" "$second" "$port"
    wait -n || true
}

cmd_run() {
    local address tls_address folder="$BUILD_ROOT/certificate" tls="" broker="" arguments=()
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --tls) tls=yes ;;
        --broker) broker="${2:-}"; shift ;;
        --broker=*) broker="${1#*=}" ;;
        *) arguments+=("$1") ;;
        esac
        shift || true
    done
    [[ "$broker" =~ ^(|redis|nats)$ ]] || die "no broker '$broker'; there are: redis, nats"
    [[ -z "$broker" || -z "$tls" ]] || die "run --broker has no --tls: set tls_listen by --set"
    set -- "${arguments[@]}"
    deps build
    build_flavour release server/ringside-server
    address="$(value_of --listen "$LISTEN_DEFAULT" "$@")"
    if [[ -n "$broker" ]]; then
        run_cluster "$broker" "$address" "$@"
        return
    fi
    cat <<TRY

Try it, in other terminals:
  curl -N 'http://$address/sse?channel=news'                        # subscribe, and wait
  curl -d 'hello' 'http://$address/publish?channel=news'            # publish
  curl 'http://$address/poll?channel=news'                          # what the history holds
  curl 'http://$address/longpoll?channel=news&timeout=10'           # wait for the next one
  curl 'http://$address/metrics'                                    # counters
In a browser:
  http://$address/                                                  # every transport at once
  new WebSocket('ws://$address/ws?channel=news')                    # in its console
Ctrl-C stops the server.

TRY
    if [[ -n "$tls" ]]; then
        development_certificate "$folder"
        tls_address="$(value_of --tls-listen "$TLS_LISTEN_DEFAULT" "$@")"
        print_tls_commands "$tls_address" "$folder/certificate.pem"
        set -- --tls-listen "$tls_address" \
            --tls-certificate "$folder/certificate.pem:$folder/key.pem" --set http3=on "$@"
    fi
    exec "$BUILD_ROOT/release/server/ringside-server" --listen "$address" "$@"
}

cmd_bench() {
    local stamp status=0 report
    # Standard output is the bench's own: `bench export RUN --csv` may go into a file.
    deps build report >&2
    if [[ "${1:-}" == page ]]; then
        deps browser >&2
    fi
    build_flavour release server/ringside-server bench/ringside-bench >&2
    stamp="$(mktemp)"
    "$BUILD_ROOT/release/bench/ringside-bench" "$@" || status=$?
    report=""
    if [[ -d runs ]]; then # a run that goes elsewhere makes none
        report="$(find runs -name report.html -newer "$stamp" | sort | tail -n 1)"
    fi
    rm -f "$stamp"
    [[ -z "$report" ]] || say "Report, for a browser: file://$PWD/$report"
    return "$status"
}

# Nothing else installs peers: bench/peers/README.md.
cmd_peers() {
    RINGSIDE_BUILD="$BUILD_ROOT" bench/peers/install "$@"
}

# bench/recorded.txt says which runs, and how long each takes.
cmd_record() {
    deps build report >&2
    RINGSIDE_BUILD="$BUILD_ROOT" exec python3 -B bench/report/recorded.py "$@"
}

# ---- test -------------------------------------------------------------------------------------
# tests/run.py knows the steps, and which of them go side by side.
run_tests() {
    RINGSIDE_BUILD="$BUILD_ROOT" exec python3 tests/run.py "$@"
}

cmd_test() {
    local strict=() others=() argument
    for argument in "$@"; do
        if [[ "$argument" == --strict ]]; then
            strict=(--strict)
        else
            others+=("$argument")
        fi
    done
    set -- "${others[@]}"
    case "${1:-}" in
    "") deps build report test kernel lint fuzz ;;
    --quick) deps build test ;;
    --coverage) deps build test cover ;;
    --kernel)
        case "${2:-}" in
        6.1 | 6.12 | host | all) deps build test kernel ;;
        *) die "test --kernel knows 6.1, 6.12, host and all" ;;
        esac
        ;;
    --on)
        [[ -n "${2:-}" ]] || die "test --on SUITE: which Debian, as trixie?"
        deps root
        exec tests/on.sh "${@:2}"
        ;;
    -*) die "test knows --strict, --quick, --coverage, --kernel VERSION, --on SUITE, or a filter" ;;
    *) deps build report test ;;
    esac
    run_tests "${strict[@]}" "$@"
}

# ---- fuzz -------------------------------------------------------------------------------------
# shellcheck source=tests/fuzz/fuzz.sh
source tests/fuzz/fuzz.sh

# ---- package ----------------------------------------------------------------------------------
# Made in a clone, so that the server can name its commit, and nothing that lies around gets in.
cmd_package() {
    deps build package
    local version folder
    version="$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)"
    folder="$BUILD_ROOT/package"
    rm -rf "$folder"
    mkdir -p "$folder"
    git clone -q . "$folder/ringside-$version"
    cp -r packaging/debian "$folder/ringside-$version/debian"
    place_ccache
    say "Building the package of $(git describe --always --dirty --exclude='*')"
    (cd "$folder/ringside-$version" && dpkg-buildpackage -b -us -uc) >"$folder/build.log" 2>&1 ||
        { tail -40 "$folder/build.log" >&2; return 1; }
    rm -rf "$folder/ringside-$version"
    # There is no address to write to.
    lintian --fail-on error,warning --suppress-tags \
        bogus-mail-host,bogus-mail-host-in-debian-changelog "$folder"/*.changes
    say "Made $(echo "$folder"/ringside_*.deb); to install it: apt install ./$folder/ringside_*.deb"
}

cmd_image() {
    cmd_package
    deps image
    say "Making an image of it"
    packaging/oci/build "$BUILD_ROOT"/package/ringside_*.deb "$BUILD_ROOT/image"
    say "Made $BUILD_ROOT/image, an OCI layout with the image ringside: docs/OPERATING.md"
}

# ---- lint, format, clean ----------------------------------------------------------------------
cmd_lint() {
    deps build test lint
    run_tests --lint
}

cmd_format() {
    deps lint
    git ls-files -z --cached --others --exclude-standard -- '*.[ch]' | xargs -0 -r clang-format -i
}

cmd_clean() {
    local flavour
    for flavour in release debug asan tsan coverage fuzz package image logs pycache; do
        rm -rf "${BUILD_ROOT:?}/$flavour"
    done
}

# ---- main -------------------------------------------------------------------------------------
main() {
    local command="${1:---help}"
    [[ $# -eq 0 ]] || shift
    case "$command" in
    deps | build | run | bench | record | peers | test | fuzz | lint | format | package | image |\
        clean)
        "cmd_$command" "$@"
        ;;
    compare) cmd_bench compare "$@" ;;
    -h | --help | help) usage ;;
    *) die "no command '$command'; try ./build.sh --help" ;;
    esac
}

main "$@"
