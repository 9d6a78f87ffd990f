/* mercure_publish: POST /.well-known/mercure, an update as a form (draft-dunglas-mercure-07,
 * section 5). Its answer is the id of the update.
 *
 *   who asks ─► form, whole ─► update ─► all of its topics allowed? ─► hub ─► id */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "auth/auth.h"
#include "auth/permit.h"
#include "core/message.h"
#include "http/body.h"
#include "http/limited.h"
#include "hub/hub.h"
#include "transport/mercure.h"
#include "transport/mercure_internal.h"
#include "wire/position.h"

/* In conn_extra. */
struct publishing {
    bool published;
    uint8_t id_len; /* of the publisher's id */
    char id[MERCURE_TEXT_MAX];
    struct mercure_selectors *allowed;
};

static struct publishing *publishing_of(struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static void closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    struct publishing *publishing = publishing_of(conn);
    if (!publishing)
        return;
    free(publishing->allowed);
    free(publishing);
    conn->extra->transport_state = NULL;
}

static bool is_allowed(const struct publishing *publishing, const struct mercure_update *update)
{
    for (unsigned i = 0; i < update->topic_count; i++)
        if (!mercure_selectors_match(publishing->allowed, update->topics[i]))
            return false;
    return true;
}

static void publish(struct shard *shard, struct conn *conn, const struct mercure_update *update)
{
    struct publishing *publishing = publishing_of(conn);
    struct message *message = mercure_message(shard, update);
    const struct ticket ticket = conn_ticket(shard, conn, 0);
    publishing->published = true;
    publishing->id_len = (uint8_t)update->id.len;
    if (update->id.len > 0)
        memcpy(publishing->id, update->id.ptr, update->id.len);
    if (message && hub_publish(shard->hub, &ticket, message) == 0)
        return;
    message_unref(message);
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

static void form_whole(struct shard *shard, struct conn *conn, struct span form)
{
    struct mercure_update update;
    enum refusal refusal = REFUSAL_OVERLOADED;
    char *scratch = malloc(form.len + 1);
    bool good = scratch && mercure_update_read_form(&update, form, scratch, &refusal);
    if (good && !is_allowed(publishing_of(conn), &update)) {
        good = false;
        refusal = REFUSAL_FORBIDDEN;
    }
    if (good)
        publish(shard, conn, &update);
    else
        http_refuse(shard, conn, refusal);
    free(scratch);
}

static void body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    http_body_collect(shard, conn, piece, last, form_whole);
}

static void published(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err,
                      uint64_t epoch, uint64_t offset)
{
    (void)ticket;
    struct publishing *publishing = publishing_of(conn);
    if (err < 0) {
        http_refuse(shard, conn, err == -EBUSY ? REFUSAL_CHANNEL_PUBLISHES : REFUSAL_OVERLOADED);
        return;
    }
    char id[MERCURE_TEXT_MAX + POSITION_TOKEN_MAX(1)];
    const struct position position = {epoch, offset};
    size_t len = publishing->id_len;
    if (len > 0)
        memcpy(id, publishing->id, len);
    else
        len = position_write(id, &position, 1);
    closed(shard, conn);
    http_answer(shard, conn, 200, SPAN("text/plain; charset=utf-8"), span_of(id, len),
                SPAN("Cache-Control: no-store\r\n"));
    http_next(shard, conn);
}

/* As of any publish: whole, it is answered; half, it never will be. */
static bool input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return publishing_of(conn)->published;
}

static void give_up(struct shard *shard, struct conn *conn)
{
    if (!publishing_of(conn)->published)
        http_give_up(shard, conn);
    if (conn->state == CONN_OPEN)
        closed(shard, conn);
}

static void drain(struct shard *shard, struct conn *conn)
{
    if (publishing_of(conn)->published)
        http_drain(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

static void timer(struct shard *shard, struct conn *conn)
{
    if (!publishing_of(conn)->published)
        http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

static struct publishing *publishing_make(const struct mercure_selectors *allowed)
{
    struct publishing *publishing = calloc(1, sizeof *publishing);
    if (!publishing)
        return NULL;
    publishing->allowed = mercure_selectors_copy(allowed);
    if (publishing->allowed)
        return publishing;
    free(publishing);
    return NULL;
}

static void publish_open_here(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct mercure_caller caller;
    struct jwt_claims claims;
    enum refusal refusal;
    char area[JWT_AREA_BYTES];
    if (shard->clients && http_limited_publish(shard, conn))
        return;
    if (!mercure_caller_read(&caller, &claims, area, shard, exchange->request, SPAN("publish"),
                             &refusal)) {
        permit_refuse(shard, conn, exchange->request, refusal);
        return;
    }
    struct conn_extra *extra = conn_extra(conn);
    struct publishing *publishing = extra ? publishing_make(&caller.allowed) : NULL;
    if (!publishing) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    extra->transport_state = publishing;
    extra->state_bytes = (uint32_t)(sizeof *publishing + sizeof *publishing->allowed);
    conn_hand_over(conn, TRANSPORT_MERCURE_PUBLISH);
    if (http_body_begin(shard, conn, exchange, (uint64_t)shard->settings->message_bytes_max))
        conn_timer(shard, conn, shard->settings->body_timeout_ms);
}

void mercure_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct settings *settings = shard->settings;
    bool publishes = exchange->request->method == HTTP_POST;
    if (!settings->mercure || (publishes && settings->publish_on != PUBLISH_ON_ALL))
        (publishes ? http_refuse : http_error)(shard, conn, REFUSAL_NOT_FOUND);
    else
        (publishes ? publish_open_here : mercure_subscribe_open)(shard, conn, exchange);
}

const struct transport mercure_publish_transport = {
    .name = "mercure_publish",
    .input = http_body_input,
    .body = body,
    .input_ended = input_ended,
    .give_up = give_up,
    .timer = timer,
    .drain = drain,
    .closed = closed,
    .published = published,
};
