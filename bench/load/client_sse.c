/* client_sse: subscribers of an event stream. */
#include "load/engine.h"

void sse_request(struct load *load, struct client *client)
{
    struct group *group = group_of(load, client);
    char target[LOAD_TARGET_MAX];
    const struct http_request_head head = {
        .method = SPAN("GET"),
        .target = client_target(load, client, group->path, target),
        .host = span_from(group->host),
        .extra = span_from(group->fields),
    };
    int len = http_request_head_write(outbox_reserve(load, client, REQUEST_HEAD_MAX),
                                      REQUEST_HEAD_MAX, &head);
    assert(len > 0);
    outbox_commit(load, client, (size_t)len);
}

/* ---- handshake ---- */

/* Returns whether the events begin, with what is left of the input. */
static bool handshake(struct load *load, struct client *client, struct span *input)
{
    struct group *group = group_of(load, client);
    char *bytes;
    struct half *half = half_begin(load, client, &bytes);
    struct http_response response;
    int result = half_response(load, half, bytes, input, &response);
    half_end(load, client, result != 0);
    if (result == 0)
        return false;
    if (result < 0) {
        client_fail(load, client, LOAD_FAIL_HTTP);
        return false;
    }
    if (response.status != 200) {
        group->counters.status = response.status;
        client_hint_answer(client, &response, *input);
        client_fail(load, client, response.status == 503 ? LOAD_FAIL_SHED : LOAD_FAIL_STATUS);
        return false;
    }
    if (response.fields.chunked)
        client->flags |= CLIENT_CHUNKED;
    client->phase = CLIENT_CONFIRM;
    if (group->protocol.path)
        client_is_up(load, client);
    return true;
}

/* ---- events ---- */

/* A message is an event without a name; the others are about the position. */
static void handle_event(struct load *load, struct client *client, const struct sse_event *event)
{
    bool message =
        event->data.ptr && (!event->event.ptr || span_equal(event->event, SPAN("message")));
    struct position position;
    if (event->has_retry)
        client_hint(client, event->retry_ms);
    if (message) {
        struct payload payload = {0};
        payload_take(&payload, event->data);
        client_deliver(load, client, &payload);
    }
    if (event->event.ptr && span_equal(event->event, SPAN("unrecoverable")))
        group_of(load, client)->counters.unrecovered++;
    if (!event->id.ptr || position_parse(&position, 1, event->id) != 1)
        return;
    client->position = position;
    if (!message && client->phase == CLIENT_CONFIRM)
        client_is_up(load, client);
}

static void events(struct load *load, struct client *client, struct half *half, char *bytes,
                   struct span input)
{
    struct sse_event event;
    enum sse_result result;
    size_t size = load->stashes.bytes_size;
    while ((result = sse_parser_next(&half->sse, &input, bytes, size, &event)) == SSE_EVENT) {
        handle_event(load, client, &event);
        if (!client_open(client))
            return;
    }
    if (result == SSE_TOO_LONG)
        client_fail(load, client, LOAD_FAIL_EVENT_LONG);
}

static void chunks(struct load *load, struct client *client, struct half *half, char *bytes,
                   struct span input)
{
    int result = HTTP_BODY_DATA;
    while (result == HTTP_BODY_DATA && client_open(client)) {
        struct span piece;
        result = http_body_next(&half->body, &input, &piece);
        if (result == HTTP_BODY_DATA)
            events(load, client, half, bytes, piece);
    }
    if (result == HTTP_BODY_END)
        client_fail(load, client, LOAD_FAIL_END);
    else if (result < 0)
        client_fail(load, client, LOAD_FAIL_HTTP);
}

static bool between_chunks(const struct http_body *body, const struct http_body *fresh)
{
    return body->state == fresh->state && body->digits == 0 && body->overhead == 0;
}

void sse_input(struct load *load, struct client *client, char *input_bytes, size_t len)
{
    struct span input = {input_bytes, len};
    if (client->phase == CLIENT_HANDSHAKE && !handshake(load, client, &input))
        return;
    char *bytes;
    struct half *half = half_begin(load, client, &bytes);
    struct http_body fresh;
    http_body_init(&fresh, HTTP_FRAMING_CHUNKED, 0, UINT64_MAX);
    if (client->stash == STASH_NONE) {
        half->body = fresh;
        half->sse.flags = client->sse_flags;
    }
    if (client->flags & CLIENT_CHUNKED)
        chunks(load, client, half, bytes, input);
    else
        events(load, client, half, bytes, input);
    bool idle = sse_parser_idle(&half->sse) && between_chunks(&half->body, &fresh);
    client->sse_flags = half->sse.flags;
    if (idle)
        half->sse = (struct sse_parser){0};
    half_end(load, client, idle && client_open(client));
}
