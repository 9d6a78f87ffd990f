#include "experiment/field.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/secret.h"
#include "experiment/socketless.h"
#include "experiment/stream.h"
#include "measure/clock.h"
#include "measure/slab.h"

static const int64_t RAMP_TIMEOUT_NS = (int64_t)900 * NS_PER_S;
/* Each of them is at most this, and so much more for each client. */
static const int64_t SETTLE_TIMEOUT_NS = (int64_t)60 * NS_PER_S;
static const int64_t SETTLE_EACH_NS = (int64_t)200 * NS_PER_US;
static const int64_t DRAIN_NS = (int64_t)20 * NS_PER_S;
static const int64_t DRAIN_EACH_NS = (int64_t)50 * NS_PER_US;
static const int64_t CALM_NS = (int64_t)300 * NS_PER_MS; /* until memory is measured */
static const unsigned SLAB_PATIENCE_MS = 5000;

void field_init(struct field *field, struct bench *bench)
{
    *field = (struct field){.bench = bench};
}

static enum load_resume resume_of(const struct options *options)
{
    return options->tls_resume_ramp ? LOAD_RESUME_SHARED
           : options->tls_resume    ? LOAD_RESUME_OWN
                                    : LOAD_RESUME_NONE;
}

struct entrant *field_add(struct field *field, const char *name, enum contestant_kind kind,
                          const struct protocol *transport, struct server *server, uint32_t clients)
{
    assert(field->count < FIELD_ENTRANTS_MAX && !field->load);
    struct entrant *entrant = &field->entrants[field->count++];
    *entrant = (struct entrant){
        .name = name,
        .kind = kind,
        .transport = transport,
        .publish = transport->is & PROTOCOL_SILENT ? NULL : &protocol_websocket,
        .server = server,
        .reach = transport->is & PROTOCOL_QUIC ? server->tls_address : server->reach,
        .publish_at = server->address,
        .rtt_ms = field->bench->options->rtt_ms,
        .clients = clients,
        .resume = resume_of(field->bench->options),
    };
    snprintf(entrant->channel, sizeof entrant->channel, "bench-%s", name);
    return entrant;
}

int field_add_way(struct field *field, const struct way *way, struct server *server,
                  uint32_t clients)
{
    struct entrant *entrant =
        field_add(field, way_name(way), KIND_TRANSPORT, way->transport, server, clients);
    if (!way->tls)
        return 0;
    entrant->tls = bench_tls_client(field->bench, way->cipher, way->transport);
    entrant->publish_tls = bench_tls_client(field->bench, way->cipher, entrant->publish);
    entrant->cipher = way->cipher;
    entrant->reach = server->tls_reach;
    entrant->publish_at = server->tls_address;
    for (unsigned i = 0; i + 1 < field->count; i++)
        if (!field->entrants[i].tls && field->entrants[i].kind == KIND_TRANSPORT &&
            field->entrants[i].transport == way->transport)
            entrant->plain = &field->entrants[i];
    return entrant->tls && entrant->publish_tls ? 0 : -EINVAL;
}

int field_serve_ways(struct field *field, uint32_t clients)
{
    struct way ways[WAYS_MAX];
    struct server *server;
    unsigned count = ways_of(field->bench->options, ways);
    if (field->count + count > FIELD_ENTRANTS_MAX)
        return bench_fail(-ENOSPC,
                          "%u contestants are too many for one run: name fewer with "
                          "--transport or --tls-cipher",
                          count);
    int err = bench_server_start(field->bench, clients * count, NULL, &server);
    for (unsigned i = 0; err == 0 && i < count; i++)
        err = field_add_way(field, &ways[i], server, clients);
    return err;
}

/* ---- opening ---- */

static uint32_t streams_of(const struct field *field, const struct entrant *entrant)
{
    return entrant->transport->is & PROTOCOL_STREAMS ? field->bench->options->streams_each : 1;
}

uint32_t field_links(const struct field *field, unsigned index, uint32_t subscribers)
{
    const uint32_t streams = streams_of(field, &field->entrants[index]);
    return (subscribers + streams - 1) / streams;
}

static int create_load(struct field *field)
{
    const struct options *options = field->bench->options;
    struct load_group_config groups[FIELD_ENTRANTS_MAX] = {0};
    char why[BENCH_WHY_MAX] = "";
    for (unsigned i = 0; i < field->count; i++) {
        const struct entrant *entrant = &field->entrants[i];
        groups[i] = (struct load_group_config){
            .transport = entrant->transport,
            .target = entrant->reach,
            .targets = entrant->targets,
            .target_count = entrant->target_count,
            .publish_to = entrant->publish_to,
            .certain = entrant->certain,
            .channels = entrant->channels,
            .publish_target = entrant->publish_at,
            .channel = entrant->channel,
            .clients = entrant->clients,
            .streams = streams_of(field, entrant),
            .publish = entrant->publish,
            .payload_bytes = options->message_bytes,
            .anew = field->anew,
            .token_secret = options->tokens ? secret_of_run() : NULL,
            .poll_interval_ms = options->poll_interval_ms,
            .protocol = entrant->protocol,
            .tls = entrant->tls,
            .publish_tls = entrant->publish_tls,
            .tls_name = entrant->tls ? BENCH_TLS_NAME : NULL,
            .tls_resume = entrant->resume,
            .network = socketless_network(options),
        };
        groups[i].network.rtt_us = entrant->rtt_ms * 1000;
        if (entrant->stream)
            stream_apply(entrant->stream, &groups[i]);
    }
    const struct load_config config = {
        .groups = groups,
        .group_count = field->count,
        .phantom = field->bench->phantom,
        .first_address = field->from,
        .address_count = field->from_count,
        .progress = watch_progress,
        .context = field->bench,
        .progress_ms = watch_period_ms(field->bench),
    };
    int err = load_create(&field->load, &config, why, sizeof why);
    if (err < 0)
        return bench_fail(err, "the load cannot be made: %s", why[0] ? why : strerror(-err));
    field->bench->load = field->load;
    field->bench->group_count = field->count;
    field->bench->watch.deliveries = 0;
    return 0;
}

static void say_failures(const struct load_ramp_result *ramp)
{
    for (int i = 0; i < LOAD_FAIL_COUNT; i++)
        if (ramp->failures[i] > 0)
            fprintf(stderr, "    %s: %lu attempts\n", load_failure_name((enum load_failure)i),
                    (unsigned long)ramp->failures[i]);
}

static int ramp(struct field *field, unsigned index)
{
    struct entrant *entrant = &field->entrants[index];
    const struct load_ramp_config config = {.timeout_ns = RAMP_TIMEOUT_NS};
    watch_phase(field->bench, "ramp", entrant->name, NULL);
    /* The load's clock stands still between its functions, and a ramp is timed from where it
     * stands. */
    int err = load_idle(field->load, NS_PER_MS, LOAD_ALL);
    if (err == 0)
        err = load_ramp(field->load, index, &config, &entrant->ramp);
    if (err == -EINTR)
        return err;
    if (err == 0 && entrant->ramp.failed == 0)
        return 0;
    bench_fail(err, "%s: %u of %u clients did not connect%s%s", entrant->name,
               entrant->clients - load_up(field->load, index), entrant->clients, err ? ": " : "",
               err ? strerror(-err) : "");
    say_failures(&entrant->ramp);
    return err ? err : -ECONNREFUSED;
}

/* Connects an entrant between two looks at the memory of its server and of the kernel. */
static int ramp_measured(struct field *field, unsigned index)
{
    struct entrant *entrant = &field->entrants[index];
    struct slab *before = malloc(sizeof *before), *after = malloc(sizeof *after);
    entrant->memory = calloc(1, sizeof *entrant->memory);
    assert(before && after && entrant->memory);
    watch_phase(field->bench, "calm", entrant->name, "kernel memory settles");
    entrant->memory->one_end = field->bench->options->socketless;
    entrant->memory->kernel_known = slab_read_calm(before, SLAB_PATIENCE_MS) == 0;
    uint64_t rss_before = entrant->rss_before = process_rss_bytes(&entrant->server->process);
    int err = ramp(field, index);
    if (err == 0)
        err = load_idle(field->load, CALM_NS, LOAD_ALL);
    if (err == 0) {
        uint64_t rss_after = process_rss_bytes(&entrant->server->process);
        entrant->memory->known = rss_before > 0 && rss_after > 0;
        entrant->memory->user_bytes = (int64_t)rss_after - (int64_t)rss_before;
        if (entrant->memory->kernel_known && slab_read(after) == 0)
            slab_growth(&entrant->memory->slab, before, after);
    }
    free(before);
    free(after);
    return err;
}

int field_create(struct field *field)
{
    uint64_t clients = 0, over_quic = 0;
    for (unsigned i = 0; i < field->count; i++) {
        const struct entrant *entrant = &field->entrants[i];
        clients += entrant->clients;
        if (entrant->transport->is & PROTOCOL_QUIC)
            over_quic += field_links(field, i, entrant->clients);
    }
    int err = bench_memory_check(field->bench, clients, over_quic);
    return err < 0 ? err : create_load(field);
}

int field_settle(struct field *field, unsigned index)
{
    const struct entrant *entrant = &field->entrants[index];
    if (!entrant->publish)
        return 0;
    watch_phase(field->bench, "settle", entrant->name, NULL);
    int64_t timeout_ns = SETTLE_TIMEOUT_NS + entrant->clients * SETTLE_EACH_NS;
    int err = load_settle(field->load, index, timeout_ns);
    if (err < 0 && err != -EINTR)
        bench_fail(err, "%s: not everybody received the first messages: %s", entrant->name,
                   strerror(-err));
    return err;
}

int field_ramp(struct field *field, unsigned index)
{
    return field->memory_unread ? ramp(field, index) : ramp_measured(field, index);
}

int field_open(struct field *field)
{
    int err = field_create(field);
    for (unsigned i = 0; err == 0 && i < field->count; i++)
        err = field_ramp(field, i);
    for (unsigned i = 0; err == 0 && i < field->count; i++)
        err = field_settle(field, i);
    return err;
}

void field_failures(struct field *field, unsigned index, struct contestant *into)
{
    struct entrant *entrant = &field->entrants[index];
    const struct load_counters *counters = load_counters(field->load, index);
    for (int reason = 0; reason < LOAD_FAIL_COUNT; reason++) {
        uint64_t closes = counters->closes[reason] - entrant->closes_taken[reason];
        uint64_t failures = counters->failures[reason] - entrant->failures_taken[reason];
        if (into) {
            into->errors[reason] += closes + failures;
            into->closes += closes;
        }
        entrant->closes_taken[reason] = counters->closes[reason];
        entrant->failures_taken[reason] = counters->failures[reason];
    }
    field_handshakes(field, index, into);
}

void field_handshakes(struct field *field, unsigned index, struct contestant *into)
{
    struct entrant *entrant = &field->entrants[index];
    const struct load_counters *counters = load_counters(field->load, index);
    if (into) {
        into->tls.full += counters->tls_full - entrant->tls_full_taken;
        into->tls.resumed += counters->tls_resumed - entrant->tls_resumed_taken;
    }
    entrant->tls_full_taken = counters->tls_full;
    entrant->tls_resumed_taken = counters->tls_resumed;
}

/* The first workload stands for all: they share the connections. */
static void take_failures(struct field *field)
{
    struct result *result = &field->bench->result;
    for (unsigned i = 0; field->load && i < field->count; i++) {
        for (unsigned c = 0; c < result->contestant_count; c++) {
            struct contestant *contestant = result->contestants[c];
            if (strcmp(contestant->name, field->entrants[i].name) != 0)
                continue;
            field_failures(field, i, contestant);
            break;
        }
    }
}

/* The most that a server had is that of its subscribers where all of them are one entrant's. */
static void take_peak(struct field *field, struct entrant *entrant)
{
    for (unsigned i = 0; i < field->count; i++)
        if (&field->entrants[i] != entrant && field->entrants[i].server == entrant->server)
            return;
    uint64_t peak = process_peak_bytes(&entrant->server->process);
    if (peak > entrant->rss_before && entrant->rss_before > 0)
        entrant->memory->peak_bytes = (int64_t)(peak - entrant->rss_before);
}

void field_close(struct field *field)
{
    take_failures(field);
    for (unsigned i = 0; field->load && i < field->count; i++)
        if (field->entrants[i].memory)
            take_peak(field, &field->entrants[i]);
    if (field->load)
        socketless_note_datagrams(field->bench, field->load);
    load_free(field->load);
    field->load = field->bench->load = NULL;
    field->bench->group_count = 0;
    for (unsigned i = 0; i < field->count; i++) {
        if (!field->entrants[i].memory_given)
            free(field->entrants[i].memory);
        field->entrants[i].memory = NULL;
    }
}

/* ---- turns ---- */

struct contestant *field_contestant(struct field *field, unsigned index, const char *workload)
{
    struct entrant *entrant = &field->entrants[index];
    struct contestant *contestant =
        result_add(&field->bench->result, entrant->name, workload, entrant->kind);
    if (entrant->kind == KIND_PEER && entrant->transport == &protocol_sse)
        contestant_figure(contestant, "transport", json_string("sse"));
    if (entrant->kind == KIND_PEER && entrant->transport == &protocol_longpoll_since)
        contestant_figure(contestant, "transport", json_string("longpoll"));
    if (entrant->version)
        snprintf(contestant->version, sizeof contestant->version, "%s", entrant->version);
    contestant->connections = field->load ? load_links_up(field->load, index) : 0;
    contestant->subscribers = field->load ? load_up(field->load, index) : 0;
    contestant->payload_bytes = field->bench->options->message_bytes;
    contestant->server_cpus = entrant->server->cpus;
    contestant->corrected = histogram_create();
    contestant->uncorrected = histogram_create();
    assert(contestant->corrected && contestant->uncorrected);
    contestant->has_requests = entrant->transport->is & PROTOCOL_ASKS;
    if (entrant->tls || entrant->transport->is & PROTOCOL_QUIC)
        snprintf(contestant->tls.cipher, sizeof contestant->tls.cipher, "%s",
                 tls_cipher_name(entrant->cipher));
    if (entrant->plain)
        contestant->tls.plain = result_find(&field->bench->result, entrant->plain->name, workload);
    if (entrant->memory && !entrant->memory_given) {
        entrant->memory_given = true;
        contestant->memory = entrant->memory;
        contestant->has_connect = true;
        contestant->connect = entrant->ramp;
    }
    return contestant;
}

static void take_latency(struct field *field, unsigned index, const struct load_mode *mode,
                         struct contestant *into)
{
    if (mode->depth == 0) /* a closed loop has no intended time */
        histogram_merge(into->corrected, load_latency(field->load, index));
    histogram_merge(into->uncorrected, load_latency_uncorrected(field->load, index));
}

/* What the turn alone had: closed loops have no intended time. */
static void turn_latency(struct field *field, unsigned index, const struct load_mode *mode,
                         struct turn *ret)
{
    const struct histogram *seen = mode->depth == 0 ? load_latency(field->load, index)
                                                    : load_latency_uncorrected(field->load, index);
    if (histogram_count(seen) == 0)
        return;
    ret->p50_ns = histogram_percentile(seen, 50);
    ret->p99_ns = histogram_percentile(seen, 99);
    ret->p999_ns = histogram_percentile(seen, 99.9);
}

static void take_requests(struct contestant *into, const struct load_counters *before,
                          const struct load_counters *after)
{
    into->requests_sent += after->requests - before->requests;
    into->requests_answered += after->answers - before->answers;
    into->requests_empty += after->empty_answers - before->empty_answers;
}

/* A turn by a mode; without one, of visits. */
static int turn_run(struct field *field, unsigned index, const struct load_mode *mode,
                    int64_t duration_ns, struct load_turn *ret)
{
    int64_t drain_ns = field->drain_ns > 0
                           ? field->drain_ns
                           : DRAIN_NS + field->entrants[index].clients * DRAIN_EACH_NS;
    if (!mode)
        return load_visits(field->load, index, duration_ns, ret);
    return load_run_turn(field->load, index, duration_ns, drain_ns, mode, ret);
}

int field_step(struct field *field, unsigned index, const struct load_mode *mode,
               int64_t duration_ns, unsigned round, struct turn *ret)
{
    const struct options *options = field->bench->options;
    struct process *process = &field->entrants[index].server->process;
    struct strain_mark mark;
    *ret = (struct turn){.round = round};
    histogram_reset(load_latency(field->load, index));
    histogram_reset(load_latency_uncorrected(field->load, index));
    const struct segments before = socketless_segments(field->bench, &(struct segments){0});
    strain_begin(&mark, process, options->server_cpus, options->client_cpus);
    int err = turn_run(field, index, mode, duration_ns, &ret->load);
    strain_end(&mark, &ret->strain);
    ret->segments = socketless_segments(field->bench, &before);
    ret->server_cpu_ns = strain_charged_ns(&ret->strain.cost);
    ret->start_s = (double)(ret->load.started_ns - field->bench->result.started_ns) / NS_PER_S;
    if (mode)
        turn_latency(field, index, mode, ret);
    if (err == 0 && !process_alive(process) && process->pid)
        err = bench_fail(-ECHILD, "%s has ended in the middle of the run",
                         field->entrants[index].name);
    return err;
}

int field_visits(struct field *field, unsigned index, int64_t duration_ns, unsigned round,
                 struct turn *ret)
{
    return field_step(field, index, NULL, duration_ns, round, ret);
}

/* What a publisher had sent into a connection that ended is lost, and the ledger says so; whose
 * loss it is, only this tells. */
static void note_publisher(struct contestant *into, const struct load_counters *before,
                           const struct load_counters *after)
{
    uint64_t lost = after->publisher_failures - before->publisher_failures;
    if (lost > 0)
        contestant_note(into,
                        "the publisher's connection ended %lu times during a turn; messages that "
                        "it had under way count as lost",
                        (unsigned long)lost);
}

int field_turn(struct field *field, unsigned index, const struct load_mode *mode,
               int64_t duration_ns, unsigned round, struct contestant *into)
{
    struct load_ledger before, after;
    struct turn turn;
    const struct load_counters counters = *load_counters(field->load, index);
    load_ledger_read(field->load, index, &before);
    if (mode->messages == 0)
        watch_lasts(field->bench, duration_ns);
    int err = field_step(field, index, mode, duration_ns, round, &turn);
    if (err < 0)
        return err;
    if (!into) {
        watch_turn(field->bench, NULL, &turn, NULL);
        return 0;
    }

    load_ledger_read(field->load, index, &after);
    contestant_turn(into, &turn);
    contestant_ledger(into, &before, &after);
    take_requests(into, &counters, load_counters(field->load, index));
    note_publisher(into, &counters, load_counters(field->load, index));
    take_latency(field, index, mode, into);
    watch_turn(field->bench, into->name, &turn, into);
    return 0;
}

int field_take_turns(struct field *field, unsigned count,
                     int (*turn)(void *context, unsigned at, unsigned round, bool counted),
                     void *context)
{
    const struct options *options = field->bench->options;
    const uint32_t rounds[] = {options->warmup_turns, options->turns};
    int err = 0;
    for (unsigned counted = 0; counted < 2; counted++)
        for (unsigned round = 0; err == 0 && round < rounds[counted]; round++)
            for (unsigned i = 0; err == 0 && i < count; i++)
                err = turn(context, round % 2 ? count - 1 - i : i, round, counted);
    return err;
}

int field_one_turn(struct field *field, unsigned index, const struct load_mode *mode,
                   struct contestant *contestant, unsigned round, bool counted)
{
    const int64_t duration_ns = (int64_t)field->bench->options->turn_ms * NS_PER_MS;
    const char *workload = contestant->workload;
    char detail[RESULT_NAME_MAX];
    snprintf(detail, sizeof detail, "%.32s%sround %u", workload, *workload ? ", " : "", round + 1);
    watch_phase(field->bench, counted ? "turns" : "warm-up", contestant->name, detail);
    return field_turn(field, index, mode, duration_ns, round, counted ? contestant : NULL);
}

/* Who runs in field_rounds: workload by workload. */
struct run {
    struct field *field;
    struct {
        const struct workload *workload;
        unsigned entrant;
        struct contestant *contestant;
    } turns[FIELD_ENTRANTS_MAX * FIELD_WORKLOADS_MAX];
    unsigned count;
};

static int run_turn(void *context, unsigned at, unsigned round, bool counted)
{
    const struct run *run = context;
    return field_one_turn(run->field, run->turns[at].entrant, &run->turns[at].workload->mode,
                          run->turns[at].contestant, round, counted);
}

static void set_ceiling(const struct result *result, struct contestant *contestant,
                        const char *ceiling)
{
    const struct contestant *found =
        ceiling ? result_find(result, ceiling, contestant->workload) : NULL;
    if (found && found != contestant && found->kind == KIND_CEILING)
        contestant->ceiling = found;
}

int field_rounds(struct field *field, const struct workload *workloads, unsigned workload_count,
                 const char *ceiling)
{
    const struct options *options = field->bench->options;
    struct run run = {.field = field};
    for (unsigned w = 0; w < workload_count; w++)
        for (unsigned i = 0; i < field->count; i++) {
            if (!field->entrants[i].publish)
                continue;
            run.turns[run.count].workload = &workloads[w];
            run.turns[run.count].entrant = i;
            run.turns[run.count++].contestant = field_contestant(field, i, workloads[w].name);
        }
    for (unsigned t = 0; t < run.count; t++)
        /* A rate is no race, nor is what short polling's own clock sets. */
        if (run.turns[t].workload->mode.depth > 0 &&
            !(field->entrants[run.turns[t].entrant].transport->is & PROTOCOL_BY_CLOCK))
            set_ceiling(&field->bench->result, run.turns[t].contestant, ceiling);
    watch_turns(field->bench, run.count * (options->warmup_turns + options->turns));
    return field_take_turns(field, run.count, run_turn, &run);
}
