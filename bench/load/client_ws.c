/* client_ws: WebSocket subscribers, raw and in envelopes, echo clients and publishers. */
#include "load/engine.h"
#include "load/packed.h"
#include "load/publish.h"
#include "wire/mask.h"

enum {
    PACKED_EXTRA = 512, /* of an envelope, or of a message that got no smaller */
};

#define MESSAGE_BYTES_MAX (UINT64_C(1) << 40)

/* The server has to work for its answer all the same. */
static const struct span handshake_key = SPAN_INIT("cmluZ3NpZGUgbG9hZCBrZQ==");

static const struct protocol *spoken(const struct load *load, const struct subscriber *subscriber)
{
    return link_protocol(load, link_of(load, subscriber));
}

void ws_request(struct load *load, struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    struct link *link = link_of(load, subscriber);
    bool publishes = subscriber_publishes(load, subscriber);
    char target_buf[LOAD_TARGET_MAX];
    const char *path = publishes ? group->publish_path : group->path;
    bool plain = publishes || link_protocol(load, link)->is & PROTOCOL_PUSHES;
    struct span target =
        plain ? span_from(path) : subscriber_target(load, subscriber, path, target_buf);
    const char *fields = publishes ? group->protocol.publish_fields : group->fields;
    char *request = outbox_reserve(load, link, REQUEST_HEAD_MAX);
    int len = ws_handshake_request_write(
        request, REQUEST_HEAD_MAX, target, span_from(publishes ? group->publish_host : group->host),
        handshake_key, fields ? span_from(fields) : (struct span){0});
    assert(len > 0);
    outbox_commit(load, link, (size_t)len);
}

/* Writes a whole frame, masked with the key of the link. */
static size_t frame_write(char *frame, uint32_t index, unsigned opcode, struct span payload)
{
    struct ws_frame_head head = {
        .length = payload.len,
        .opcode = (uint8_t)opcode,
        .fin = true,
        .masked = true,
    };
    publish_key(index, head.key);
    size_t len = ws_frame_head_write(frame, &head);
    memcpy(frame + len, payload.ptr, payload.len);
    mask_apply(frame + len, payload.len, head.key);
    return len + payload.len;
}

void ws_send(struct load *load, struct subscriber *subscriber, unsigned opcode, struct span payload)
{
    struct link *link = link_of(load, subscriber);
    const struct protocol *protocol = link_protocol(load, link);
    char small[WS_FRAME_HEAD_MAX + WS_CONTROL_MAX];
    if (!protocol->send) {
        char *frame = outbox_reserve(load, link, WS_FRAME_HEAD_MAX + payload.len);
        outbox_commit(load, link, frame_write(frame, link_index(load, link), opcode, payload));
        return;
    }
    assert(payload.len <= WS_CONTROL_MAX);
    protocol->send(load, subscriber, small,
                   frame_write(small, link_index(load, link), opcode, payload));
}

void ws_echo(struct load *load, struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    uint32_t number = subscriber->place.expected ? subscriber->place.expected : 1;
    char payload[LOAD_ECHO_BYTES_MAX];
    payload_write(payload, group->config.payload_bytes, number, (uint64_t)engine_clock_ns(), false);
    ws_send(load, subscriber, WS_TEXT, span_of(payload, group->config.payload_bytes));
    subscriber->flags |= SUBSCRIBER_ASKED;
    group->echoes++;
    group->counters.published++;
}

/* ---- handshake ---- */

static void introduce(struct load *load, struct subscriber *subscriber)
{
    const struct load_protocol *protocol = &group_of(load, subscriber)->protocol;
    bool publishes = subscriber_publishes(load, subscriber);
    const struct load_message *messages = publishes ? protocol->greeting : protocol->subscribe;
    unsigned count = publishes ? protocol->greeting_count : protocol->subscribe_count;
    for (unsigned i = 0; i < count; i++)
        ws_send(load, subscriber, messages[i].binary ? WS_BINARY : WS_TEXT,
                span_of(messages[i].bytes, messages[i].len));
}

void ws_opened(struct load *load, struct subscriber *subscriber)
{
    const struct group *group = group_of(load, subscriber);
    introduce(load, subscriber);
    subscriber->flags |= SUBSCRIBER_ANSWERED;
    unsigned is = spoken(load, subscriber)->is;
    if (is & PROTOCOL_PUSHES)
        centrifuge_greet(load, subscriber);
    else if (!(is & PROTOCOL_JSON) || group->protocol.path)
        subscriber_is_up(load, subscriber);
}

/* Returns whether the connection goes on as a WebSocket, with what is left of the input. */
static bool handshake(struct load *load, struct subscriber *subscriber, struct span *input)
{
    char *bytes;
    struct half *half = half_begin(load, subscriber, &bytes);
    struct http_response response;
    int result = half_response(load, half, bytes, input, &response);
    /* The extension is looked at last, and is the one that was asked for. */
    bool deflates = spoken(load, subscriber)->is & PROTOCOL_DEFLATES;
    bool accepted = result == 1 && ws_handshake_answer_check(&response, handshake_key) ==
                                       (deflates ? WS_HANDSHAKE_EXTENSION : 0);
    half_end(load, subscriber, result != 0);
    if (result == 0)
        return false;
    if (accepted) {
        ws_opened(load, subscriber);
        return subscriber_open(subscriber);
    }
    if (result < 0) {
        subscriber_fail(load, subscriber, LOAD_FAIL_HTTP);
        return false;
    }
    const struct http_field *field = http_field_find(&response.fields, SPAN("Retry-After"));
    subscriber_hint_answer(subscriber, field ? field->value : (struct span){0}, *input);
    enum load_failure failure = status_failure(load, subscriber, response.status);
    subscriber_fail(load, subscriber, response.status == 101 ? LOAD_FAIL_WEBSOCKET : failure);
    return false;
}

/* ---- messages ---- */

static void echoed(struct load *load, struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    if (!(subscriber->flags & SUBSCRIBER_ASKED))
        return;
    subscriber->flags &= (uint8_t)~SUBSCRIBER_ASKED;
    group->echoes--;
    if (group->echoing)
        ws_echo(load, subscriber);
}

/* An envelope is whole: a message, or the first frame, which has only the position. */
static void envelope_end(struct load *load, struct subscriber *subscriber, struct half *half)
{
    if (half->lost && subscriber->position.epoch != 0)
        subscriber_unrecovered(load, subscriber);
    if (half->position.epoch != 0)
        subscriber->position = half->position;
    bool standing = half->messages == 0;
    half_json_end(half);
    if (!standing || subscriber->flags & SUBSCRIBER_UP)
        return;
    if (subscriber->position.epoch == 0)
        subscriber_fail(load, subscriber, LOAD_FAIL_JSON);
    else
        subscriber_is_up(load, subscriber);
}

/* One piece of a message of somebody else's, which may hold several payloads or none. */
static void embedded_piece(struct load *load, struct subscriber *subscriber, struct half *half,
                           struct span piece)
{
    uint32_t size = group_of(load, subscriber)->config.payload_bytes;
    while (payload_search_next(&half->search, &piece, size)) {
        subscriber_deliver(load, subscriber, &half->search.payload);
        subscriber->position.offset += subscriber->position.epoch != 0;
    }
}

/* What is packed is looked at when it is whole: where it lies, or what was kept of it so far. */
static void packed_event(struct load *load, struct subscriber *subscriber, struct half *half,
                         char *bytes, const struct ws_event *event)
{
    struct load_counters *counters = &group_of(load, subscriber)->counters;
    struct span message = {event->payload, event->payload_len};
    if (!event->first || !event->last) {
        if (message.len > load->stashes.bytes_size - half->held) {
            subscriber_fail(load, subscriber, LOAD_FAIL_EVENT_LONG);
            return;
        }
        memcpy(bytes + half->held, message.ptr, message.len);
        half->held += (uint32_t)message.len;
        message = span_of(bytes, half->held);
    }
    if (!event->last)
        return;
    half->held = 0;
    counters->framed_bytes += ws_frame_head_size(message.len) + message.len;
    packed_take(load, subscriber, message, event->deflated);
}

static void data_event(struct load *load, struct subscriber *subscriber, struct half *half,
                       const struct ws_event *event)
{
    struct group *group = group_of(load, subscriber);
    struct span piece = {event->payload, event->payload_len};
    bool publishes = subscriber_publishes(load, subscriber);
    const struct protocol *protocol = spoken(load, subscriber);
    bool envelope = protocol->is & PROTOCOL_JSON;
    bool pushes = protocol->is & PROTOCOL_PUSHES;
    bool embedded = (group->protocol.embedded || pushes) && !publishes;
    if (pushes)
        centrifuge_piece(half, piece);
    half->message_bytes += piece.len;
    if (envelope)
        half_json(load, subscriber, half, piece);
    else if (embedded)
        embedded_piece(load, subscriber, half, piece);
    else
        payload_take(&half->payload, piece);
    if (!event->last)
        return;
    if (!publishes)
        group->counters.framed_bytes +=
            ws_frame_head_size(half->message_bytes) + half->message_bytes;
    if (envelope)
        envelope_end(load, subscriber, half);
    else if (pushes)
        centrifuge_end(load, subscriber, half);
    else if (!embedded)
        subscriber_deliver(load, subscriber, &half->payload);
    half->message_bytes = 0;
    half->payload = (struct payload){0};
    half->search = (struct payload_search){0};
    if (protocol->is & PROTOCOL_ECHOES)
        echoed(load, subscriber);
}

static void handle_event(struct load *load, struct subscriber *subscriber, struct half *half,
                         char *bytes, const struct ws_event *event)
{
    struct load_counters *counters = &group_of(load, subscriber)->counters;
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        if (spoken(load, subscriber)->is & PROTOCOL_PACKED)
            packed_event(load, subscriber, half, bytes, event);
        else
            data_event(load, subscriber, half, event);
        break;
    case WS_EVENT_PING:
        ws_send(load, subscriber, WS_PONG, span_of(event->payload, event->payload_len));
        if (subscriber_publishes(load, subscriber))
            break;
        counters->pings++;
        counters->framed_bytes += ws_frame_head_size(event->payload_len) + event->payload_len;
        break;
    case WS_EVENT_PONG:
        break;
    case WS_EVENT_CLOSE:
        counters->close_code = event->close_code;
        subscriber_fail(load, subscriber, LOAD_FAIL_CLOSE_FRAME);
        break;
    case WS_EVENT_ERROR:
        subscriber_fail(load, subscriber, LOAD_FAIL_WEBSOCKET);
        break;
    }
}

void ws_frames(struct load *load, struct subscriber *subscriber, char *input, size_t len)
{
    const struct ws_rules rules = {.role = WS_CLIENT,
                                   .deflate = spoken(load, subscriber)->is & PROTOCOL_DEFLATES,
                                   .message_bytes_max = MESSAGE_BYTES_MAX};
    struct ws_input rest = {input, input + len};
    char *bytes;
    struct half *half = half_begin(load, subscriber, &bytes);
    struct ws_event event;
    do {
        ws_inbound_next(&half->inbound, &rules, &rest, &event);
        handle_event(load, subscriber, half, bytes, &event);
    } while (event.kind != WS_EVENT_NONE && subscriber_open(subscriber));
    half_end(load, subscriber, subscriber_open(subscriber) && ws_inbound_idle(&half->inbound));
}

void ws_input(struct load *load, struct link *link, char *bytes, size_t len)
{
    struct subscriber *subscriber = link_first(load, link);
    struct span input = {bytes, len};
    if (!(subscriber->flags & SUBSCRIBER_ANSWERED) && !handshake(load, subscriber, &input))
        return;
    if (input.len > 0)
        ws_frames(load, subscriber, bytes + len - input.len, input.len);
}

/* ---- rows ---- */

const struct protocol protocol_websocket = {
    .name = "websocket",
    .path = "/ws?channel=%s",
    .is = PROTOCOL_SENDS | PROTOCOL_STALLS,
    .resumes_as = &protocol_websocket_envelope,
    .ask = ws_request,
    .input = ws_input,
    .publish = publish_frame,
};

const struct protocol protocol_websocket_envelope = {
    .name = "websocket-envelope",
    .path = "/ws?envelope=1&channel=%s",
    .is = PROTOCOL_JSON | PROTOCOL_SENDS,
    .ask = ws_request,
    .input = ws_input,
};

const struct protocol protocol_websocket_deflate = {
    .name = "websocket-deflate",
    .path = "/ws?channel=%s",
    .fields = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
    .is = PROTOCOL_PACKED | PROTOCOL_DEFLATES | PROTOCOL_SENDS,
    .held_bytes = PACKED_EXTRA,
    .resumes_as = &protocol_websocket_envelope,
    .ask = ws_request,
    .input = ws_input,
};

const struct protocol protocol_websocket_delta = {
    .name = "websocket-delta",
    .path = "/ws?delta=fossil&channel=%s",
    .is = PROTOCOL_PACKED | PROTOCOL_JSON | PROTOCOL_SENDS,
    .held_bytes = PACKED_EXTRA,
    .ask = ws_request,
    .input = ws_input,
};

const struct protocol protocol_echo = {
    .path = "/echo",
    .is = PROTOCOL_ECHOES | PROTOCOL_SENDS,
    .ask = ws_request,
    .input = ws_input,
};
