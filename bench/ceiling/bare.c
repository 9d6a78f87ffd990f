#include "ceiling/bare.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/http.h"

int bare_init(struct bare *bare, uint32_t capacity)
{
    *bare = (struct bare){
        .peers = calloc(capacity, sizeof *bare->peers),
        .receivers = calloc(capacity, sizeof *bare->receivers),
        .capacity = capacity,
    };
    if (bare->peers && bare->receivers)
        return 0;
    bare_done(bare);
    return -ENOMEM;
}

void bare_done(struct bare *bare)
{
    for (uint32_t i = 0; bare->peers && i < bare->capacity; i++)
        free(bare->peers[i].session);
    free(bare->peers);
    free(bare->receivers);
    free(bare->outbox.bytes);
    free(bare->message);
}

/* ---- who receives ---- */

static void receiver_add(struct bare *bare, uint32_t peer)
{
    bare->peers[peer].place = bare->receiver_count;
    bare->receivers[bare->receiver_count++] = peer;
}

static void receiver_remove(struct bare *bare, uint32_t peer)
{
    uint32_t last = bare->receivers[--bare->receiver_count];
    bare->receivers[bare->peers[peer].place] = last;
    bare->peers[last].place = bare->peers[peer].place;
}

void bare_peer_open(struct bare *bare, uint32_t peer)
{
    assert(peer < bare->capacity && bare->peers[peer].state == BARE_FREE);
    bare->peers[peer].state = BARE_HEAD;
}

void bare_peer_close(struct bare *bare, uint32_t peer)
{
    if (bare->peers[peer].state == BARE_SUBSCRIBER)
        receiver_remove(bare, peer);
    free(bare->peers[peer].session);
    bare->peers[peer] = (struct bare_peer){.state = BARE_FREE};
}

/* ---- buffers ---- */

static char *grow(char *bytes, size_t *size, size_t needed)
{
    if (needed <= *size)
        return bytes;
    size_t bigger = *size ? *size : BARE_READ_BYTES;
    while (bigger < needed)
        bigger *= 2;
    bytes = realloc(bytes, bigger);
    assert(bytes);
    *size = bigger;
    return bytes;
}

static void outbox_add(struct bare_outbox *outbox, enum ws_opcode opcode, struct span payload)
{
    const struct ws_frame_head head = {
        .length = payload.len, .opcode = (uint8_t)opcode, .fin = true};
    outbox->bytes =
        grow(outbox->bytes, &outbox->size, outbox->len + WS_FRAME_HEAD_MAX + payload.len);
    outbox->len += ws_frame_head_write(outbox->bytes + outbox->len, &head);
    if (payload.len > 0)
        memcpy(outbox->bytes + outbox->len, payload.ptr, payload.len);
    outbox->len += payload.len;
    assert(outbox->count < BARE_FRAMES_MAX);
    outbox->ends[outbox->count++] = outbox->len;
}

/* There is one publisher, so one message in pieces is enough. */
static void publish(struct bare *bare, const struct ws_event *event)
{
    if (event->first && event->last) {
        outbox_add(&bare->outbox, event->opcode, span_of(event->payload, event->payload_len));
        return;
    }
    if (event->first)
        bare->message_len = 0;
    bare->message =
        grow(bare->message, &bare->message_size, bare->message_len + event->payload_len + 1);
    memcpy(bare->message + bare->message_len, event->payload, event->payload_len);
    bare->message_len += event->payload_len;
    if (event->last)
        outbox_add(&bare->outbox, event->opcode, span_of(bare->message, bare->message_len));
}

/* ---- input ---- */

static struct bare_session *session_of(struct bare_peer *peer)
{
    if (!peer->session) {
        peer->session = calloc(1, sizeof *peer->session);
        assert(peer->session);
    }
    return peer->session;
}

static void reply_add(struct bare_reply *reply, const char *bytes, size_t len)
{
    if (len > sizeof reply->bytes - reply->len) {
        reply->close = true;
        return;
    }
    memcpy(reply->bytes + reply->len, bytes, len);
    reply->len += len;
}

static void reply_control(struct bare_reply *reply, const struct ws_event *event)
{
    char frame[WS_CONTROL_FRAME_MAX];
    size_t len = 0;
    if (event->kind == WS_EVENT_PING)
        len = ws_control_write(frame, WS_PONG, span_of(event->payload, event->payload_len), NULL);
    else if (event->kind == WS_EVENT_CLOSE)
        len = ws_close_write(frame, WS_CLOSE_NORMAL, SPAN(""), NULL);
    else
        len = ws_close_write(frame, ws_error_close_code(event->error), SPAN(""), NULL);
    reply_add(reply, frame, len);
    reply->close = event->kind != WS_EVENT_PING;
}

static void take_frames(struct bare *bare, uint32_t index, char *bytes, size_t len,
                        struct bare_reply *reply)
{
    static const struct ws_rules rules = {.role = WS_SERVER, .message_bytes_max = BARE_MESSAGE_MAX};
    struct bare_peer *peer = &bare->peers[index];
    struct ws_inbound fresh = {0};
    struct ws_inbound *inbound = peer->session ? &peer->session->inbound : &fresh;
    struct ws_input input = {bytes, bytes + len};
    struct ws_event event;

    for (ws_inbound_next(inbound, &rules, &input, &event); event.kind != WS_EVENT_NONE;
         ws_inbound_next(inbound, &rules, &input, &event)) {
        if (event.kind == WS_EVENT_DATA) {
            if (peer->state == BARE_SUBSCRIBER)
                receiver_remove(bare, index);
            peer->state = BARE_PUBLISHER;
            publish(bare, &event);
        } else if (event.kind != WS_EVENT_PONG) {
            reply_control(reply, &event);
        }
        if (reply->close)
            return;
    }
    if (inbound == &fresh && !ws_inbound_idle(inbound))
        session_of(peer)->inbound = fresh;
    else if (inbound != &fresh && ws_inbound_idle(inbound)) {
        free(peer->session);
        peer->session = NULL;
    }
}

/* Anything but a handshake is somebody asking whether we are there. */
static void answer_head(struct bare *bare, uint32_t index, const struct http_request *request,
                        struct bare_reply *reply)
{
    static const char alive[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    struct span key;
    if (ws_handshake_check(request, &key) < 0) {
        reply_add(reply, alive, sizeof alive - 1);
        reply->close = true;
        return;
    }
    int len = ws_handshake_answer_write(reply->bytes, sizeof reply->bytes, key, SPAN(""));
    assert(len > 0);
    reply->len = (size_t)len;
    bare->peers[index].state = BARE_SUBSCRIBER;
    receiver_add(bare, index);
}

static void take_head(struct bare *bare, uint32_t index, char *bytes, size_t len,
                      struct bare_reply *reply)
{
    struct bare_peer *peer = &bare->peers[index];
    struct http_request request;
    size_t had = 0;

    if (peer->session) {
        struct bare_session *session = peer->session;
        had = session->head_len;
        if (len > sizeof session->head - had) {
            reply->close = true;
            return;
        }
        memcpy(session->head + had, bytes, len);
        bytes = session->head;
        len += had;
        session->head_len = len;
    }
    int used = http_request_parse(&request, bytes, len, had, BARE_HEAD_MAX);
    if (used < 0 || (used == 0 && len > BARE_HEAD_MAX)) {
        reply->close = true;
    } else if (used == 0 && !peer->session) {
        struct bare_session *session = session_of(peer);
        memcpy(session->head, bytes, len);
        session->head_len = len;
    } else if (used > 0) {
        struct bare_session *session = peer->session;
        peer->session = NULL;
        answer_head(bare, index, &request, reply);
        if (!reply->close && len > (size_t)used)
            take_frames(bare, index, bytes + used, len - (size_t)used, reply);
        free(session);
    }
}

void bare_input(struct bare *bare, uint32_t peer, char *bytes, size_t len, struct bare_reply *reply)
{
    assert(peer < bare->capacity && bare->peers[peer].state != BARE_FREE);
    reply->len = 0;
    reply->close = false;
    if (bare->peers[peer].state == BARE_HEAD)
        take_head(bare, peer, bytes, len, reply);
    else
        take_frames(bare, peer, bytes, len, reply);
}
