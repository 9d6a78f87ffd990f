/* webhooks: POST /api/webhook/OP, for servers and the operator: events of the application,
 * endpoints, dead letters. POST /admin/webhook/OP is the same for the operator's page, which brings
 * an API key.
 *
 *   body ─► courier for webhooks ─► its answer, when what it changed is on disk
 *
 * Threads  The shard's.
 * Memory   Which of them it is, in conn_extra; the body is in the question.
 * Bounds   message_bytes_max a body; body_timeout_ms for it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "auth/auth.h"
#include "courier/courier.h"
#include "courier/webhooks.h"
#include "http/body.h"

struct webhook_request {
    uint8_t op;
    bool asked; /* the body is whole */
};

static struct webhook_request *request_of(const struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static void closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    if (!request_of(conn))
        return;
    free(conn->extra->transport_state);
    conn->extra->transport_state = NULL;
}

/* ---- the answer ---- */

static void done(void *asker, struct call *call)
{
    struct shard *shard = asker;
    struct webhook_ask *ask = (struct webhook_ask *)call;
    struct conn *conn = conn_of_ticket(shard, &call->ticket);
    if (conn && ask->answer) {
        closed(shard, conn);
        http_answer(shard, conn, 200, SPAN("application/json"),
                    span_of(ask->answer, ask->answer_len), SPAN("Cache-Control: no-store\r\n"));
        http_next(shard, conn);
    } else if (conn) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
    }
    webhook_ask_free(ask);
}

static void drop(struct call *call)
{
    webhook_ask_free((struct webhook_ask *)call);
}

static const struct call_ops ops = {courier_run_webhooks, done, drop};

static void run(struct shard *shard, struct conn *conn, struct span body)
{
    struct webhook_request *request = request_of(conn);
    const struct courier *courier = shard->server->couriers[COURIER_WEBHOOKS];
    const struct ticket ticket = conn_ticket(shard, conn, 0);
    struct webhook_ask *ask = webhook_ask_create((enum webhook_op)request->op, body, &ops, &ticket);
    request->asked = true;
    if (ask && courier_ask_webhooks(courier, shard->hub, ask) == 0)
        return;
    if (ask)
        webhook_ask_free(ask);
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

/* ---- the request ---- */

static void body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    http_body_collect(shard, conn, piece, last, run);
}

static bool input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return request_of(conn)->asked;
}

static void give_up(struct shard *shard, struct conn *conn)
{
    if (!request_of(conn)->asked)
        http_give_up(shard, conn);
    if (conn->state == CONN_OPEN)
        closed(shard, conn);
}

static void drain(struct shard *shard, struct conn *conn)
{
    if (request_of(conn)->asked)
        http_drain(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

static void timer(struct shard *shard, struct conn *conn)
{
    if (!request_of(conn)->asked)
        http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

static bool of_page(struct span path)
{
    const struct span page = SPAN("/admin/webhook/");
    return path.len > page.len && memcmp(path.ptr, page.ptr, page.len) == 0;
}

static int op_of(struct span path)
{
    const struct span name =
        span_skip(path, of_page(path) ? strlen("/admin/webhook/") : strlen("/api/webhook/"));
    static const struct span names[] = {
#define NAME(NAME, name) SPAN_INIT(#name),
        WEBHOOK_OPS(NAME)
#undef NAME
    };
    for (int i = 0; i < WEBHOOK_OP_COUNT; i++)
        if (span_equal(name, names[i]))
            return i;
    return -1;
}

void webhooks_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    int op = op_of(request->path);
    bool needs_key = conn->listener != LISTENER_ADMIN || of_page(request->path);
    assert(op >= 0 && "the routes name no other");
    if (needs_key && !auth_is_server(shard, request)) {
        http_refuse(shard, conn, REFUSAL_API_KEY_REQUIRED);
        return;
    }
    if (!shard->server->couriers[COURIER_WEBHOOKS]) {
        http_refuse(shard, conn, REFUSAL_WEBHOOKS_OFF);
        return;
    }
    struct conn_extra *extra = conn_extra(conn);
    struct webhook_request *state = extra ? calloc(1, sizeof *state) : NULL;
    if (!state) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    state->op = (uint8_t)op;
    extra->transport_state = state;
    extra->state_bytes = sizeof *state;
    conn_hand_over(conn, TRANSPORT_WEBHOOKS);
    if (http_body_begin(shard, conn, exchange, (uint64_t)shard->settings->message_bytes_max))
        conn_timer(shard, conn, shard->settings->body_timeout_ms);
}

const struct transport webhooks_transport = {
    .name = "webhooks",
    .input = http_body_input,
    .body = body,
    .input_ended = input_ended,
    .give_up = give_up,
    .timer = timer,
    .drain = drain,
    .closed = closed,
};
