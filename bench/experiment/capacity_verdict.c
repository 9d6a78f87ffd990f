#include "experiment/capacity_verdict.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "output/number.h"

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

/* Whether an errno stands for what kept connections down: some attempts fail and are repeated in
 * every large ramp. */
static bool kept_down(const struct capacity_evidence *evidence, int err)
{
    uint64_t down = evidence->publisher_down ? 1 : evidence->wanted - evidence->up;
    return evidence->stage == STAGE_RAMP && evidence->errors[err] > 0 &&
           2 * (uint64_t)evidence->errors[err] >= down;
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
    return kept_down(evidence, EMFILE);
}

static bool fits_all_files(const struct capacity_evidence *evidence)
{
    return kept_down(evidence, ENFILE);
}

static bool fits_accept(const struct capacity_evidence *evidence)
{
    return grew(evidence, COUNTER_ACCEPT_REFUSED);
}

static bool fits_sources(const struct capacity_evidence *evidence)
{
    return kept_down(evidence, EADDRNOTAVAIL) || kept_down(evidence, EADDRINUSE);
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
    return kept_down(evidence, ENOMEM) || kept_down(evidence, ENOBUFS);
}

/* A step that held had a ramp as well. */
static bool in_ramp(const struct capacity_evidence *evidence)
{
    return evidence->stage == STAGE_RAMP || evidence->stage == STAGE_WHOLE;
}

static bool fits_backlog(const struct capacity_evidence *evidence)
{
    return in_ramp(evidence) &&
           (grew(evidence, COUNTER_LISTEN_OVERFLOWS) || grew(evidence, COUNTER_LISTEN_DROPS));
}

static bool fits_request_queue(const struct capacity_evidence *evidence)
{
    return in_ramp(evidence) && grew(evidence, COUNTER_REQUEST_QUEUE_DROPS);
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
    return kept_down(evidence, ECONNREFUSED);
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
    {
        .name = "memory",
        .fits = fits_memory,
        .says = "less memory was left than is kept free, and the step was ended before anything "
                "was swapped",
        .remedy = "`tuning/tune plan {n} --role both` says how much {n} need.",
    },
    {
        .name = "server",
        .fits = fits_server_ended,
        .says = "the server has ended",
        .remedy = "What it said is above; `dmesg | grep -i oom` shows whether the kernel ended it.",
    },
    {
        .name = "max_connections",
        .fits = fits_table,
        .says = "the server's own table was full",
        .setting = "the server's max_connections",
        .remedy = "Start it with `--max-connections {n}`; the bench sets it when no --set does.",
    },
    {
        .name = "hub",
        .fits = fits_hub,
        .says = "a bound of the server's hub was reached",
        .setting = "the server's channels_max or subscriptions_per_connection",
        .remedy = "`ringside-server --help-config` explains them; `--set NAME=VALUE` moves one.",
    },
    {
        .name = "shed",
        .fits = fits_shed,
        .says = "the server answered 503",
        .setting = "the server's max_connections",
        .remedy = "/metrics on a running server names the reason; `--max-connections {n}` is the "
                  "first to try.",
    },
    {
        .name = "nofile",
        .fits = fits_process_files,
        .says = "a process had no descriptor left",
        .setting = "RLIMIT_NOFILE",
        .remedy = "`ulimit -n {n}` in the shell that starts both; `tuning/tune plan {n} --systemd` "
                  "for a service.",
    },
    {
        .name = "file-max",
        .fits = fits_all_files,
        .says = "the machine had no open file left",
        .setting = "fs.file-max",
        .remedy = TUNE_BOTH,
    },
    {
        .name = "accept",
        .fits = fits_accept,
        .says = "the server lost connections before they had a slot",
        .setting = "RLIMIT_NOFILE or fs.file-max",
        .remedy = "`tuning/tune check {n} --role both` says which of the two is short.",
    },
    {
        .name = "ports",
        .fits = fits_sources,
        .says = "no source address and port was to be had",
        .remedy =
            "The load generator takes 127.1.0.1 and up: `ip route get 127.1.0.1` shows whether "
            "they are local, `ss -tan | grep -c TIME-WAIT` whether old connections hold them.",
    },
    {
        .name = "tcp_mem",
        .fits = fits_tcp_memory,
        .says = "TCP memory ran short",
        .setting = "net.ipv4.tcp_mem",
        .remedy = TUNE_BOTH,
        .slows = true,
    },
    {
        .name = "orphans",
        .fits = fits_orphans,
        .says = "too many closed sockets were still sending",
        .setting = "net.ipv4.tcp_max_orphans",
        .remedy = TUNE_BOTH,
    },
    {
        .name = "kernel memory",
        .fits = fits_kernel_memory,
        .says = "the kernel had no memory for a socket",
        .remedy = "`tuning/tune plan {n} --role both` says what {n} need; a cgroup's memory.max "
                  "also bounds it.",
    },
    {
        .name = "backlog",
        .fits = fits_backlog,
        .says = "the accept backlog overflowed",
        .setting = "net.core.somaxconn",
        .remedy = "The smaller one of it and the server's listen_backlog counts. `tuning/tune "
                  "apply {n}` raises the first, `--set listen_backlog=N` the second.",
        .slows = true,
    },
    {
        .name = "half open",
        .fits = fits_request_queue,
        .says = "half-open connections were dropped",
        .setting = "net.ipv4.tcp_max_syn_backlog",
        .remedy = TUNE_BOTH,
        .slows = true,
    },
    {
        .name = "slow readers",
        .fits = fits_slow_reader,
        .says = "the server ended clients that did not read in time",
        .setting = "the server's queue_bytes_max, queue_total_bytes_max or stall_timeout_ms",
        .remedy = "Here the reader is the load generator: give it more with --client-cpus first.",
    },
    {
        .name = "heartbeat",
        .fits = fits_heartbeat,
        .says = "the server heard nothing of clients for two heartbeats",
        .setting = "the server's heartbeat_ms",
        .remedy = "Here the silent one is the load generator: give it more with --client-cpus, or "
                  "`--set heartbeat_ms=60000`.",
    },
    {
        .name = "packets",
        .fits = fits_packets,
        .says = "packets were dropped between loopback and TCP",
        .setting = "net.core.netdev_max_backlog",
        .remedy = TUNE_BOTH,
        .slows = true,
    },
    {
        .name = "receive buffers",
        .fits = fits_receive_buffers,
        .says = "receive buffers were too small for what came",
        .setting = "net.ipv4.tcp_rmem",
        .remedy = TUNE_BOTH,
        .slows = true,
    },
    {
        .name = "refused",
        .fits = fits_refused,
        .says = "nobody was listening",
        .remedy = "Is it the right --address? A server of the bench's own has written why above.",
    },
    {
        .name = "server CPU",
        .fits = fits_server_cpu,
        .says = "the server had no CPU time left",
        .setting = "--server-cpus and --shards",
        .remedy = "Give it more: `--server-cpus 0-3 --shards 4`; or allow more time with "
                  "--broadcast-seconds.",
    },
    {
        .name = "client CPU",
        .fits = fits_client_cpu,
        .says = "the load generator had no CPU time left",
        .setting = "--client-cpus",
        .remedy = "It is one thread: the server may hold more than this bench can ask of it. Allow "
                  "more time with --broadcast-seconds.",
    },
    {
        .name = "unexplained",
        .fits = fits_any,
        .says = "no counter of the kernel or the server explains it",
        .remedy = "`tuning/tune check {n} --role both` compares every setting with what {n} need.",
    },
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

const struct capacity_cause *capacity_cause_slowed(const struct capacity_evidence *evidence,
                                                   const struct capacity_cause *cause)
{
    for (cause = cause ? cause + 1 : causes; cause < causes + CAUSE_COUNT; cause++)
        if (cause->slows && cause->fits(evidence))
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
    char wanted[NUMBER_TEXT_MAX], number[NUMBER_TEXT_MAX];
    number_grouped(wanted, evidence->wanted);
    int len = snprintf(text, VERDICT_TEXT_MAX, "At %s, ", wanted);
    char *rest = text + len;
    size_t room = VERDICT_TEXT_MAX - (size_t)len;
    static const char *const stage_names[] = {
        [STAGE_WHOLE] = "the step",
        [STAGE_RAMP] = "the ramp",
        [STAGE_HOLD] = "the hold",
        [STAGE_BROADCAST] = "the broadcast",
    };
    uint32_t down = evidence->wanted - evidence->up;
    if (evidence->server_ended)
        snprintf(rest, room, "the server was lost");
    else if (evidence->memory_low)
        snprintf(rest, room, "%s was ended", stage_names[evidence->stage]);
    else if (evidence->publisher_down)
        snprintf(rest, room, "the publisher had no connection");
    else if (evidence->stage == STAGE_RAMP)
        snprintf(rest, room, "only %s came up %s %.*f s", number_grouped(number, evidence->up),
                 evidence->elapsed_s < evidence->allowed_s ? "before the others gave up, after"
                                                           : "within",
                 evidence->elapsed_s < 10, evidence->elapsed_s);
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
        snprintf(rest, room,
                 "the ledger was not clean: %s messages lost, doubled, out of order or corrupt",
                 number_grouped(number, evidence->ledger_faults));
}

const char *verdict_errno_name(int err)
{
    const char *name = strerrorname_np(err);
    return name ? name : "an unknown errno";
}

void capacity_say_evidence(char text[VERDICT_TEXT_MAX], const struct capacity_evidence *evidence)
{
    char name[COUNTER_NAME_MAX], bytes[NUMBER_TEXT_MAX];
    text[0] = '\0';
    if (evidence->memory_low)
        add(text, "MemAvailable %s", number_bytes(bytes, (double)evidence->memory_available));
    if (fits_tcp_memory(evidence))
        add(text, "TCP held up to %" PRIu64 " pages", evidence->tcp_pages_most);
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
