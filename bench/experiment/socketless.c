#include "experiment/socketless.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/bench.h"
#include "phantom/phantom.h"

#define LATE_NS INT64_C(100000000) /* half of the least time after which a server sends again */

struct network_config socketless_network(const struct options *options)
{
    return (struct network_config){
        .seed = options->seed,
        .rtt_us = options->rtt_ms * 1000,
        .jitter_us = options->jitter_ms * 1000,
        .loss = options->loss_percent / 100,
        .loss_burst = options->loss_burst,
        .reorder = options->reorder_percent / 100,
        .rate_bytes = options->line_rate,
    };
}

static int check(const struct options *options)
{
    static const struct {
        enum option_id id;
        const char *name;
    } only[] = {
        {OPTION_LOSS, "--loss"},
        {OPTION_REORDER, "--reorder"},
        {OPTION_LINE_RATE, "--line-rate"},
        {OPTION_VANISH, "--vanish"},
        {OPTION_TCP_OPTIONS, "--tcp-options"},
    };
    for (size_t i = 0; i < sizeof only / sizeof only[0] && !options->socketless; i++)
        if (options_given(options, only[i].id))
            return bench_fail(
                -EINVAL, "%s needs --clients socketless: with sockets the kernel answers for them",
                only[i].name);
    if (options->socketless && options->address)
        return bench_fail(-EINVAL, "--clients socketless starts its own server: one at --address "
                                   "does not listen behind the clients' device");
    return 0;
}

int socketless_begin(struct bench *bench)
{
    const struct options *options = bench->options;
    char why[BENCH_WHY_MAX] = "";
    cpu_set_t cpus;
    int err = check(options);
    if (err < 0 || !options->socketless)
        return err;
    const struct phantom_config config = {
        .server_cpus = cpus_parse(&cpus, options->server_cpus) == 0 ? &cpus : NULL,
        .network = socketless_network(options),
        .sack = options->sack,
        .timestamps = options->timestamps,
        .window_scale = options->window_scale,
    };
    err = phantom_open(&bench->phantom, &config, why, sizeof why);
    if (err < 0)
        return bench_fail(err, "no clients without sockets: %s", why[0] ? why : strerror(-err));
    int apart = phantom_receives_apart(bench->phantom);
    if (apart < 0)
        result_note(&bench->result,
                    "What clients send is received on their own CPU, not on the server's: "
                    "rps_cpus of %s could not be set (%s).",
                    PHANTOM_DEVICE, strerror(-apart));
    return 0;
}

static void note_network(struct bench *bench, const struct network_counters *network,
                         const char *of)
{
    struct result *result = &bench->result;
    if (network->passed + network->lost == 0)
        return;
    result_note(
        result,
        "The network of seed %u carried %lu packets%s, lost %lu, and let %lu overtake others.",
        bench->options->seed, (unsigned long)network->passed, of, (unsigned long)network->lost,
        (unsigned long)network->reordered);
    if (network->overflowed > 0)
        result_note(result,
                    "It had no room for %lu packets, which were lost against its settings: with "
                    "fewer clients or a shorter round trip it has.",
                    (unsigned long)network->overflowed);
}

void socketless_note_datagrams(struct bench *bench, const struct load *load)
{
    struct load_datagrams datagrams;
    load_datagrams_read(load, &datagrams);
    note_network(bench, &datagrams.network, " of QUIC");
    if (datagrams.unread > 0)
        result_note(&bench->result,
                    "%lu datagrams found the clients' socket full, and were lost: "
                    "net.core.rmem_max bounds it, but for root.",
                    (unsigned long)datagrams.unread);
}

/* Why the server sent again what had come: each of these lets its timer of 200 ms run out. */
static void note_needless(struct bench *bench, const struct phantom_counters *counters)
{
    struct result *result = &bench->result;
    if (counters->unheard > 0)
        result_note(
            result,
            "The server's CPUs dropped %lu packets before they were received, of clients or "
            "of other programs: net.core.netdev_max_backlog bounds how many may wait.",
            (unsigned long)counters->unheard);
    if (counters->unread > 0)
        result_note(result, "%lu packets of the server found the clients' device full.",
                    (unsigned long)counters->unread);
    if (counters->tcp.again > 0 && counters->behind_ns >= LATE_NS)
        result_note(
            result,
            "Clients had packets to read without a pause for up to %ld ms: they were behind, "
            "and acknowledged late.",
            (long)(counters->behind_ns / 1000000));
    if (counters->held > 0)
        result_note(result,
                    "Clients waited %lu times until the server's CPUs had received what was sent.",
                    (unsigned long)counters->held);
}

static void note_device(struct bench *bench, const struct phantom_counters *counters)
{
    struct result *result = &bench->result;
    const struct tcp_counters *tcp = &counters->tcp;
    result_note(result,
                "Clients without sockets: %lu segments came and %lu left; %lu of the server's held "
                "nothing new, %lu of the clients' were sent again.",
                (unsigned long)tcp->segments_in, (unsigned long)tcp->segments_out,
                (unsigned long)tcp->again, (unsigned long)tcp->retransmitted);
    note_needless(bench, counters);
    if (tcp->no_room + counters->refused > 0)
        result_note(result,
                    "%lu segments found no room at the clients, and the device did not take %lu "
                    "packets of theirs: they were lost, and sent again.",
                    (unsigned long)tcp->no_room, (unsigned long)counters->refused);
}

void socketless_end(struct bench *bench)
{
    struct phantom_counters counters;
    if (!bench->phantom)
        return;
    phantom_count(bench->phantom, &counters);
    note_device(bench, &counters);
    note_network(bench, &counters.network, "");
    phantom_close(bench->phantom);
    bench->phantom = NULL;
}

static struct segments segments_of(const struct bench *bench)
{
    struct phantom_counters counters;
    if (!bench->phantom)
        return (struct segments){0};
    phantom_count(bench->phantom, &counters);
    return (struct segments){counters.tcp.segments_in, counters.tcp.segments_out,
                             counters.tcp.again};
}

struct segments socketless_segments(const struct bench *bench, const struct segments *before)
{
    struct segments now = segments_of(bench);
    return (struct segments){now.in - before->in, now.out - before->out,
                             now.needless - before->needless};
}

uint32_t socketless_host(const struct bench *bench)
{
    return bench->phantom ? PHANTOM_SERVER : INADDR_LOOPBACK;
}
