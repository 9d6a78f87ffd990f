#include "experiment/capacity_verdict.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "output/table.h"

/* A CPU that had no more than this to spare set the pace. */
static const double SHARE_FULL = 0.95;

#define TUNE_BOTH                                                                                  \
    "`tuning/tune apply {n} --role both` raises it; `tuning/tune lab --for {n} -- ./build.sh "     \
    "bench capacity --from {n} --to {n}` tries it and puts everything back."

/* ---- what fits ---- */

static bool grew(const struct capacity_evidence *evidence, enum capacity_counter counter)
{
    return evidence->growth.known[counter] && evidence->growth.values[counter] > 0;
}

static bool fits_memory(const struct capacity_evidence *evidence)
{
    return evidence->memory_low;
}

static bool fits_server_ended(const struct capacity_evidence *evidence)
{
    return evidence->server_ended;
}

static bool fits_table(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_REFUSED_TABLE_FULL) || grew(evidence, COUNTER_CLOSED_TABLE_FULL);
}

static bool fits_hub(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_REFUSED_OVERLOADED) || grew(evidence, COUNTER_CLOSED_OVERLOADED);
}

/* Sheds while its own counters are out of reach: also for /metrics there was no place. */
static bool fits_shed(const struct capacity_evidence *evidence)
{
    return evidence->failures[LOAD_FAIL_SHED] > 0;
}

static bool fits_process_files(const struct capacity_evidence *evidence)
{
    return evidence->errors[EMFILE] > 0;
}

static bool fits_all_files(const struct capacity_evidence *evidence)
{
    return evidence->errors[ENFILE] > 0;
}

static bool fits_accept(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_ACCEPT_REFUSED);
}

static bool fits_sources(const struct capacity_evidence *evidence)
{
    return evidence->errors[EADDRNOTAVAIL] > 0 || evidence->errors[EADDRINUSE] > 0;
}

static bool fits_tcp_memory(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_MEMORY_PRESSURES);
}

/* Sockets are also ended "on memory" when too many are orphans. */
static bool fits_orphans(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_ABORTS_ON_MEMORY);
}

static bool fits_kernel_memory(const struct capacity_evidence *evidence)
{
    return evidence->errors[ENOMEM] > 0 || evidence->errors[ENOBUFS] > 0;
}

static bool fits_backlog(const struct capacity_evidence *evidence)
{
    return evidence->stage == STAGE_RAMP &&
           (grew(evidence, COUNTER_LISTEN_OVERFLOWS) || grew(evidence, COUNTER_LISTEN_DROPS));
}

static bool fits_request_queue(const struct capacity_evidence *evidence)
{
    return evidence->stage == STAGE_RAMP && grew(evidence, COUNTER_REQUEST_QUEUE_DROPS);
}

static bool fits_slow_reader(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_CLOSED_SLOW_READER) ||
           grew(evidence, COUNTER_CLOSED_QUEUE_TOTAL) || grew(evidence, COUNTER_CLOSED_STALLED);
}

static bool fits_heartbeat(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_CLOSED_HEARTBEAT);
}

static bool fits_packets(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_SOFTNET_DROPS);
}

static bool fits_receive_buffers(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_PRUNES) || grew(evidence, COUNTER_RECEIVE_QUEUE_DROPS);
}

static bool fits_refused(const struct capacity_evidence *evidence)
{
    return evidence->errors[ECONNREFUSED] > 0;
}

static bool fits_server_cpu(const struct capacity_evidence *evidence)
{
    return evidence->server_share >= SHARE_FULL;
}

static bool fits_client_cpu(const struct capacity_evidence *evidence)
{
    return evidence->client_share >= SHARE_FULL;
}

static bool fits_any(const struct capacity_evidence *evidence)
{
    return evidence->stage != STAGE_WHOLE;
}

/* ---- the table ---- */

static const struct capacity_cause causes[] = {
    {"memory", fits_memory,
     "less memory was left than is kept free, and the step was ended before anything was swapped",
     NULL, "`tuning/tune plan {n} --role both` says how much {n} need."},
    {"server", fits_server_ended, "the server has ended", NULL,
     "What it said is above; `dmesg | grep -i oom` shows whether the kernel ended it."},
    {"max_connections", fits_table, "the server's own table was full",
     "the server's max_connections",
     "Start it with `--max-connections {n}`; the bench sets it when no --set does."},
    {"hub", fits_hub, "a bound of the server's hub was reached",
     "the server's channels_max or subscriptions_per_connection",
     "`ringside-server --help-config` explains them; `--set NAME=VALUE` moves one."},
    {"shed", fits_shed, "the server answered 503", "the server's max_connections",
     "/metrics on a running server names the reason; `--max-connections {n}` is the first to try."},
    {"nofile", fits_process_files, "a process had no descriptor left", "RLIMIT_NOFILE",
     "`ulimit -n {n}` in the shell that starts both; `tuning/tune plan {n} --systemd` for a "
     "service."},
    {"file-max", fits_all_files, "the machine had no open file left", "fs.file-max", TUNE_BOTH},
    {"accept", fits_accept, "the server lost connections before they had a slot",
     "RLIMIT_NOFILE or fs.file-max",
     "`tuning/tune check {n} --role both` says which of the two is short."},
    {"ports", fits_sources, "source addresses and ports were taken", "net.ipv4.ip_local_port_range",
     "`ss -tan | grep -c TIME-WAIT` shows what holds them; more source addresses give more pairs."},
    {"tcp_mem", fits_tcp_memory, "TCP memory was exhausted", "net.ipv4.tcp_mem", TUNE_BOTH},
    {"orphans", fits_orphans, "too many closed sockets were still sending",
     "net.ipv4.tcp_max_orphans", TUNE_BOTH},
    {"kernel memory", fits_kernel_memory, "the kernel had no memory for a socket", NULL,
     "`tuning/tune plan {n} --role both` says what {n} need; a cgroup's memory.max also bounds "
     "it."},
    {"backlog", fits_backlog, "the accept backlog overflowed", "net.core.somaxconn",
     "The smaller one of it and the server's listen_backlog counts. `tuning/tune apply {n}` raises "
     "the first, `--set listen_backlog=N` the second."},
    {"half open", fits_request_queue, "half-open connections were dropped",
     "net.ipv4.tcp_max_syn_backlog", TUNE_BOTH},
    {"slow readers", fits_slow_reader, "the server ended clients that did not read in time",
     "the server's queue_bytes_max, queue_total_bytes_max or stall_timeout_ms",
     "Here the reader is the load generator: give it more with --client-cpus first."},
    {"heartbeat", fits_heartbeat, "the server heard nothing of clients for two heartbeats",
     "the server's heartbeat_ms",
     "Here the silent one is the load generator: give it more with --client-cpus, or `--set "
     "heartbeat_ms=60000`."},
    {"packets", fits_packets, "packets were dropped between loopback and TCP",
     "net.core.netdev_max_backlog", TUNE_BOTH},
    {"receive buffers", fits_receive_buffers, "receive buffers were too small for what came",
     "net.ipv4.tcp_rmem", TUNE_BOTH},
    {"refused", fits_refused, "nobody was listening", NULL,
     "Is it the right --address? A server of the bench's own has written why above."},
    {"server CPU", fits_server_cpu, "the server had no CPU time left", "--server-cpus and --shards",
     "Give it more: `--server-cpus 0-3 --shards 4`; or allow more time with --broadcast-seconds."},
    {"client CPU", fits_client_cpu, "the load generator had no CPU time left", "--client-cpus",
     "It is one thread: the server may hold more than this bench can ask of it. Allow more time "
     "with --broadcast-seconds."},
    {"unexplained", fits_any, "no counter of the kernel or the server explains it", NULL,
     "`tuning/tune check {n} --role both` compares every setting with what {n} need."},
};

enum {
    CAUSE_COUNT = sizeof causes / sizeof causes[0],
};

const struct capacity_cause *capacity_cause_of(const struct capacity_evidence *evidence)
{
    assert(evidence->stage != STAGE_WHOLE);
    const struct capacity_cause *cause = causes;
    while (!cause->fits(evidence))
        cause++;
    return cause;
}

const struct capacity_cause *capacity_cause_next(const struct capacity_evidence *evidence,
                                                 const struct capacity_cause *cause)
{
    for (cause++; cause < causes + CAUSE_COUNT - 1; cause++)
        if (cause->fits(evidence))
            return cause;
    return NULL;
}

const struct capacity_cause *capacity_cause_at(unsigned index)
{
    return index < CAUSE_COUNT ? &causes[index] : NULL;
}

/* ---- in words ---- */

/* Adds to a list with commas; what does not fit is left out whole. */
static __attribute__((format(printf, 2, 3))) void add(char text[VERDICT_TEXT_MAX],
                                                      const char *format, ...)
{
    size_t len = strlen(text);
    size_t start = len;
    va_list arguments;
    if (len > 0 && len + 2 < VERDICT_TEXT_MAX)
        len += (size_t)snprintf(text + len, VERDICT_TEXT_MAX - len, ", ");
    va_start(arguments, format);
    int more = vsnprintf(text + len, VERDICT_TEXT_MAX - len, format, arguments);
    va_end(arguments);
    if (more < 0 || len + (size_t)more >= VERDICT_TEXT_MAX)
        text[start] = '\0';
}

void capacity_say_what(char text[VERDICT_TEXT_MAX], const struct capacity_evidence *evidence)
{
    char wanted[TABLE_NUMBER_MAX], number[TABLE_NUMBER_MAX];
    number_grouped(wanted, evidence->wanted);
    int len = snprintf(text, VERDICT_TEXT_MAX, "At %s ", wanted);
    char *rest = text + len;
    size_t room = VERDICT_TEXT_MAX - (size_t)len;
    uint32_t down = evidence->wanted - evidence->up;
    if (evidence->server_ended)
        snprintf(rest, room, "the server was lost");
    else if (evidence->stage == STAGE_RAMP)
        snprintf(rest, room, "only %s came up within %.0f s", number_grouped(number, evidence->up),
                 evidence->allowed_s);
    else if (evidence->stage == STAGE_HOLD)
        snprintf(rest, room, "%s connections were lost while nothing was sent",
                 number_grouped(number, down));
    else if (evidence->closes > 0)
        snprintf(rest, room, "%s connections were lost during the broadcast",
                 number_grouped(number, evidence->closes));
    else if (evidence->stalled)
        snprintf(rest, room, "the first broadcast had not reached everybody after %.0f s",
                 evidence->allowed_s);
    else if (evidence->missing > 0)
        snprintf(rest, room, "the broadcast stalled: %s had not got it after %.0f s",
                 number_grouped(number, evidence->missing), evidence->allowed_s);
    else
        snprintf(rest, room, "the ledger was not clean: %s messages lost, doubled or out of order",
                 number_grouped(number, evidence->ledger_faults));
}

const char *verdict_errno_name(int err)
{
    const char *name = strerrorname_np(err);
    return name ? name : "an unknown errno";
}

void capacity_say_evidence(char text[VERDICT_TEXT_MAX], const struct capacity_evidence *evidence)
{
    char name[COUNTER_NAME_MAX];
    text[0] = '\0';
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (i != COUNTER_ACCEPTED && grew(evidence, (enum capacity_counter)i))
            add(text, "%s +%" PRIu64, counter_name((enum capacity_counter)i, name),
                evidence->growth.values[i]);
    for (int i = 0; i < LOAD_ERRNO_MAX; i++)
        if (evidence->errors[i] > 0)
            add(text, "connect: %s %u times", verdict_errno_name(i), evidence->errors[i]);
    for (int i = 0; i < LOAD_FAIL_COUNT; i++)
        if (evidence->failures[i] > 0)
            add(text, "clients: %s %" PRIu64 " times", load_failure_name((enum load_failure)i),
                evidence->failures[i]);
    if (text[0] == '\0')
        snprintf(text, VERDICT_TEXT_MAX, "no counter moved");
}
