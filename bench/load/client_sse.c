/* client_sse: subscribers of an event stream. */
#include "load/engine.h"

static void request(struct load *load, struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    char target[LOAD_TARGET_MAX];
    const struct http_request_head head = {
        .method = SPAN("GET"),
        .target = subscriber_target(load, subscriber, group->path, target),
        .host = span_from(group->host),
        .extra = span_from(group->fields),
    };
    struct link *link = link_of(load, subscriber);
    int len = http_request_head_write(outbox_reserve(load, link, REQUEST_HEAD_MAX),
                                      REQUEST_HEAD_MAX, &head);
    assert(len > 0);
    outbox_commit(load, link, (size_t)len);
}

/* ---- handshake ---- */

void sse_opened(struct load *load, struct subscriber *subscriber)
{
    subscriber->flags |= SUBSCRIBER_ANSWERED;
    if (group_of(load, subscriber)->protocol.path)
        subscriber_is_up(load, subscriber);
}

/* Returns whether the events begin, with what is left of the input. */
static bool handshake(struct load *load, struct subscriber *subscriber, struct span *input)
{
    char *bytes;
    struct half *half = half_begin(load, subscriber, &bytes);
    struct http_response response;
    int result = half_response(load, half, bytes, input, &response);
    half_end(load, subscriber, result != 0);
    if (result == 0)
        return false;
    if (result < 0) {
        subscriber_fail(load, subscriber, LOAD_FAIL_HTTP);
        return false;
    }
    if (response.status != 200) {
        const struct http_field *field = http_field_find(&response.fields, SPAN("Retry-After"));
        subscriber_hint_answer(subscriber, field ? field->value : (struct span){0}, *input);
        subscriber_fail(load, subscriber, status_failure(load, subscriber, response.status));
        return false;
    }
    if (response.fields.chunked)
        subscriber->kept |= SSE_KEPT_CHUNKED;
    sse_opened(load, subscriber);
    return true;
}

/* ---- events ---- */

/* Somebody else's event may hold several payloads, or none. */
static void message_in(struct load *load, struct subscriber *subscriber, struct span data)
{
    const struct group *group = group_of(load, subscriber);
    struct payload_search search = {0};
    struct payload payload = {0};
    while (group->protocol.embedded &&
           payload_search_next(&search, &data, group->config.payload_bytes))
        subscriber_deliver(load, subscriber, &search.payload);
    if (group->protocol.embedded)
        return;
    payload_take(&payload, data);
    subscriber_deliver(load, subscriber, &payload);
}

/* A message is an event without a name; the others are about the position. */
static void handle_event(struct load *load, struct subscriber *subscriber,
                         const struct sse_event *event)
{
    bool message =
        event->data.ptr && (!event->event.ptr || span_equal(event->event, SPAN("message")));
    struct position position;
    if (event->has_retry)
        subscriber_hint(subscriber, event->retry_ms);
    if (message)
        message_in(load, subscriber, event->data);
    if (event->event.ptr && span_equal(event->event, SPAN("unrecoverable")))
        subscriber_unrecovered(load, subscriber);
    if (!event->id.ptr || position_parse(&position, 1, event->id) != 1)
        return;
    subscriber->position = position;
    if (!message && !(subscriber->flags & SUBSCRIBER_UP))
        subscriber_is_up(load, subscriber);
}

static void events(struct load *load, struct subscriber *subscriber, struct half *half, char *bytes,
                   struct span input)
{
    struct sse_event event;
    enum sse_result result;
    size_t size = load->stashes.bytes_size;
    while ((result = sse_parser_next(&half->sse, &input, bytes, size, &event)) == SSE_EVENT) {
        handle_event(load, subscriber, &event);
        if (!subscriber_open(subscriber))
            return;
    }
    if (result == SSE_TOO_LONG)
        subscriber_fail(load, subscriber, LOAD_FAIL_EVENT_LONG);
}

static void chunks(struct load *load, struct subscriber *subscriber, struct half *half, char *bytes,
                   struct span input)
{
    int result = HTTP_BODY_DATA;
    while (result == HTTP_BODY_DATA && subscriber_open(subscriber)) {
        struct span piece;
        result = http_body_next(&half->body, &input, &piece);
        if (result == HTTP_BODY_DATA)
            events(load, subscriber, half, bytes, piece);
    }
    if (result == HTTP_BODY_END)
        subscriber_fail(load, subscriber, LOAD_FAIL_END);
    else if (result < 0)
        subscriber_fail(load, subscriber, LOAD_FAIL_HTTP);
}

static bool between_chunks(const struct http_body *body, const struct http_body *fresh)
{
    return body->state == fresh->state && body->digits == 0 && body->overhead == 0;
}

void sse_stream(struct load *load, struct subscriber *subscriber, char *input, size_t len)
{
    struct span rest = {input, len};
    const bool chunked = subscriber->kept & SSE_KEPT_CHUNKED;
    char *bytes;
    struct half *half = half_begin(load, subscriber, &bytes);
    struct http_body fresh;
    http_body_init(&fresh, HTTP_FRAMING_CHUNKED, 0, UINT64_MAX);
    if (!subscriber->stash) {
        half->body = fresh;
        half->sse.flags = subscriber->kept & (uint8_t)~SSE_KEPT_CHUNKED;
    }
    if (chunked)
        chunks(load, subscriber, half, bytes, rest);
    else
        events(load, subscriber, half, bytes, rest);
    bool idle = sse_parser_idle(&half->sse) && between_chunks(&half->body, &fresh);
    assert(!(half->sse.flags & SSE_KEPT_CHUNKED));
    subscriber->kept = (uint8_t)(half->sse.flags | (chunked ? SSE_KEPT_CHUNKED : 0));
    if (idle)
        half->sse = (struct sse_parser){0};
    half_end(load, subscriber, idle && subscriber_open(subscriber));
}

static void input(struct load *load, struct link *link, char *bytes, size_t len)
{
    struct subscriber *subscriber = link_first(load, link);
    struct span rest = {bytes, len};
    if (!(subscriber->flags & SUBSCRIBER_ANSWERED) && !handshake(load, subscriber, &rest))
        return;
    sse_stream(load, subscriber, bytes + len - rest.len, rest.len);
}

/* A stream that ends before it has told a position was one of a client that was not let in. */
static enum load_failure ended(const struct subscriber *subscriber)
{
    bool waits = (subscriber->flags & (SUBSCRIBER_ANSWERED | SUBSCRIBER_UP)) == SUBSCRIBER_ANSWERED;
    return waits && !(subscriber->kept & SSE_KEPT_CHUNKED) ? LOAD_FAIL_SHED : LOAD_FAIL_END;
}

const struct protocol protocol_sse = {
    .name = "sse",
    .path = "/sse?channel=%s",
    .fields = "Accept: " SSE_CONTENT_TYPE "\r\n",
    .is = PROTOCOL_STALLS,
    .held_bytes = STASH_EVENT_EXTRA,
    .ask = request,
    .input = input,
    .ended = ended,
};
