/* client_since: long polls of somebody else's, whose position is in header fields, as nginx with
 * nchan has it: what an answer says of when and which, the next request repeats.
 *
 *   GET ─► held ─► 200, Last-Modified, Etag, a message ─► GET with If-Modified-Since, If-None-Match
 *
 * Nothing says that a request is held: who has asked is up. A connection that ends forgets its
 * position. */
#include <stdio.h>
#include <stdlib.h>

#include "load/engine.h"

enum {
    SINCE_MAX = 192,
};

/* Of a link: the fields of its next request. */
struct since {
    char fields[SINCE_MAX];
};

static void request(struct load *load, struct subscriber *subscriber)
{
    const struct group *group = group_of(load, subscriber);
    struct link *link = link_of(load, subscriber);
    const struct since *since = load->states[link_index(load, link)];
    char fields[sizeof group->fields + SINCE_MAX];
    snprintf(fields, sizeof fields, "%s%s", group->fields, since ? since->fields : "");
    const struct http_request_head head = {
        .method = SPAN("GET"),
        .target = span_from(group->path),
        .host = span_from(group->host),
        .extra = span_from(fields),
    };
    int len = http_request_head_write(outbox_reserve(load, link, REQUEST_HEAD_MAX),
                                      REQUEST_HEAD_MAX, &head);
    assert(len > 0);
    outbox_commit(load, link, (size_t)len);
    poll_asked(load, subscriber);
    subscriber_is_up(load, subscriber);
}

static void closed(struct load *load, struct link *link)
{
    void **state = &load->states[link_index(load, link)];
    free(*state);
    *state = NULL;
}

/* Returns whether there is a position, and room for it. */
static bool remember(struct load *load, struct link *link, const struct http_fields *fields)
{
    void **state = &load->states[link_index(load, link)];
    const struct http_field *when = http_field_find(fields, SPAN("Last-Modified"));
    const struct http_field *which = http_field_find(fields, SPAN("Etag"));
    struct since *since = *state = *state ? *state : calloc(1, sizeof *since);
    if (!since || !when || !which)
        return false;
    int len =
        snprintf(since->fields, SINCE_MAX, "If-Modified-Since: %.*s\r\nIf-None-Match: %.*s\r\n",
                 (int)when->value.len, when->value.ptr, (int)which->value.len, which->value.ptr);
    return len < SINCE_MAX;
}

/* Returns 1 when a body follows, 0 when the head is not whole, negative when the client has failed.
 */
static int head_take(struct load *load, struct subscriber *subscriber, struct half *half,
                     char *bytes, struct span *input)
{
    struct http_response response;
    int result = half_response(load, half, bytes, input, &response);
    if (result == 0)
        return 0;
    enum load_failure failure = LOAD_FAIL_HTTP;
    if (result > 0 && response.status != 200)
        failure = status_failure(load, subscriber, response.status);
    else if (result > 0 && remember(load, link_of(load, subscriber), &response.fields) &&
             http_response_body_init(&half->body, &response, HTTP_GET, UINT64_MAX) >= 0) {
        half->in_body = true;
        half->last = !response.fields.keep_alive;
        return 1;
    }
    subscriber_fail(load, subscriber, failure);
    return -1;
}

static void answered(struct load *load, struct subscriber *subscriber, struct half *half)
{
    struct load_counters *counters = &group_of(load, subscriber)->counters;
    const bool last = half->last;
    counters->answers++;
    counters->empty_answers += half->messages == 0;
    half->in_body = half->last = false;
    half->messages = 0;
    half->search = (struct payload_search){0};
    subscriber->flags &= (uint8_t)~SUBSCRIBER_ASKED;
    if (last)
        subscriber_fail(load, subscriber, LOAD_FAIL_END);
    else
        request(load, subscriber);
}

/* Reads one run of a body. Returns whether there may be more to read. */
static bool body_take(struct load *load, struct subscriber *subscriber, struct half *half,
                      struct span *input)
{
    struct span piece;
    int result = http_body_next(&half->body, input, &piece);
    if (result < 0)
        subscriber_fail(load, subscriber, LOAD_FAIL_HTTP);
    else if (result == HTTP_BODY_END)
        answered(load, subscriber, half);
    while (result == HTTP_BODY_DATA &&
           payload_search_next(&half->search, &piece,
                               group_of(load, subscriber)->config.payload_bytes)) {
        half->messages++;
        subscriber_deliver(load, subscriber, &half->search.payload);
    }
    return result == HTTP_BODY_DATA || (result == HTTP_BODY_END && input->len > 0);
}

static void input(struct load *load, struct link *link, char *input_bytes, size_t len)
{
    struct subscriber *subscriber = link_first(load, link);
    struct span input = {input_bytes, len};
    char *bytes;
    struct half *half = half_begin(load, subscriber, &bytes);
    bool more = true;
    while (more && subscriber_open(subscriber)) {
        if (half->in_body)
            more = body_take(load, subscriber, half, &input);
        else
            more = head_take(load, subscriber, half, bytes, &input) == 1;
    }
    half_end(load, subscriber, subscriber_open(subscriber) && !half->in_body && half->held == 0);
}

const struct protocol protocol_longpoll_since = {
    .path = "/",
    .is = PROTOCOL_ASKS,
    .ask = request,
    .input = input,
    .closed = closed,
};
