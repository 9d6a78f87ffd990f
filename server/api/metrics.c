/* metrics: GET /metrics in Prometheus' text format, and GET /healthz. Sums what all shards count;
 * no lock. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api.h"
#include "auth/auth.h"
#include "broker/broker.h"
#include "conn/log.h"
#include "core/build_info.h"
#include "hub/hub.h"
#include "kafka/kafka.h"

/* A text that grows while it is written. */
struct text {
    char *bytes;
    size_t len;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                           ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text->bytes + text->len, text->size - text->len, format, arguments);
    va_end(arguments);
    assert(len >= 0 && text->len + (size_t)len < text->size);
    text->len += (size_t)len;
}

enum {
    TEXT_MAX = 128 * 1024,
};

struct counter_row {
    const char *name;
    const char *kind;
    const char *help;
    size_t at;
};

#define ROW(row_name, row_kind, row_help)                                                          \
    {#row_name, #row_kind, row_help, offsetof(struct counters, row_name)},
static const struct counter_row counter_rows[] = {COUNTERS(ROW)};

static void heading(struct text *text, const char *name, const char *suffix, const char *kind,
                    const char *help)
{
    text_add(text, "# HELP ringside_%s%s %s\n# TYPE ringside_%s%s %s\n", name, suffix, help, name,
             suffix, kind);
}

static const char *suffix_of(const char *kind)
{
    return kind[0] == 'c' ? "_total" : "";
}

static void write_counters(struct text *text, const struct server *server)
{
    for (size_t row = 0; row < sizeof counter_rows / sizeof counter_rows[0]; row++) {
        const struct counter_row *at = &counter_rows[row];
        uint64_t sum = 0;
        for (unsigned i = 0; i < server->shard_count; i++)
            sum += counter_read(
                (_Atomic uint64_t *)(void *)((char *)&server->shards[i]->counters + at->at));
        heading(text, at->name, suffix_of(at->kind), at->kind, at->help);
        text_add(text, "ringside_%s%s %" PRIu64 "\n", at->name, suffix_of(at->kind), sum);
    }
}

static void write_closed(struct text *text, const struct server *server)
{
    heading(text, "connections_closed", "_total", "counter", "Connections ended, by reason");
    for (int reason = 0; reason < CLOSE_REASON_COUNT; reason++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < server->shard_count; i++)
            sum += counter_read(&server->shards[i]->counters.closed[reason]);
        text_add(text, "ringside_connections_closed_total{reason=\"%s\"} %" PRIu64 "\n",
                 close_reason_name((enum close_reason)reason), sum);
    }
}

static void write_refused(struct text *text, const struct server *server)
{
    heading(text, "requests_refused", "_total", "counter", "Requests refused, by reason");
    for (int refusal = 0; refusal < REFUSAL_COUNT; refusal++) {
        const char *name = refusal_name((enum refusal)refusal);
        uint64_t sum = 0;
        for (unsigned i = 0; name && i < server->shard_count; i++)
            sum += counter_read(&server->shards[i]->counters.refused[refusal]);
        if (name)
            text_add(text, "ringside_requests_refused_total{reason=\"%s\"} %" PRIu64 "\n", name,
                     sum);
    }
}

static void write_tokens(struct text *text, const struct server *server)
{
    heading(text, "tokens", "_total", "counter", "Tokens and tickets that were looked at");
    for (unsigned error = 0; server->auth && error < JWT_ERROR_COUNT; error++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < server->shard_count; i++)
            sum += auth_counts(server->auth, i, error);
        text_add(text, "ringside_tokens_total{result=\"%s\"} %" PRIu64 "\n",
                 error == 0 ? "good" : jwt_error_name(-(int)error), sum);
    }
}

static void write_tls_errors(struct text *text, const struct server *server)
{
    heading(text, "tls_errors", "_total", "counter", "Failures of TLS, by name");
    for (int error = TLS_ERROR_NONE + 1; error < TLS_ERROR_COUNT; error++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < server->shard_count; i++)
            sum += counter_read(&server->shards[i]->counters.tls_errors[error]);
        text_add(text, "ringside_tls_errors_total{reason=\"%s\"} %" PRIu64 "\n",
                 tls_error_name((enum tls_error)error), sum);
    }
}

/* A family of `count` counters, of which the first is at `at`. */
static void write_family(struct text *text, const struct server *server, const char *family,
                         const char *label, const char *help, size_t at, unsigned count,
                         const char *(*name_of)(unsigned))
{
    heading(text, family, "_total", "counter", help);
    for (unsigned i = 0; i < count; i++) {
        uint64_t sum = 0;
        for (unsigned shard = 0; shard < server->shard_count; shard++) {
            const char *counters = (const char *)&server->shards[shard]->counters;
            sum += counter_read((const _Atomic uint64_t *)(const void *)(counters + at) + i);
        }
        text_add(text, "ringside_%s_total{%s=\"%s\"} %" PRIu64 "\n", family, label, name_of(i),
                 sum);
    }
}

static const char *reason_name(unsigned reason)
{
    return close_reason_name((enum close_reason)reason);
}

static const char *flood_name(unsigned flood)
{
    return http2_flood_name((enum http2_flood)flood);
}

static void write_streams(struct text *text, const struct server *server)
{
    write_family(text, server, "streams_closed", "reason",
                 "Streams of connections ended, by reason",
                 offsetof(struct counters, streams_closed), CLOSE_REASON_COUNT, reason_name);
    write_family(text, server, "http2_errors", "code", "Errors of RFC 9113 that clients were told",
                 offsetof(struct counters, http2_errors), HTTP2_CODES, http2_code_name);
    write_family(text, server, "http2_floods", "kind", "HTTP/2 connections ended at a bound",
                 offsetof(struct counters, http2_floods), HTTP2_FLOOD_COUNT, flood_name);
    write_family(text, server, "http3_errors", "code", "Errors of RFC 9114 that clients were told",
                 offsetof(struct counters, http3_errors), HTTP3_ERROR_NAMES, http3_error_name);
}

/* A histogram as Prometheus has them: each line counts what is not longer. */
static void write_turns(struct text *text, const struct server *server)
{
    uint64_t count = 0, sum_ns = 0;
    heading(text, "turn_seconds", "", "histogram", "How long the turns of the loops took");
    for (unsigned length = 0; length < TURN_LENGTHS; length++) {
        for (unsigned i = 0; i < server->shard_count; i++)
            count += counter_read(&server->shards[i]->counters.turn_lengths[length]);
        if (length < TURN_LENGTHS - 1)
            text_add(text, "ringside_turn_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                     (double)TURN_LENGTH_NS(length) / 1e9, count);
    }
    for (unsigned i = 0; i < server->shard_count; i++)
        sum_ns += counter_read(&server->shards[i]->counters.turns_ns);
    text_add(text,
             "ringside_turn_seconds_bucket{le=\"+Inf\"} %" PRIu64
             "\nringside_turn_seconds_sum %.6f\nringside_turn_seconds_count %" PRIu64 "\n",
             count, (double)sum_ns / 1e9, count);
}

#define HUB_ROWS(X)                                                                                \
    X(published, "counter", "Messages numbered")                                                   \
    X(delivered, "counter", "Messages given to subscribers")                                       \
    X(subscriptions, "gauge", "Subscriptions of open connections")                                 \
    X(channels, "gauge", "Channels with history or subscribers")                                   \
    X(history_bytes, "gauge", "Bytes of kept messages")                                            \
    X(history_messages, "gauge", "Kept messages")                                                  \
    X(recovered, "counter", "Positions that could be honoured")                                    \
    X(unrecoverable, "counter", "Positions that were gone")                                        \
    X(repeated, "counter", "Publishes that were done before, by their key")                        \
    X(outdated, "counter", "Publishes of a version that was not above their channel's")            \
    X(repeats, "gauge", "Keys of publishes that are remembered")                                   \
    X(lasting_keys, "gauge", "Ids of webhooks that are remembered")                                \
    X(lane_full, "counter", "Items that had to wait for room in a lane")                           \
    X(refused, "counter", "Requests refused at a bound of the hub")

static void write_hub(struct text *text, const struct server *server)
{
#define ADD(name, kind, help) sum.name += one.name;
#define WRITE(name, kind, help)                                                                    \
    heading(text, #name, suffix_of(kind), kind, help);                                             \
    text_add(text, "ringside_%s%s %" PRIu64 "\n", #name, suffix_of(kind), sum.name);
    struct hub_stats sum = {0}, one;
    for (unsigned i = 0; i < server->shard_count; i++) {
        hub_stats_read(server->shards[i]->hub, &one);
        HUB_ROWS(ADD)
    }
    HUB_ROWS(WRITE)
}

#define REMOTE_ROWS(X)                                                                             \
    X(remote_live, "counter", "Messages of the cluster that came in their order")                  \
    X(remote_duplicates, "counter", "Messages of the cluster that were here already")              \
    X(remote_joins, "counter", "Channels joined, again ones too")                                  \
    X(remote_gaps, "counter", "Times that something was missing between two messages")             \
    X(remote_filled, "counter", "Messages that the engine's history then had")                     \
    X(remote_lost, "counter", "Times that it had not: subscribers were sent away")

static void write_broker(struct text *text, const struct server *server)
{
    struct broker_row rows[BROKER_ROWS_MAX];
    struct hub_stats sum = {0}, one;
    if (!server->broker)
        return;
    unsigned count = broker_stats_read(server->broker, rows);
    for (unsigned i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "broker_%s", rows[i].name);
        heading(text, name, suffix_of(rows[i].kind), rows[i].kind, rows[i].help);
        text_add(text, "ringside_%s%s %" PRIu64 "\n", name, suffix_of(rows[i].kind), rows[i].value);
    }
    for (unsigned i = 0; i < server->shard_count; i++) {
        hub_stats_read(server->shards[i]->hub, &one);
        REMOTE_ROWS(ADD)
    }
    REMOTE_ROWS(WRITE)
}

static void write_courier(struct text *text, const struct server *server, enum courier_role role,
                          const char *family)
{
    struct courier_row rows[COURIER_ROWS_MAX];
    unsigned count = server->couriers[role] ? courier_stats_read(server->couriers[role], rows) : 0;
    for (unsigned i = 0; i < count; i++) {
        const struct courier_row *row = &rows[i];
        char name[64];
        snprintf(name, sizeof name, "%s_%s", family, row->name);
        if (i == 0 || strcmp(row->name, rows[i - 1].name) != 0)
            heading(text, name, suffix_of(row->kind), row->kind, row->help);
        text_add(text, "ringside_%s%s", name, suffix_of(row->kind));
        if (row->label)
            text_add(text, "{how=\"%s\"}", row->label);
        text_add(text, " %" PRIu64 "\n", row->value);
    }
}

static void write_log(struct text *text, const struct server *server)
{
    struct log_counts counts = {0};
    if (server->log)
        log_counts(server->log, &counts);
    heading(text, "log_lines", "_total", "counter", "Lines of the log, written or not");
    text_add(text, "ringside_log_lines_total{result=\"written\"} %" PRIu64 "\n", counts.written);
    text_add(text, "ringside_log_lines_total{result=\"suppressed\"} %" PRIu64 "\n",
             counts.suppressed);
    text_add(text, "ringside_log_lines_total{result=\"lost\"} %" PRIu64 "\n", counts.lost);
}

struct kafka_text {
    struct text *text;
    char last[64]; /* row's name */
};

static void write_kafka_row(void *context, const struct kafka_row *row)
{
    struct kafka_text *at = context;
    char name[sizeof at->last];
    snprintf(name, sizeof name, "kafka_%s", row->name);
    if (strcmp(name, at->last) != 0)
        heading(at->text, name, suffix_of(row->kind), row->kind, row->help);
    memcpy(at->last, name, sizeof name);
    text_add(at->text, "ringside_%s%s%s %" PRIu64 "\n", name, suffix_of(row->kind), row->labels,
             row->value);
}

static void write_kafka(struct text *text, const struct server *server)
{
    struct kafka_text at = {.text = text};
    if (server->kafka)
        kafka_stats_each(server->kafka, write_kafka_row, &at);
}

struct span metrics_make(const struct shard *shard)
{
    struct text text = {.bytes = malloc(TEXT_MAX), .size = TEXT_MAX};
    if (!text.bytes)
        return (struct span){0};
    write_counters(&text, shard->server);
    write_closed(&text, shard->server);
    write_refused(&text, shard->server);
    write_tokens(&text, shard->server);
    write_tls_errors(&text, shard->server);
    write_streams(&text, shard->server);
    write_turns(&text, shard->server);
    write_hub(&text, shard->server);
    write_broker(&text, shard->server);
    write_courier(&text, shard->server, COURIER_HOOKS, "hooks");
    write_courier(&text, shard->server, COURIER_WEBHOOKS, "webhooks");
    write_log(&text, shard->server);
    write_kafka(&text, shard->server);
    heading(&text, "build_info", "", "gauge", "1 for the source that was built");
    text_add(&text, "ringside_build_info{version=\"%s\",commit=\"%s\"} 1\n", build_version,
             build_source);
    heading(&text, "shards", "", "gauge", "Threads with a ring of their own");
    text_add(&text, "ringside_shards %u\n", shard->server->shard_count);
    heading(&text, "engine", "", "gauge", "How the kernel is asked: 1 for the engine that serves");
    text_add(&text, "ringside_engine{name=\"%s\"} 1\n", shard->ring->engine->name);
    return span_of(text.bytes, text.len);
}

void metrics_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    (void)exchange;
    struct span text = metrics_make(shard);
    if (!text.ptr) {
        http_error(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    http_answer(shard, conn, 200, SPAN("text/plain; version=0.0.4; charset=utf-8"), text,
                SPAN("Cache-Control: no-store\r\n"));
    free((char *)(uintptr_t)text.ptr);
}

void health_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    (void)exchange;
    if (shard->draining)
        http_error(shard, conn, REFUSAL_DRAINING);
    else
        http_answer(shard, conn, 200, SPAN("application/json"), SPAN("{\"status\":\"ok\"}\n"),
                    SPAN("Cache-Control: no-store\r\n"));
}
