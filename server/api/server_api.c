#include "api/server_api.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "auth/auth.h"
#include "http/body.h"
#include "hub/hub.h"
#include "wire/json_scan.h"

static const struct span methods[] = {
#define METHOD(NAME, name) SPAN_INIT(#name),
    API_METHODS(METHOD)
#undef METHOD
};

static int method_of(struct span name)
{
    for (int i = 0; i < API_METHOD_COUNT; i++)
        if (json_string_is(name, methods[i]))
            return i;
    return -1;
}

static struct api_call *call_of(const struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static void api_closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    struct api_call *call = call_of(conn);
    if (!call)
        return;
    for (unsigned i = 0; i < call->count; i++)
        free(call->answers[i].text);
    free(call->answers);
    free(call);
    conn->extra->transport_state = NULL;
}

/* ---- the answer ---- */

static void one_write(struct out *out, const struct api_answer *answer, struct span name)
{
    out_text(out, "{\"");
    out_span(out, answer->failed ? SPAN("error") : name);
    out_text(out, "\":");
    out_span(out, span_of(answer->text, answer->len));
    out_text(out, "}");
}

static void all_write(struct out *out, const struct api_call *call)
{
    bool batch = call->method == API_BATCH;
    if (call->method != API_BROADCAST && !batch) {
        one_write(out, &call->answers[0], SPAN("result"));
        return;
    }
    out_span(out, batch ? SPAN("{\"replies\":[") : SPAN("{\"result\":{\"responses\":["));
    for (unsigned i = 0; i < call->count; i++) {
        const struct api_answer *answer = &call->answers[i];
        if (i > 0)
            out_text(out, ",");
        one_write(out, answer, batch ? methods[answer->method] : SPAN("result"));
    }
    out_span(out, batch ? SPAN("]}") : SPAN("]}}"));
}

enum {
    AROUND_MAX = 32, /* bytes around an answer, and around all of them */
};

static void respond(struct shard *shard, struct conn *conn, const struct api_call *call)
{
    size_t room = call->bytes + (size_t)AROUND_MAX * (call->count + 1);
    char *area = malloc(room);
    if (!area) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    struct out out = out_begin(area, room);
    all_write(&out, call);
    struct span body = span_of(area, (size_t)out_end(&out));
    api_closed(shard, conn);
    http_answer(shard, conn, 200, SPAN("application/json"), body, (struct span){0});
    free(area);
    http_next(shard, conn);
}

void api_respond_if_all(struct shard *shard, struct conn *conn)
{
    const struct api_call *call = call_of(conn);
    if (call->left == 0)
        respond(shard, conn, call);
}

/* ---- items ---- */

/* Makes places for answers. Returns false when the request was refused. */
static bool answers_make(struct shard *shard, struct conn *conn, struct api_call *call,
                         unsigned count)
{
    call->answers = calloc(count > 0 ? count : 1, sizeof *call->answers);
    if (!call->answers) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return false;
    }
    call->count = call->left = count;
    return true;
}

/* How many values a list has, or -1 when it is none, or has too many. */
static int list_count(struct span list)
{
    struct json_items items = json_items_begin(list);
    struct span item;
    enum json_kind kind;
    int found, count = 0;
    while ((found = json_items_next(&items, &item, &kind)) > 0 && count <= API_ITEMS_MAX)
        count++;
    return found == 0 ? count : -1;
}

/* What is wrong with the request as a whole. */
static void refuse_all(struct shard *shard, struct conn *conn, struct api_call *call,
                       enum centrifuge_error error)
{
    call->method = API_PUBLISH; /* answered like one item */
    if (!answers_make(shard, conn, call, 1))
        return;
    api_error(call, 0, error);
    respond(shard, conn, call);
}

/* A publish for each of its channels. */
static void broadcast(struct shard *shard, struct conn *conn, struct api_call *call,
                      struct centrifuge_command *request)
{
    struct json_items items = json_items_begin(request->channels);
    struct span item;
    enum json_kind kind;
    for (unsigned i = 0; i < call->count && json_items_next(&items, &item, &kind) > 0; i++) {
        request->channel = kind == JSON_IS_STRING ? item : (struct span){0};
        api_item(shard, conn, call, i, API_PUBLISH, request);
    }
}

/* An item of a batch: {"publish":{…}}. */
static void batched(struct shard *shard, struct conn *conn, struct api_call *call, unsigned at,
                    struct span item)
{
    struct json_members members = json_members_begin(item);
    struct json_member member;
    struct centrifuge_command request;
    int method = -1;
    if (json_members_next(&members, &member) > 0 && member.kind == JSON_IS_OBJECT)
        method = method_of(member.name);
    bool one = method >= 0 && method != API_BATCH && method != API_BROADCAST;
    if (one && centrifuge_request_read(&request, member.value) == 0)
        api_item(shard, conn, call, at, (enum api_method)method, &request);
    else
        api_error(call, at, CENTRIFUGE_ERROR_BAD_REQUEST);
}

static void batch(struct shard *shard, struct conn *conn, struct api_call *call, struct span list)
{
    struct json_items items = json_items_begin(list);
    struct span item;
    enum json_kind kind;
    for (unsigned i = 0; i < call->count && json_items_next(&items, &item, &kind) > 0; i++)
        batched(shard, conn, call, i, item);
}

static void run(struct shard *shard, struct conn *conn, struct span body)
{
    struct api_call *call = call_of(conn);
    struct centrifuge_command request;
    call->asked = true;
    int count = 1;
    if (body.len == 0)
        body = SPAN("{}");
    if (centrifuge_request_read(&request, body) < 0)
        count = -1;
    else if (call->method == API_BROADCAST)
        count = list_count(request.channels);
    else if (call->method == API_BATCH)
        count = list_count(request.commands);
    if (count < 0 || count > API_ITEMS_MAX) {
        refuse_all(shard, conn, call, CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    if (!answers_make(shard, conn, call, (unsigned)count))
        return;
    if (call->method == API_BROADCAST)
        broadcast(shard, conn, call, &request);
    else if (call->method == API_BATCH)
        batch(shard, conn, call, request.commands);
    else
        api_item(shard, conn, call, 0, (enum api_method)call->method, &request);
    api_respond_if_all(shard, conn);
}

/* ---- the request ---- */

static void api_body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    http_body_collect(shard, conn, piece, last, run);
}

static void api_published(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                          int err, uint64_t epoch, uint64_t offset)
{
    api_item_published(call_of(conn), ticket->tag, err, epoch, offset);
    api_respond_if_all(shard, conn);
}

static void api_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    api_item_read(call_of(conn), reply->ticket.tag, reply);
    api_respond_if_all(shard, conn);
}

static bool api_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return call_of(conn)->asked;
}

/* What the hub has may be done: then nothing is said. */
static void api_give_up(struct shard *shard, struct conn *conn)
{
    if (!call_of(conn)->asked)
        http_give_up(shard, conn);
    if (conn->state == CONN_OPEN)
        api_closed(shard, conn);
}

static void api_drain(struct shard *shard, struct conn *conn)
{
    if (call_of(conn)->asked)
        http_drain(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

static void api_timer(struct shard *shard, struct conn *conn)
{
    if (!call_of(conn)->asked)
        http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

void server_api_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    if (conn->listener != LISTENER_ADMIN && !auth_is_server(shard, request)) {
        http_refuse(shard, conn, REFUSAL_API_KEY_REQUIRED);
        return;
    }
    int method = method_of(span_skip(request->path, strlen("/api/")));
    assert(method >= 0 && "the routes name no other");
    struct conn_extra *extra = conn_extra(conn);
    struct api_call *call = extra ? calloc(1, sizeof *call) : NULL;
    if (!call) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    call->method = (uint8_t)method;
    extra->transport_state = call;
    extra->state_bytes = sizeof *call;
    conn_hand_over(conn, TRANSPORT_SERVER_API);
    if (http_body_begin(shard, conn, exchange, (uint64_t)shard->settings->message_bytes_max))
        conn_timer(shard, conn, shard->settings->body_timeout_ms);
}

const struct transport server_api_transport = {
    .name = "server_api",
    .input = http_body_input,
    .body = api_body,
    .input_ended = api_input_ended,
    .give_up = api_give_up,
    .timer = api_timer,
    .drain = api_drain,
    .closed = api_closed,
    .published = api_published,
    .read = api_read,
};
