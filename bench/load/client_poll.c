/* client_poll: short and long polling, and the answers to a publisher's POST.
 *
 *   GET /poll ─► position ─► up ─┬─ long: GET /longpoll?since=P ─► answer ─► again, at once
 *                                └─ short: GET /poll?since=P ─► answer ─► when the poller says so
 *   GET /healthz ─► answer ─► up: LOAD_GET
 *
 * The position is taken over when an answer is whole, so that one that is cut off is asked for
 * again. */
#include "load/engine.h"

void poll_request(struct load *load, struct client *client)
{
    struct group *group = group_of(load, client);
    bool joining = client->phase == CLIENT_HANDSHAKE && transport_polls(group->config.transport);
    char target[LOAD_TARGET_MAX];
    const struct http_request_head head = {
        .method = SPAN("GET"),
        .target = client_target(load, client, joining ? group->join_path : group->path, target),
        .host = span_from(group->host),
        .extra = span_from(group->fields),
        .close = group->config.longpoll_reconnect,
    };
    int len = http_request_head_write(outbox_reserve(load, client, REQUEST_HEAD_MAX),
                                      REQUEST_HEAD_MAX, &head);
    assert(len > 0);
    outbox_commit(load, client, (size_t)len);
    client->flags |= CLIENT_ASKED;
    group->counters.requests++;
}

/* ---- an answer ---- */

static void next_request(struct load *load, struct client *client, bool last)
{
    struct group *group = group_of(load, client);
    if (client->phase == CLIENT_HANDSHAKE)
        client_is_up(load, client);
    if (last)
        client_cycle(load, client);
    else if (group->config.transport == LOAD_LONGPOLL)
        poll_request(load, client);
}

static void answer_end(struct load *load, struct client *client, const struct half *answer)
{
    struct load_counters *counters = &group_of(load, client)->counters;
    client->flags &= (uint8_t)~CLIENT_ASKED;
    counters->answers++;
    if (answer->messages == 0)
        counters->empty_answers++;
    if (group_of(load, client)->config.transport == LOAD_GET) {
        client_is_up(load, client);
        return;
    }
    if (answer->lost && client->position.epoch != 0)
        counters->unrecovered++;
    if (answer->position.epoch == 0) {
        client_fail(load, client, LOAD_FAIL_JSON);
        return;
    }
    client->position = answer->position;
    next_request(load, client, answer->last);
}

static void publish_end(struct load *load, struct client *client, const struct half *answer)
{
    struct group *group = group_of(load, client);
    if (group->publisher.unanswered > 0)
        group->publisher.unanswered--;
    if (answer->failed)
        group->counters.publish_failures++;
    if (answer->last)
        client_fail(load, client, LOAD_FAIL_END);
}

/* ---- the bytes ---- */

/* Returns 1 when a body follows, 0 when the head is not whole, negative when the client has failed.
 */
static int head_take(struct load *load, struct client *client, struct half *half, char *bytes,
                     struct span *input)
{
    struct http_response response;
    int result = half_response(load, half, bytes, input, &response);
    if (result == 0)
        return 0;
    if (result < 0 || http_response_body_init(&half->body, &response, HTTP_GET, UINT64_MAX) < 0) {
        client_fail(load, client, LOAD_FAIL_HTTP);
        return -1;
    }
    half->in_body = true;
    half->failed = response.status < 200 || response.status > 299;
    half->last = !response.fields.keep_alive;
    if (!half->failed)
        return 1;
    group_of(load, client)->counters.status = response.status;
    if (client_publishes(load, client))
        return 1;
    client_fail(load, client, response.status == 503 ? LOAD_FAIL_SHED : LOAD_FAIL_STATUS);
    return -1;
}

static void answer_done(struct load *load, struct client *client, struct half *half)
{
    const struct half answer = *half;
    half->in_body = half->failed = half->last = false;
    half_json_end(half);
    if (client_publishes(load, client))
        publish_end(load, client, &answer);
    else
        answer_end(load, client, &answer);
}

/* Reads one run of a body. Returns whether there may be more to read. */
static bool body_take(struct load *load, struct client *client, struct half *half,
                      struct span *input)
{
    struct span piece;
    int result = http_body_next(&half->body, input, &piece);
    if (result < 0) {
        client_fail(load, client, LOAD_FAIL_HTTP);
    } else if (result == HTTP_BODY_DATA) {
        if (!client_publishes(load, client))
            half_json(load, client, half, piece);
        return true;
    } else if (result == HTTP_BODY_END) {
        answer_done(load, client, half);
    }
    return result == HTTP_BODY_END && input->len > 0;
}

void poll_input(struct load *load, struct client *client, char *input_bytes, size_t len)
{
    struct span input = {input_bytes, len};
    char *bytes;
    struct half *half = half_begin(load, client, &bytes);
    bool more = true;
    while (more && client_open(client)) {
        if (half->in_body)
            more = body_take(load, client, half, &input);
        else
            more = head_take(load, client, half, bytes, &input) == 1;
    }
    half_end(load, client, client_open(client) && !half->in_body && half->held == 0);
}
