/* publish: POST /publish?channel=C. The body is the payload, any bytes up to message_bytes_max.
 *
 *   body whole in the read buffer ─► message ─► hub ─► answer
 *   body in pieces ─► collected on the heap, for at most body_timeout_ms ─► the same
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "auth/permit.h"
#include "core/message.h"
#include "http/body.h"
#include "http/limited.h"
#include "hub/hub.h"
#include "wire/out.h"
#include "wire/utf8.h"

/* What the answer needs; in conn_extra. */
struct publishing {
    bool published; /* the body is whole: waits for the hub */
    bool end;       /* it is the last of its channel */
    bool delta;     /* it may be told by what changed */
    uint8_t name_len;
    uint8_t event_len;
    char name[CHANNEL_NAME_MAX];
    char event[EVENT_TYPE_MAX];
};

static struct publishing *publishing_of(struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static void publish_closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    struct publishing *publishing = publishing_of(conn);
    if (!publishing)
        return;
    free(publishing);
    conn->extra->transport_state = NULL;
}

static void publish_now(struct shard *shard, struct conn *conn, struct span payload)
{
    struct publishing *publishing = publishing_of(conn);
    struct span name = {publishing->name, publishing->name_len};
    uint64_t hash = hub_hash(shard->server->hubs, name.ptr, name.len);
    struct message *message =
        message_create_typed(name.ptr, name.len, hash, publishing->event, publishing->event_len,
                             payload.ptr, payload.len, utf8_valid(payload));
    const struct ticket ticket = conn_ticket(shard, conn, 0);
    publishing->published = true;
    if (message) {
        message->last = publishing->end;
        message->delta = publishing->delta;
    }
    if (!message || hub_publish(shard->hub, &ticket, message) < 0) {
        message_unref(message);
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
    }
}

static void publish_body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    http_body_collect(shard, conn, piece, last, publish_now);
}

/* Whole, it is answered; half, it never will be. */
static bool publish_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return publishing_of(conn)->published;
}

/* One that the hub has may be published: then nothing is said, and its client does not know, rather
 * than know wrongly. */
static void publish_give_up(struct shard *shard, struct conn *conn)
{
    if (!publishing_of(conn)->published)
        http_give_up(shard, conn);
    if (conn->state == CONN_OPEN)
        publish_closed(shard, conn);
}

static void publish_drain(struct shard *shard, struct conn *conn)
{
    if (publishing_of(conn)->published)
        http_drain(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

/* Once the body is whole it is the hub that is waited for, and its answer always comes. */
static void publish_timer(struct shard *shard, struct conn *conn)
{
    if (publishing_of(conn)->published)
        return;
    http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

enum refusal publish_refusal(int err, bool has_broker)
{
    switch (err) {
    case -EBUSY:
        return REFUSAL_CHANNEL_PUBLISHES;
    case -EDQUOT:
        return REFUSAL_WEBHOOKS_FULL;
    case -ENOTCONN:
    case -EPROTO:
        return REFUSAL_BROKER_DOWN;
    case -ETIMEDOUT:
        return REFUSAL_BROKER_TIMEOUT;
    case -EMSGSIZE: /* of the engine */
    case -ENOSPC:
        return has_broker ? REFUSAL_BROKER_FULL : REFUSAL_OVERLOADED;
    default:
        return REFUSAL_OVERLOADED;
    }
}

static void publish_published(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                              int err, uint64_t epoch, uint64_t offset)
{
    (void)ticket;
    struct publishing *publishing = publishing_of(conn);
    if (err == -EPIPE) {
        publish_closed(shard, conn);
        http_error(shard, conn, REFUSAL_ENDED);
        http_next(shard, conn);
        return;
    }
    if (err < 0) {
        http_refuse(shard, conn, publish_refusal(err, shard->server->broker != NULL));
        return;
    }
    char body[CHANNEL_NAME_MAX + 128], hex[DIGITS_HEX_MAX];
    struct out out = out_begin(body, sizeof body);
    out_text(&out, "{\"channel\":\"");
    out_span(&out, span_of(publishing->name, publishing->name_len));
    out_text(&out, "\",\"offset\":");
    out_decimal(&out, offset);
    out_text(&out, ",\"epoch\":\"");
    out_span(&out, span_of(hex, digits_hex_write(hex, epoch)));
    out_text(&out, "\"}\n");
    publish_closed(shard, conn);
    http_answer(shard, conn, 200, SPAN("application/json"), span_of(body, (size_t)out_end(&out)),
                (struct span){0});
    http_next(shard, conn);
}

/* A page could not tell those of the server, and of its own EventSource, from a publisher's. */
static bool event_is_good(struct span event)
{
    static const struct span taken[] = {
        SPAN_INIT("recovered"), SPAN_INIT("unrecoverable"), SPAN_INIT("binary"),
        SPAN_INIT("end"),       SPAN_INIT("open"),          SPAN_INIT("error"),
    };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (span_equal(event, taken[i]))
            return false;
    return event.len <= EVENT_TYPE_MAX && hub_name_valid(event.ptr, event.len);
}

void publish_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    if (shard->clients && http_limited_publish(shard, conn))
        return;
    struct params params = {0};
    int err = params_read(&params, shard->settings, exchange->request->query, shard->scratch,
                          (size_t)shard->settings->head_bytes_max);
    if (err < 0 || params.channel_count != 1) {
        http_refuse(shard, conn, err < 0 ? params.refusal : REFUSAL_ONE_CHANNEL);
        return;
    }
    if (params.event.ptr && !event_is_good(params.event)) {
        http_refuse(shard, conn, REFUSAL_BAD_EVENT);
        return;
    }
    if (!permit_request(shard, conn, exchange->request, &params, PERMIT_PUBLISH))
        return;
    struct conn_extra *extra = conn_extra(conn);
    struct publishing *publishing = extra ? calloc(1, sizeof *publishing) : NULL;
    if (!publishing) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    publishing->name_len = (uint8_t)params.channels[0].len;
    memcpy(publishing->name, params.channels[0].ptr, params.channels[0].len);
    publishing->end = params.end;
    publishing->delta = params.delta;
    publishing->event_len = (uint8_t)params.event.len;
    if (params.event.ptr)
        memcpy(publishing->event, params.event.ptr, params.event.len);
    extra->transport_state = publishing;
    extra->state_bytes = sizeof *publishing;
    conn_hand_over(conn, TRANSPORT_PUBLISH);
    if (http_body_begin(shard, conn, exchange, (uint64_t)shard->settings->message_bytes_max))
        conn_timer(shard, conn, shard->settings->body_timeout_ms);
}

const struct transport publish_transport = {
    .name = "publish",
    .input = http_body_input,
    .body = publish_body,
    .input_ended = publish_input_ended,
    .give_up = publish_give_up,
    .timer = publish_timer,
    .drain = publish_drain,
    .closed = publish_closed,
    .published = publish_published,
};
