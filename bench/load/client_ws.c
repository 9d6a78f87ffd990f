/* client_ws: WebSocket subscribers, raw and in envelopes, echo clients and publishers. */
#include "load/engine.h"
#include "wire/mask.h"

enum {
    KEY_MULTIPLIER = 0x9E3779B1,
};
#define MESSAGE_BYTES_MAX (UINT64_C(1) << 40)

/* The server has to work for its answer all the same. */
const struct span ws_handshake_key = SPAN_INIT("cmluZ3NpZGUgbG9hZCBrZQ==");

void ws_key(uint32_t index, uint8_t ret_key[4])
{
    uint32_t mixed = (index + 1) * (uint32_t)KEY_MULTIPLIER;
    memcpy(ret_key, &mixed, sizeof mixed);
}

void ws_request(struct load *load, struct client *client)
{
    struct group *group = group_of(load, client);
    bool publishes = client_publishes(load, client);
    char target_buf[LOAD_TARGET_MAX];
    struct span target = publishes ? span_from(group->publish_path)
                                   : client_target(load, client, group->path, target_buf);
    const char *fields = publishes ? group->protocol.publish_fields : group->fields;
    char *request = outbox_reserve(load, client, REQUEST_HEAD_MAX);
    int len = ws_handshake_request_write(
        request, REQUEST_HEAD_MAX, target, span_from(publishes ? group->publish_host : group->host),
        ws_handshake_key, fields ? span_from(fields) : (struct span){0});
    assert(len > 0);
    outbox_commit(load, client, (size_t)len);
}

void ws_send(struct load *load, struct client *client, unsigned opcode, struct span payload)
{
    struct ws_frame_head head = {
        .length = payload.len,
        .opcode = (uint8_t)opcode,
        .fin = true,
        .masked = true,
    };
    ws_key(client_index(load, client), head.key);
    char *frame = outbox_reserve(load, client, WS_FRAME_HEAD_MAX + payload.len);
    size_t len = ws_frame_head_write(frame, &head);
    memcpy(frame + len, payload.ptr, payload.len);
    mask_apply(frame + len, payload.len, head.key);
    outbox_commit(load, client, len + payload.len);
}

void ws_echo(struct load *load, struct client *client)
{
    struct group *group = group_of(load, client);
    uint32_t number = client->place.expected ? client->place.expected : 1;
    char payload[LOAD_ECHO_BYTES_MAX];
    payload_write(payload, group->config.payload_bytes, number, (uint64_t)engine_clock_ns());
    ws_send(load, client, WS_TEXT, span_of(payload, group->config.payload_bytes));
    client->flags |= CLIENT_ASKED;
    group->echoes++;
    group->counters.published++;
}

/* ---- handshake ---- */

static void introduce(struct load *load, struct client *client)
{
    const struct load_protocol *protocol = &group_of(load, client)->protocol;
    bool publishes = client_publishes(load, client);
    const struct load_message *messages = publishes ? protocol->greeting : protocol->subscribe;
    unsigned count = publishes ? protocol->greeting_count : protocol->subscribe_count;
    for (unsigned i = 0; i < count; i++)
        ws_send(load, client, messages[i].binary ? WS_BINARY : WS_TEXT,
                span_of(messages[i].bytes, messages[i].len));
}

static void opened(struct load *load, struct client *client)
{
    const struct group *group = group_of(load, client);
    bool publishes = client_publishes(load, client);
    introduce(load, client);
    if (group->config.transport == LOAD_WEBSOCKET_ENVELOPE && !group->protocol.path && !publishes)
        client->phase = CLIENT_CONFIRM;
    else
        client_is_up(load, client);
}

/* Returns whether the connection goes on as a WebSocket, with what is left of the input. */
static bool handshake(struct load *load, struct client *client, struct span *input)
{
    char *bytes;
    struct half *half = half_begin(load, client, &bytes);
    struct http_response response;
    int result = half_response(load, half, bytes, input, &response);
    bool accepted = result == 1 && ws_handshake_answer_check(&response, ws_handshake_key) == 0;
    half_end(load, client, result != 0);
    if (result == 0)
        return false;
    if (accepted) {
        opened(load, client);
        return client_open(client);
    }
    if (result < 0) {
        client_fail(load, client, LOAD_FAIL_HTTP);
        return false;
    }
    group_of(load, client)->counters.status = response.status;
    client_hint_answer(client, &response, *input);
    client_fail(load, client,
                response.status == 101   ? LOAD_FAIL_WEBSOCKET
                : response.status == 503 ? LOAD_FAIL_SHED
                                         : LOAD_FAIL_STATUS);
    return false;
}

/* ---- messages ---- */

static void echoed(struct load *load, struct client *client)
{
    struct group *group = group_of(load, client);
    if (!(client->flags & CLIENT_ASKED))
        return;
    client->flags &= (uint8_t)~CLIENT_ASKED;
    group->echoes--;
    if (group->echoing)
        ws_echo(load, client);
}

/* An envelope is whole: a message, or the first frame, which has only the position. */
static void envelope_end(struct load *load, struct client *client, struct half *half)
{
    if (half->lost && client->position.epoch != 0)
        group_of(load, client)->counters.unrecovered++;
    if (half->position.epoch != 0)
        client->position = half->position;
    bool standing = half->messages == 0;
    half_json_end(half);
    if (!standing || client->phase != CLIENT_CONFIRM)
        return;
    if (client->position.epoch == 0)
        client_fail(load, client, LOAD_FAIL_JSON);
    else
        client_is_up(load, client);
}

/* One piece of a message of somebody else's, which may hold several payloads or none. */
static void embedded_piece(struct load *load, struct client *client, struct half *half,
                           struct span piece)
{
    uint32_t size = group_of(load, client)->config.payload_bytes;
    while (payload_search_next(&half->search, &piece, size))
        client_deliver(load, client, &half->search.payload);
}

static void data_event(struct load *load, struct client *client, struct half *half,
                       const struct ws_event *event)
{
    struct group *group = group_of(load, client);
    struct span piece = {event->payload, event->payload_len};
    bool publishes = client_publishes(load, client);
    bool envelope = group->config.transport == LOAD_WEBSOCKET_ENVELOPE && !publishes;
    bool embedded = group->protocol.embedded && !publishes;
    half->message_bytes += piece.len;
    if (envelope)
        half_json(load, client, half, piece);
    else if (embedded)
        embedded_piece(load, client, half, piece);
    else
        payload_take(&half->payload, piece);
    if (!event->last)
        return;
    if (!publishes)
        group->counters.framed_bytes +=
            ws_frame_head_size(half->message_bytes) + half->message_bytes;
    if (envelope)
        envelope_end(load, client, half);
    else if (!embedded)
        client_deliver(load, client, &half->payload);
    half->message_bytes = 0;
    half->payload = (struct payload){0};
    half->search = (struct payload_search){0};
    if (group->config.transport == LOAD_ECHO)
        echoed(load, client);
}

static void handle_event(struct load *load, struct client *client, struct half *half,
                         const struct ws_event *event)
{
    struct load_counters *counters = &group_of(load, client)->counters;
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        data_event(load, client, half, event);
        break;
    case WS_EVENT_PING:
        ws_send(load, client, WS_PONG, span_of(event->payload, event->payload_len));
        if (client_publishes(load, client))
            break;
        counters->pings++;
        counters->framed_bytes += ws_frame_head_size(event->payload_len) + event->payload_len;
        break;
    case WS_EVENT_PONG:
        break;
    case WS_EVENT_CLOSE:
        counters->close_code = event->close_code;
        client_fail(load, client, LOAD_FAIL_CLOSE_FRAME);
        break;
    case WS_EVENT_ERROR:
        client_fail(load, client, LOAD_FAIL_WEBSOCKET);
        break;
    }
}

static void frames(struct load *load, struct client *client, struct ws_input *input)
{
    const struct ws_rules rules = {.role = WS_CLIENT, .message_bytes_max = MESSAGE_BYTES_MAX};
    char *bytes;
    struct half *half = half_begin(load, client, &bytes);
    struct ws_event event;
    do {
        ws_inbound_next(&half->inbound, &rules, input, &event);
        handle_event(load, client, half, &event);
    } while (event.kind != WS_EVENT_NONE && client_open(client));
    half_end(load, client, client_open(client) && ws_inbound_idle(&half->inbound));
}

void ws_input(struct load *load, struct client *client, char *bytes, size_t len)
{
    struct span input = {bytes, len};
    if (client->phase == CLIENT_HANDSHAKE && !handshake(load, client, &input))
        return;
    struct ws_input rest = {bytes + len - input.len, bytes + len};
    if (rest.at < rest.end)
        frames(load, client, &rest);
}
