# options: the command line that plan, check, apply and verify share.
# shellcheck shell=bash

CONNECTIONS_MAX=100000000 # beyond any one machine; keeps every product below 2^63

N=0
TRANSPORT=ws
ROLE=server
ENGINE=          # empty: what the server would choose on this kernel
SHARDS=          # empty: a shard for each processor
MESSAGE_BYTES=64
STATE_DIR=${TUNE_STATE:-/var/lib/ringside-tune}
DRY_RUN=no
FORMAT=table
SECONDS_HELD=30
JSON_FILE=

# 250, 10k, 1M -> a plain number in N
option_count() {
    local text=$1 unit=1
    case $text in
    *[kK]) unit=1000 text=${text%?} ;;
    *[mM]) unit=1000000 text=${text%?} ;;
    esac
    [[ $text =~ ^[1-9][0-9]{0,8}$ ]] || die_usage "not a number of connections: $1"
    N=$((text * unit))
    ((N <= CONNECTIONS_MAX)) || die_usage "more than $CONNECTIONS_MAX: $1"
}

option_transport() {
    case $1 in
    ws | websocket) TRANSPORT=ws ;;
    sse | longpoll | poll) TRANSPORT=$1 ;;
    *) die_usage "no costs are known for transport $1; known: ws sse longpoll poll" ;;
    esac
}

option_role() {
    case $1 in
    server | client | both) ROLE=$1 ;;
    *) die_usage "no such role: $1; known: server client both" ;;
    esac
}

option_engine() {
    case $1 in
    io_uring | io_uring_fd | epoll) ENGINE=$1 ;;
    *) die_usage "no such engine: $1; known: io_uring io_uring_fd epoll" ;;
    esac
}

option_shards() {
    [[ $1 =~ ^[1-9][0-9]{0,2}$ ]] || die_usage "not a number of shards: $1"
    SHARDS=$1
}

option_message() {
    [[ $1 =~ ^[1-9][0-9]{0,8}$ ]] || die_usage "not a number of bytes: $1"
    MESSAGE_BYTES=$1
}

# What the words did not say. A profile is the same on every machine.
options_complete() {
    if [ "$FORMAT" = profile ]; then
        ENGINE=${ENGINE:-io_uring} SHARDS=${SHARDS:-1} PAGE_BYTES=4096
    fi
    ENGINE=${ENGINE:-$(machine_engine)}
    SHARDS=${SHARDS:-$(machine_cpus)}
}

option_seconds() {
    [[ $1 =~ ^[1-9][0-9]{0,5}$ ]] || die_usage "not a number of seconds: $1"
    SECONDS_HELD=$1
}

# Reads one option. Sets OPTION_USED to how many words it took; 0 when it is not one of ours.
option_take() {
    OPTION_USED=2
    case $1 in
    --transport | --role | --engine | --shards | --message | --state | --seconds | --json)
        [ $# -ge 2 ] || die_usage "$1 needs a value"
        ;;
    esac
    case $1 in
    --transport) option_transport "$2" ;;
    --role) option_role "$2" ;;
    --engine) option_engine "$2" ;;
    --shards) option_shards "$2" ;;
    --message) option_message "$2" ;;
    --state) STATE_DIR=$2 ;;
    --seconds) option_seconds "$2" ;;
    --json) JSON_FILE=$2 ;;
    --dry-run) DRY_RUN=yes OPTION_USED=1 ;;
    --sysctl-d | --systemd | --profile | --server | --tuned | --docker)
        FORMAT=${1#--} OPTION_USED=1
        ;;
    *) OPTION_USED=0 ;;
    esac
}

# All the words of a command that takes N: options_read "$@"
options_read() {
    while [ $# -gt 0 ]; do
        option_take "$@"
        if ((OPTION_USED)); then
            shift "$OPTION_USED"
            continue
        fi
        case $1 in
        -*) die_usage "no such option: $1" ;;
        *) ((N == 0)) || die_usage "one number of connections, not two: $1" ;;
        esac
        option_count "$1"
        shift
    done
    ((N > 0)) || die_usage "how many connections? for example 100k"
    options_complete
}
