#include "conn/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/counters.h"
#include "conn/log_internal.h"
#include "conn/shard.h"
#include "conn/trusted.h"
#include "core/pages.h"

#define WINDOW_NS INT64_C(1000000000)

static const char *const port_names[] = {
    [LISTENER_PLAIN] = "plain",
    [LISTENER_TLS] = "tls",
    [LISTENER_ADMIN] = "admin",
};

static struct log_source *source_of(const struct shard *shard)
{
    return &shard->server->log->source[shard->index];
}

int log_shard_init(struct shard *shard)
{
    struct log_source *source = source_of(shard);
    source->clients_bytes = shard->slab_slots * sizeof *source->clients;
    source->clients = pages_map(source->clients_bytes);
    return source->clients ? 0 : -ENOMEM;
}

void log_shard_done(struct shard *shard)
{
    struct log_source *source = source_of(shard);
    pages_unmap(source->clients, source->clients_bytes);
    source->clients = NULL;
}

void log_client(struct shard *shard, struct conn *conn, const struct in6_addr *client)
{
    source_of(shard)->clients[conn_slot(shard, conn)] = client ? *client : in6addr_any;
    if (client && trusted_is(shard->server->trusted, client))
        conn->link |= LINK_TRUSTED;
}

/* Behind the PROXY protocol it is nobody's yet. */
void log_accepted(struct shard *shard, struct conn *conn)
{
    bool is_proxied = conn->link & LINK_PROXY;
    log_client(shard, conn, is_proxied ? NULL : ring_peer(shard->ring, conn_slot(shard, conn)));
}

void log_carried(struct shard *shard, const struct conn *stream, uint32_t carrier)
{
    struct log_source *source = source_of(shard);
    source->clients[conn_slot(shard, stream)] = source->clients[carrier];
}

/* ---- the request that is looked at ---- */

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f)
            return false;
    return true;
}

static struct span request_id(const struct http_request *request)
{
    const struct span name = SPAN("X-Request-Id");
    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];
        if (span_equal_nocase(field->name, name) && field->value.len <= LOG_ID_MAX &&
            is_plain(field->value))
            return field->value;
    }
    return (struct span){0};
}

void log_request(struct shard *shard, const struct conn *conn, const struct http_request *request)
{
    struct log_source *source = source_of(shard);
    struct span id = request_id(request);
    struct span path = request->path;
    if (path.len > LOG_PATH_MAX)
        path.len = LOG_PATH_MAX;
    source->request_slot = conn_slot(shard, conn);
    source->request_generation = conn->generation;
    source->request.id_len = (uint8_t)id.len;
    source->request.path_len = is_plain(path) ? (uint8_t)path.len : 0;
    if (id.len > 0)
        memcpy(source->request.id, id.ptr, id.len);
    if (source->request.path_len > 0)
        memcpy(source->request.path, path.ptr, path.len);
}

void log_request_gone(struct shard *shard)
{
    source_of(shard)->request_slot = TIMERS_NONE;
}

/* ---- events ---- */

/* Whether there is a line for this one. `seen`: of the same reason, in this second. */
static bool has_line(struct log *log, struct log_source *source, bool *seen)
{
    bool is_first = !*seen;
    *seen = true;
    if (is_first || source->window.lines < log->per_second) {
        source->window.lines++;
        return true;
    }
    counter_add(&source->suppressed, 1);
    return false;
}

static struct log_window *window_at(struct log_source *source, int64_t now_ns)
{
    struct log_window *window = &source->window;
    if (now_ns - window->since_ns >= WINDOW_NS)
        *window = (struct log_window){.since_ns = now_ns};
    return window;
}

static void note(struct shard *shard, const struct conn *conn, enum log_event event,
                 const char *reason, int status)
{
    struct log_source *source = source_of(shard);
    struct log_record *record = malloc(sizeof *record);
    if (!record) {
        counter_add(&source->lost, 1);
        return;
    }
    uint32_t slot = conn_slot(shard, conn);
    *record = (struct log_record){
        .at_ns = shard->now_ns,
        .event = event,
        .slot = slot,
        .generation = conn->generation,
        .shard = (uint16_t)shard->index,
        .status = (uint16_t)status,
        .is_stream = conn->link & LINK_STREAM && conn->transport != TRANSPORT_QUIC,
        .client = source->clients[slot],
        .port = port_names[conn->listener],
        .transport = conn_transport(shard, conn)->name,
        .reason = reason,
    };
    if (source->request_slot == slot && source->request_generation == conn->generation)
        record->request = source->request;
    log_push(shard->server->log, shard->index, record);
}

/* Requests that share a connection end all the time, and in good order. */
static bool is_news(const struct conn *conn, enum close_reason reason)
{
    bool is_stream = conn->link & LINK_STREAM && conn->transport != TRANSPORT_QUIC;
    return !is_stream || (reason != CLOSE_DONE && reason != CLOSE_CARRIER);
}

void log_closed(struct shard *shard, const struct conn *conn, enum close_reason reason)
{
    struct log_source *source = source_of(shard);
    struct log_window *window = window_at(source, shard->now_ns);
    if (is_news(conn, reason) && has_line(shard->server->log, source, &window->closed[reason]))
        note(shard, conn, LOG_CLOSED, close_reason_name(reason), 0);
}

void log_refusal(struct shard *shard, const struct conn *conn, enum refusal refusal)
{
    counter_add(&shard->counters.refused[refusal], 1);
    if (!shard->server->log)
        return;
    struct log_source *source = source_of(shard);
    struct log_window *window = window_at(source, shard->now_ns);
    if (has_line(shard->server->log, source, &window->refused[refusal]))
        note(shard, conn, LOG_REFUSED, refusal_name(refusal), refusal_status(refusal));
}
