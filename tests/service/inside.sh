#!/usr/bin/env bash
# inside.sh: what machine.sh tries on its machine, as root, with systemd running. A line for each.
set -uo pipefail

readonly SETTINGS=/etc/ringside/ringside.ini
readonly DOCS=/usr/share/doc/ringside
readonly PLAIN=http://127.0.0.1:8080 OPERATOR=http://127.0.0.1:8081
passed=0 failed=0
export DEBIAN_FRONTEND=noninteractive

# Nothing is waited for without an end.
curl() { command curl --max-time 10 "$@"; }

# try NAME COMMAND ...: what it prints is shown if it fails.
try() {
    local name="$1" output
    shift
    if output="$("$@" 2>&1)"; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name"
        printf '%s\n' "$output" | tail -n 15 | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}

# eventually COMMAND ...: within ten seconds.
eventually() {
    for _ in {1..100}; do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    "$@"
}

property() { systemctl show -P "$1" ringside; }
is_active() { [[ "$(property ActiveState)" == active ]]; }
healthy() { curl -sf "$OPERATOR/healthz" >/dev/null; }
journal() { journalctl -q -u ringside --no-pager -o cat; }
journal_has() { journal | grep -qE -- "$1"; }
set_line() { sed -i "s|^$1 *=.*|$1 = $2|" "$SETTINGS"; }

# published URL [curl options]: what is published to the operator's port comes out of a stream.
published() {
    local url="$1" stream out status=1
    shift
    out="$(mktemp)"
    curl -sN "$@" "$url" >"$out" &
    stream=$!
    for _ in {1..50}; do
        curl -sf -d "hello $RANDOM" "$OPERATOR/publish?channel=news" >/dev/null
        if grep -q '^data: hello' "$out"; then
            status=0
            break
        fi
        sleep 0.1
    done
    kill "$stream"
    wait "$stream" 2>/dev/null
    cat "$out"
    return "$status"
}

not_from_outside() { [[ "$(curl -sk -o /dev/null -w '%{http_code}' -d x "$1")" == "$2" ]]; }

# ---- from the package to a service ------------------------------------------------------------
installs() { apt-get install -y /try/ringside.deb && systemctl is-enabled ringside; }
is_told() { [[ "$(property Type)" == notify && "$(property SubState)" == running ]] && is_active; }

exposed_at_most_two() {
    systemd-analyze security --no-pager ringside | tail -n 1 | tee /try/exposure
    awk '{ for (i = 1; i < NF; i++) if ($i == "ringside.service:") exit !($(i + 1) <= 2.0) }' \
        /try/exposure
}

own_user() { [[ "$(stat -c %U "/proc/$(property MainPID)")" != root ]]; }

reloads() {
    local before
    before="$(property MainPID)"
    systemctl reload ringside && is_active && [[ "$(property MainPID)" == "$before" ]]
}

starts_again_after_a_crash() {
    local before
    before="$(property MainPID)"
    [[ "$before" -gt 0 ]] && kill -KILL "$before" || return
    eventually healthy && [[ "$(property MainPID)" != "$before" ]]
}

# answers N: each of N connects, one after the other, gets its answer.
answers() {
    local status=0 round
    for ((round = 0; round < $1; round++)); do
        curl -sS -o /dev/null -w '%{http_code} %{time_total}\n' "$PLAIN/poll?channel=news"
        sleep 0.01
    done 2>&1 | grep -v '^200 0' && status=1
    return "$status"
}

# ---- replaced without a refused connect -------------------------------------------------------
replaced() {
    local before
    before="$(property MainPID)"
    systemctl kill --kill-whom=main -s SIGUSR2 ringside
    answers 200 || return
    eventually bash -c "[[ \$(systemctl show -P MainPID ringside) != $before ]]" && is_active
}

before_is_gone() { [[ "$(pgrep -c ringside-server)" -eq 1 ]]; }

# ---- the rest of docs/OPERATING.md ------------------------------------------------------------
certificate() {
    mkdir -p /etc/letsencrypt/live/www.example.org
    cd /etc/letsencrypt/live/www.example.org || return
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 13 \
        -subj /CN=www.example.org -addext subjectAltName=DNS:www.example.org \
        -keyout privkey.pem -out fullchain.pem)
}

readonly CHAIN=/etc/letsencrypt/live/www.example.org/fullchain.pem
readonly OUTSIDE=(--cacert "$CHAIN" --resolve 'www.example.org:443:127.0.0.1')

# The block of the documents, as it is.
nginx_in_front() {
    awk '/^## Behind a proxy/ { there = 1 } there && /^```$/ && block { exit }
        block { print } there && /^```nginx/ { block = 1 }' "$DOCS/OPERATING.md" \
        >/etc/nginx/conf.d/ringside.conf
    cat /etc/nginx/conf.d/ringside.conf
    nginx -t && systemctl restart nginx
}

page_outside() {
    local file
    for file in "" page.js page.css; do
        curl -sf -o /dev/null "${OUTSIDE[@]}" "https://www.example.org/$file" || return
    done
}

# The lines of the documents that hand the key over, as a drop-in.
credentials() {
    mkdir -p /etc/systemd/system/ringside.service.d
    { echo '[Service]' && awk '/^```/ { block = 0 } /^LoadCredential=chain.pem/ { block = 1 }
        block { print }' "$DOCS/OPERATING.md"; } >/etc/systemd/system/ringside.service.d/key.conf
    cat /etc/systemd/system/ringside.service.d/key.conf
    sed -i "s|^listen *=.*|listen = [::]:80\ntls_listen = [::]:443|" "$SETTINGS"
    systemctl stop nginx
    systemctl daemon-reload
    systemctl restart ringside && is_active
}

without_credentials() {
    rm -r /etc/systemd/system/ringside.service.d
    sed -i '/^tls_listen/d; s|^listen *=.*|listen = 127.0.0.1:8080|' "$SETTINGS"
    systemctl daemon-reload
    systemctl restart ringside && eventually healthy
}

logs() {
    printf '\nlog = logfmt\n' >>"$SETTINGS"
    systemctl restart ringside && eventually healthy || return
    curl -s -o /dev/null "$PLAIN/nowhere"
    eventually journal_has 'refus.*not_found|not_found'
}

activated() {
    systemctl stop ringside
    printf '[Socket]\nListenStream=127.0.0.1:8080\nFileDescriptorName=plain\n[Install]\n%s\n' \
        'WantedBy=sockets.target' >/etc/systemd/system/ringside.socket
    systemctl daemon-reload
    systemctl start ringside.socket && ! is_active || return
    curl -sf -o /dev/null "$PLAIN/poll?channel=news" && is_active
}

stays_open() { # a restart behind such a socket refuses nobody
    systemctl restart --no-block ringside
    answers 200
}

without_socket() {
    systemctl stop ringside.socket ringside
    rm /etc/systemd/system/ringside.socket
    systemctl daemon-reload
    systemctl start ringside && eventually healthy
}

wrong_settings_are_told() {
    printf 'slow_reader = no\n' >>"$SETTINGS"
    ! systemctl restart ringside || return
    journal_has 'needs disconnect, drop_oldest or keep_latest' || { journal; return 1; }
    sed -i '/^slow_reader/d' "$SETTINGS"
    systemctl reset-failed ringside
    systemctl start ringside && eventually healthy
}

# ---- the next version, and the end ------------------------------------------------------------
upgraded() {
    local before
    before="$(md5sum "$SETTINGS")"
    apt-get install -y -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold /try/ringside-next.deb || return
    [[ "$(md5sum "$SETTINGS")" == "$before" ]] && eventually healthy
}

removed() {
    apt-get remove -y ringside || return
    [[ -e "$SETTINGS" && ! -e /usr/bin/ringside-server ]] && ! pgrep ringside-server
}

purged() {
    apt-get purge -y ringside || return
    find / -xdev -path /try -prune -o -path '/var/lib/apt' -prune -o -path '/var/cache' -prune -o \
        -path '/var/log' -prune -o -name '*ringside*' -print | grep -vE '^/(proc|sys|etc/nginx)' |
        tee /try/left
    [[ ! -s /try/left ]]
}

try "the package installs" installs
try "the service has started, and systemd was told" is_told
try "it serves" eventually healthy
[[ "$passed" -eq 3 ]] || { echo "$failed failed"; exit; }
try "its first line is in the journal" journal_has 'listens on http://127.0.0.1:8080'
try "io_uring is not forbidden by the unit" journal_has '^engine io_uring'
try "it runs as a user of its own" own_user
try "systemd-analyze security: at most 2.0" exposed_at_most_two
try "a message goes from publish to a stream" published "$PLAIN/sse?channel=news"
try "publish is not for clients" not_from_outside "$PLAIN/publish?channel=news" 404
try "reload" reloads
try "replaced by SIGUSR2: no connect is refused" replaced
try "the one before has left" eventually before_is_gone
try "replaced once more" replaced
try "stop and start" bash -c 'systemctl stop ringside && systemctl start ringside'
try "it starts again after a crash" starts_again_after_a_crash
try "a certificate" certificate
try "nginx in front, as the documents say" nginx_in_front
try "a message through nginx with TLS" published 'https://www.example.org/sse?channel=news' \
    "${OUTSIDE[@]}"
try "the page through nginx" page_outside
try "publish is not passed on" not_from_outside https://127.0.0.1/publish?channel=news 404
try "ports 80 and 443, and a key by LoadCredential" credentials
try "a message with TLS of its own" published 'https://www.example.org/sse?channel=news' \
    "${OUTSIDE[@]}"
try "back to a port of its own" without_credentials
try "the log goes to the journal" logs
try "settings that are wrong are told in the journal" wrong_settings_are_told
try "started by its socket" activated
try "a restart behind a socket refuses nobody" stays_open
try "without the socket" without_socket
try "tune plans a million" ringside-tune plan 1M
try "an upgrade keeps the settings" upgraded
try "a message after the upgrade" published "$PLAIN/sse?channel=news"
try "removed: the settings stay" removed
try "purged: nothing stays" purged
[[ "$failed" -eq 0 ]] || journalctl -q -u ringside --no-pager >/try/journal
echo "$passed passed"
echo "$failed failed"
