/* client_poll: short and long polling, and the answers to a publisher's POST.
 *
 *   GET /poll ─► position ─► up ─┬─ long: GET /longpoll?since=P ─► answer ─► again, at once
 *                                └─ short: GET /poll?since=P ─► answer ─► when the poller says so
 *   GET /healthz ─► answer ─► up: `get`
 *
 * The position is taken over when an answer is whole, so that one that is cut off is asked for
 * again. */
#include "load/engine.h"
#include "load/publish.h"

struct span poll_target(struct load *load, struct subscriber *subscriber, char buf[LOAD_TARGET_MAX])
{
    const struct group *group = group_of(load, subscriber);
    bool joining = !(subscriber->flags & SUBSCRIBER_UP);
    return subscriber_target(load, subscriber, joining ? group->join_path : group->path, buf);
}

void poll_asked(struct load *load, struct subscriber *subscriber)
{
    subscriber->flags |= SUBSCRIBER_ASKED;
    group_of(load, subscriber)->counters.requests++;
}

static void request(struct load *load, struct subscriber *subscriber)
{
    const struct group *group = group_of(load, subscriber);
    struct link *link = link_of(load, subscriber);
    if (link->flags & LINK_CYCLING)
        subscriber_is_up(load, subscriber);
    char target[LOAD_TARGET_MAX];
    const struct http_request_head head = {
        .method = SPAN("GET"),
        .target = poll_target(load, subscriber, target),
        .host = span_from(group->host),
        .extra = span_from(group->fields),
        .close = group->config.longpoll_reconnect,
    };
    int len = http_request_head_write(outbox_reserve(load, link, REQUEST_HEAD_MAX),
                                      REQUEST_HEAD_MAX, &head);
    assert(len > 0);
    outbox_commit(load, link, (size_t)len);
    poll_asked(load, subscriber);
}

/* ---- an answer ---- */

static void next_request(struct load *load, struct subscriber *subscriber, bool last)
{
    const struct protocol *protocol = link_protocol(load, link_of(load, subscriber));
    subscriber_is_up(load, subscriber);
    if (last)
        link_cycle(load, link_of(load, subscriber));
    else if (!(protocol->is & PROTOCOL_BY_CLOCK))
        protocol->ask(load, subscriber);
}

void poll_answered(struct load *load, struct subscriber *subscriber, const struct half *answer)
{
    struct load_counters *counters = &group_of(load, subscriber)->counters;
    subscriber->flags &= (uint8_t)~SUBSCRIBER_ASKED;
    counters->answers++;
    if (answer->messages == 0)
        counters->empty_answers++;
    if (group_is(group_of(load, subscriber), PROTOCOL_SILENT)) {
        subscriber_is_up(load, subscriber);
        return;
    }
    if (answer->lost && subscriber->position.epoch != 0)
        subscriber_unrecovered(load, subscriber);
    if (answer->position.epoch == 0) {
        subscriber_fail(load, subscriber, LOAD_FAIL_JSON);
        return;
    }
    subscriber->position = answer->position;
    next_request(load, subscriber, answer->last);
}

/* ---- on a stream ---- */

void poll_begun(struct load *load, struct subscriber *subscriber)
{
    (void)load;
    (void)subscriber;
}

void poll_piece(struct load *load, struct subscriber *subscriber, char *input_bytes, size_t len)
{
    char *bytes;
    struct half *half = half_begin(load, subscriber, &bytes);
    half_json(load, subscriber, half, span_of(input_bytes, len));
    half_end(load, subscriber, false);
}

void poll_over(struct load *load, struct subscriber *subscriber)
{
    char *bytes;
    struct half *half = half_begin(load, subscriber, &bytes);
    const struct half answer = *half;
    half_json_end(half);
    half_end(load, subscriber, true);
    poll_answered(load, subscriber, &answer);
}

/* ---- an answer to a publisher ---- */

static void publish_end(struct load *load, struct subscriber *subscriber, const struct half *answer)
{
    struct group *group = group_of(load, subscriber);
    publisher_answered(group, answer->failed);
    if (answer->last)
        subscriber_fail(load, subscriber, LOAD_FAIL_END);
}

/* ---- the bytes ---- */

/* Returns 1 when a body follows, 0 when the head is not whole, negative when the client has failed.
 */
static int head_take(struct load *load, struct subscriber *subscriber, struct half *half,
                     char *bytes, struct span *input)
{
    struct http_response response;
    int result = half_response(load, half, bytes, input, &response);
    if (result == 0)
        return 0;
    if (result < 0 || http_response_body_init(&half->body, &response, HTTP_GET, UINT64_MAX) < 0) {
        subscriber_fail(load, subscriber, LOAD_FAIL_HTTP);
        return -1;
    }
    half->in_body = true;
    half->failed = response.status < 200 || response.status > 299;
    half->last = !response.fields.keep_alive;
    if (!half->failed)
        return 1;
    enum load_failure failure = status_failure(load, subscriber, response.status);
    if (subscriber_publishes(load, subscriber))
        return 1;
    subscriber_fail(load, subscriber, failure);
    return -1;
}

static void answer_done(struct load *load, struct subscriber *subscriber, struct half *half)
{
    const struct half answer = *half;
    half->in_body = half->failed = half->last = false;
    half_json_end(half);
    if (subscriber_publishes(load, subscriber))
        publish_end(load, subscriber, &answer);
    else
        poll_answered(load, subscriber, &answer);
}

/* Reads one run of a body. Returns whether there may be more to read. */
static bool body_take(struct load *load, struct subscriber *subscriber, struct half *half,
                      struct span *input)
{
    struct span piece;
    int result = http_body_next(&half->body, input, &piece);
    if (result < 0) {
        subscriber_fail(load, subscriber, LOAD_FAIL_HTTP);
    } else if (result == HTTP_BODY_DATA) {
        if (!subscriber_publishes(load, subscriber))
            half_json(load, subscriber, half, piece);
        return true;
    } else if (result == HTTP_BODY_END) {
        answer_done(load, subscriber, half);
    }
    return result == HTTP_BODY_END && input->len > 0;
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

/* ---- rows ---- */

const struct protocol protocol_poll = {
    .name = "poll",
    .path = "/poll?channel=%s",
    .is = PROTOCOL_ASKS | PROTOCOL_BY_CLOCK,
    .ask = request,
    .input = input,
};

const struct protocol protocol_longpoll = {
    .name = "longpoll",
    .path = "/longpoll?channel=%s",
    .join_path = "/poll?channel=%s",
    .is = PROTOCOL_ASKS,
    .ask = request,
    .input = input,
};

const struct protocol protocol_get = {
    .path = "/healthz",
    .is = PROTOCOL_SILENT,
    .ask = request,
    .input = input,
};

/* One that publishes is up when it is connected. */
const struct protocol protocol_post = {
    .path = "/publish?channel=%s",
    .is = PROTOCOL_ANSWERS,
    .ask = subscriber_is_up,
    .input = input,
    .publish = publish_post,
};
