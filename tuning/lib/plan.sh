# plan: the rows of the model, shown; nothing here decides a number.
# shellcheck shell=bash

cmd_plan() {
    options_read "$@"
    model_build
    case $FORMAT in
    table) plan_table ;;
    sysctl-d) plan_sysctl_d ;;
    systemd) plan_systemd ;;
    profile) plan_profile ;;
    server) plan_server ;;
    tuned) plan_tuned ;;
    docker) plan_docker ;;
    esac
}

plan_title() {
    printf '%s connections, transport %s, role %s\n' "$N" "$TRANSPORT" "$ROLE"
}

# Sets HAVE and STATE of a row:
#   ok  low  rings (low, but rings add up)  tight (fits unless the worst happens)
#   host (only outside this namespace)  absent  unused  told  measure
row_state() {
    local i=$1 key=${ROW_KEY[$1]} need=${ROW_NEED[$1]}
    case ${ROW_KIND[$i]} in
    floor | triple | range)
        state_of_sysctl "$key" "${ROW_KIND[$i]}" "$(fitted "$key" "$need")"
        [ "$STATE" = ok ] && [ "$(raised "${ROW_KIND[$i]}" "$HAVE" "$need")" != "$HAVE" ] &&
            STATE=tight
        ;;
    zero) state_of_zero "$key" ;;
    hash) state_of_hash "$need" ;;
    nofile) state_of_nofile "$need" ;;
    memory | worst) state_of_memory "${ROW_KIND[$i]}" "$need" ;;
    flows) state_of_flows "$key" "$need" ;;
    count | server) HAVE=- STATE=told ;;
    measure) HAVE=$(machine_get "$key") || HAVE=-; STATE=measure ;;
    esac
}

# fitted KEY NEED: as much of the need as this machine's memory allows. tcp_mem is a bound, and one
# above the memory is none: the kernel would meet its own end first.
fitted() {
    local need most bytes
    bytes=$(machine_memory_bytes)
    if [ "$1" != net.ipv4.tcp_mem ] || [ -z "$bytes" ]; then
        printf '%s' "$2"
        return
    fi
    read -r -a need <<<"$2"
    most=$((bytes * TCP_MEM_PERCENT / 100 / PAGE_BYTES))
    printf '%d %d %d' "$(at_most "${need[0]}" $((most / 2)))" \
        "$(at_most "${need[1]}" $((most * 2 / 3)))" "$(at_most "${need[2]}" "$most")"
}

state_of_number() {
    if [ -z "$HAVE" ]; then
        HAVE=- STATE=absent
    elif ((HAVE >= $1)); then
        STATE=ok
    else
        STATE=low
    fi
}

# A kernel without the switch has nothing to refuse.
state_of_zero() {
    HAVE=$(machine_get "$1") || HAVE=-
    STATE=low
    [[ $HAVE = 0 || $HAVE = - ]] && STATE=ok
    return 0
}

state_of_memory() {
    HAVE=$(machine_memory_bytes)
    state_of_number "$2"
    [ "$1:$STATE" = worst:low ] && STATE=tight
    return 0
}

state_of_sysctl() {
    local key=$1
    if ! HAVE=$(machine_get "$key"); then
        HAVE=- STATE=absent
    elif [ "$(raised "$2" "$HAVE" "$3")" = "$HAVE" ]; then
        STATE=ok
        return
    else
        STATE=low
    fi
    # A namespace must not move what all others share, even where it could (fs.*).
    machine_in_namespace && machine_is_host_wide "$key" && STATE=host
    return 0
}

# The kernel shows a namespace that shares its parent's table as a negative number.
state_of_hash() {
    HAVE=$(machine_get net.ipv4.tcp_ehash_entries) || HAVE=
    HAVE=${HAVE#-}
    state_of_number "$1"
}

state_of_nofile() {
    HAVE=$(machine_limit hard 'Max open files') || HAVE=
    state_of_number "$1"
    [ "$STATE:$ENGINE" = low:io_uring ] && STATE=rings
    return 0
}

state_of_flows() {
    local tracked
    tracked=$(machine_get net.netfilter.nf_conntrack_count) || tracked=0
    HAVE=$(machine_get "$1") || HAVE=
    state_of_number "$2"
    [ "$tracked" = 0 ] && STATE=unused
    return 0
}

value_text() {
    case $1 in
    memory | worst) [[ $2 =~ ^[0-9]+$ ]] && bytes_text "$2" || printf '%s' "$2" ;;
    *) [ "$2" = "$UNLIMITED" ] && printf 'unlimited' || printf '%s' "$2" ;;
    esac
}

row_print() {
    local i=$1
    printf '%-34s %-25s %-25s %s\n' "${ROW_KEY[$i]}" "$(value_text "${ROW_KIND[$i]}" "$HAVE")" \
        "$(value_text "${ROW_KIND[$i]}" "${ROW_NEED[$i]}")" "$STATE"
}

plan_table() {
    local i
    plan_title
    printf '\n%-34s %-25s %-25s %s\n' setting have need state
    for i in "${!ROW_KEY[@]}"; do
        row_state "$i"
        row_print "$i"
        say_under why "${ROW_WHY[$i]}"
        row_advice "$i"
    done
    cat <<'TEXT'

low: too low. rings: too low for one ring, met by several. tight: fits unless the worst happens.
host: set it outside this namespace. absent: this kernel has not got it. unused: nothing is
tracked. measure: compare, do not assume.
TEXT
}

# What to do about a row that `apply` cannot settle.
row_advice() {
    local i=$1
    case ${ROW_KIND[$i]}:$STATE in
    nofile:rings)
        say_under works "$(ceil_div "$N" "$(table_slots "$HAVE")") rings of" \
            "$(table_slots "$HAVE") direct descriptors under a hard limit of $HAVE; see also plan" \
            "--systemd"
        ;;
    hash:low) say_under help "one box: tune lab; a host: boot with thash_entries=${ROW_NEED[$i]}" ;;
    memory:low) say_under help "fewer connections or more memory: they do not fit even idle" ;;
    worst:tight)
        say_under help "the connections fit, a broadcast that nobody reads does not: pace it, or" \
            "keep the last number of tcp_mem below what is left"
        ;;
    triple:tight | triple:low)
        [ "$(fitted "${ROW_KEY[$i]}" "${ROW_NEED[$i]}")" = "${ROW_NEED[$i]}" ] ||
            say_under fits "$(fitted "${ROW_KEY[$i]}" "${ROW_NEED[$i]}") at most, which is" \
                "$TCP_MEM_PERCENT % of this machine's memory: pace broadcasts, or send them to" \
                "fewer at a time"
        ;;
    zero:low) say_under help "sysctl -w ${ROW_KEY[$i]}=0, if the machine's owner agrees" ;;
    *:host) say_under help "run tune apply on the host: one value for all namespaces" ;;
    esac
}

row_is_sysctl() {
    case ${ROW_KIND[$1]} in floor | triple | range) return 0 ;; *) return 1 ;; esac
}

# A sysctl.d file sets, it does not raise; so it carries the larger of have and need.
plan_sysctl_d() {
    local i have
    printf '# '
    plan_title
    printf '# Made on this machine by tune plan: no value is below what the machine had.\n'
    for i in "${!ROW_KEY[@]}"; do
        row_is_sysctl "$i" || continue
        if have=$(machine_get "${ROW_KEY[$i]}"); then
            printf '%s = %s\n' "${ROW_KEY[$i]}" \
                "$(raised "${ROW_KIND[$i]}" "$have" "$(fitted "${ROW_KEY[$i]}" "${ROW_NEED[$i]}")")"
        else
            printf '# %s: not here; it needs %s on the host\n' "${ROW_KEY[$i]}" "${ROW_NEED[$i]}"
        fi
    done
}

plan_systemd() {
    local each=$((SOCKET_BYTES + POLL_BYTES + USER_BYTES + $(model_pages) * PAGE_BYTES))
    printf '# '
    plan_title
    cat <<TEXT
# For /etc/systemd/system/ringside.service.d/connections.conf
# limits.conf does not reach services, these lines do. For the engine $ENGINE; fs.nr_open must be
# LimitNOFILE or more.
[Service]
LimitNOFILE=$(model_nofile)
# A thread per core and the kernel's io workers.
TasksMax=$TASKS
# Sockets and their buffers count against the cgroup of the service: a MemoryMax below
# $(bytes_text $((N * each))) stops it before the machine is full.
MemoryMax=infinity
TEXT
}

# The part of the server's own file that belongs to N.
plan_server() {
    local i
    printf '; '
    plan_title
    printf '[server]\n'
    for i in "${!ROW_KEY[@]}"; do
        [ "${ROW_KIND[$i]}" = server ] || continue
        printf '%s = %s\n' "${ROW_KEY[$i]#server:}" "${ROW_NEED[$i]}"
    done
}

# A profile of TuneD, which takes values back when another one is chosen. A number with > before it
# is a floor there; of three numbers there is no floor, so they are made for this machine.
plan_tuned() {
    local i have
    printf '# '
    plan_title
    printf '# For /etc/tuned/ringside/tuned.conf: tuned-adm profile ringside\n'
    printf '[main]\nsummary=Ringside, %s connections\n\n[sysctl]\n' "$N"
    for i in "${!ROW_KEY[@]}"; do
        row_is_sysctl "$i" || continue
        if [ "${ROW_KIND[$i]}" = floor ]; then
            printf '%s=>%s\n' "${ROW_KEY[$i]}" "${ROW_NEED[$i]}"
        elif have=$(machine_get "${ROW_KEY[$i]}"); then
            printf '%s="%s"\n' "${ROW_KEY[$i]}" \
                "$(raised "${ROW_KIND[$i]}" "$have" "$(fitted "${ROW_KEY[$i]}" "${ROW_NEED[$i]}")")"
        fi
    done
}

# What a container has of its own, as words for docker or podman; the host's part is apply's.
plan_docker() {
    local i
    printf -- '--ulimit nofile=%s:%s\n' "$(model_nofile)" "$(model_nofile)"
    for i in "${!ROW_KEY[@]}"; do
        row_is_sysctl "$i" || continue
        machine_is_host_wide "${ROW_KEY[$i]}" ||
            printf -- '--sysctl %s="%s"\n' "${ROW_KEY[$i]}" "${ROW_NEED[$i]}"
    done
}

# The same on every machine, to read and to review. It says >= where sysctl wants =, on purpose:
# loaded by mistake it changes nothing.
plan_profile() {
    local i
    printf '# '
    plan_title
    cat <<TEXT
# Floors. tune apply raises what is lower and leaves what is higher; for a file that a boot loads
# use tune plan --sysctl-d on the machine. Generated by tune plan $N --profile
TEXT
    for i in "${!ROW_KEY[@]}"; do
        printf '\n'
        say_under why "${ROW_WHY[$i]}" | sed 's/^ */# /'
        profile_line "${ROW_KEY[$i]}" "${ROW_KIND[$i]}" "${ROW_NEED[$i]}"
    done
    printf '\n# systemd drop-in\nLimitNOFILE >= %s\nTasksMax >= %s\n' "$(model_nofile)" "$TASKS"
}

profile_line() {
    case $2 in
    measure) printf '%s: measure\n' "$1" ;;
    zero) printf '%s == 0\n' "$1" ;;
    *) printf '%s >= %s\n' "$1" "$(value_text "$2" "$3")" ;;
    esac
}
