/* From bytes to answers, events and frames. */
#include <assert.h>
#include <string.h>

#include "changes.h"
#include "secure_link.h"

enum {
    HEAD_MAX = 8192,
    WELL_S = 25, /* longer than two heartbeats, and than anybody is given to catch up */
};

/* ---- WebSocket ---- */

static bool websocket_event(struct client *client, const struct ws_event *event)
{
    struct span payload = {event->payload, event->payload_len};
    switch (event->kind) {
    case WS_EVENT_NONE:
        break;
    case WS_EVENT_DATA:
        bytes_add(&client->message, payload.ptr, payload.len);
        if (event->last && event->deflated)
            changes_inflate(client, &client->message);
        if (event->last) {
            if (client->role == ROLE_WS)
                told_frame(client, event->opcode == WS_TEXT);
            else if (client->role == ROLE_CENTRIFUGE)
                seat_told(client, bytes_left(&client->message));
            else if (client->role == ROLE_ECHO)
                told_echo(client, event->opcode == WS_TEXT);
            bytes_free(&client->message);
        }
        break;
    case WS_EVENT_PING:
        client_frame(client, WS_PONG, payload);
        break;
    case WS_EVENT_PONG:
        break;
    case WS_EVENT_CLOSE:
        client->close_code = event->close_code;
        if (client->role == ROLE_CENTRIFUGE)
            seat_closed(client, event->close_code);
        if (!client->close_seen)
            client_frame(client, WS_CLOSE, (struct span){0});
        client->close_seen = true;
        client->leaving = true;
        if (event->close_code == 4410) {
            sim_check(client->sim, client->resuming && !client->envelope, "4410 out of turn");
            client->reading[0].known = false;
            client->sim->stats.lost++;
        }
        break;
    case WS_EVENT_ERROR:
        sim_breach(client->sim, __FILE__, __LINE__, "client %u got a bad frame: %s", client->index,
                   ws_error_name(event->error));
    }
    return true;
}

static bool websocket_input(struct client *client, char *bytes, size_t len)
{
    const struct ws_rules rules = {
        .role = WS_CLIENT, .deflate = client->deflates, .message_bytes_max = 16 << 20};
    struct ws_input input = {bytes, bytes + len};
    struct ws_event event;
    sim_check(client->sim, client->close_code == 0 || len == 0,
              "client %u is told more behind the close frame", client->index);
    do {
        ws_inbound_next(&client->ws, &rules, &input, &event);
        websocket_event(client, &event);
    } while (event.kind != WS_EVENT_NONE && event.kind != WS_EVENT_CLOSE);
    sim_check(client->sim, input.at == input.end, "client %u is told more behind the close frame",
              client->index);
    return true;
}

/* ---- event streams ---- */

static void stream_input(struct client *client, struct span input)
{
    struct sse_event event;
    enum sse_result result;
    if (!client->held.ptr) {
        client->held.ptr = malloc(HELD_MAX);
        assert(client->held.ptr);
    }
    while ((result = sse_parser_next(&client->sse, &input, client->held.ptr, HELD_MAX, &event)) ==
           SSE_EVENT)
        told_event(client, &event);
    sim_check(client->sim, result == SSE_MORE, "client %u: an event is too long", client->index);
}

/* ---- answers ---- */

/* An answer is whole: the request at the front has been dealt with. Returns false to hang up. */
static bool answered(struct client *client)
{
    int status = client->answer.status;
    bool keep = client->answer.fields.keep_alive;
    if (client->role == ROLE_NUISANCE) {
        bytes_free(&client->message);
        return keep;
    }
    sim_check(client->sim, client->asked_count > 0 || status == 408 || status == 503,
              "client %u: answer %d to nothing", client->index, status);
    sim_check(client->sim,
              status == 200 || status == 408 || status == 413 || status == 503 ||
                  (status == 409 && told_ended(client)),
              "client %u, role %d: answer %d: %.*s", client->index, (int)client->role, status,
              (int)client->message.len, client->message.ptr);
    bool prompt =
        client->sim->calm && !client->sim->narrow && client->arrived_ns >= client->sim->calm_ns;
    sim_check(client->sim, status != 408 || !prompt, "client %u was prompt, and is told 408",
              client->index);
    uint64_t id = client->asked_count > 0 ? client->asked[0] : 0;
    if (client->asked_count > 0)
        memmove(client->asked, client->asked + 1, --client->asked_count * sizeof client->asked[0]);
    if (status != 200) {
        client->sim->stats.refused++;
        if (id)
            ledger_refuse(&client->sim->ledger, id);
    } else if (id) {
        told_publish(client, id);
    } else {
        told_answer(client);
    }
    bytes_free(&client->message);
    return keep;
}

/* A head has come whole. */
static void head_taken(struct client *client)
{
    const struct http_response *answer = &client->answer;
    if (answer->status == 100)
        return;
    if (answer->status == 101) {
        changes_agree(client, answer);
        if (client->role != ROLE_NUISANCE) {
            int err = ws_handshake_answer_check(answer, span_of(client->key, sizeof client->key));
            bool good = err == (client->offers ? WS_HANDSHAKE_EXTENSION : 0);
            sim_check(client->sim, good, "client %u: handshake %d", client->index, err);
        }
        client->state = CLIENT_WS;
        client->asked_count = 0;
        if (client->role == ROLE_CENTRIFUGE)
            seat_greet(client);
        return;
    }
    int err = http_response_body_init(&client->body, answer, HTTP_GET, UINT64_MAX);
    sim_check(client->sim, err == 0, "client %u: a body of %d", client->index, err);
    client->in_body = true;
    if (answer->status == 200 && client->role == ROLE_SSE)
        client->state = CLIENT_SSE;
}

/* Takes a head off the front. Returns 0 when it has not come whole. */
static size_t take_head(struct client *client, struct span input)
{
    int len = http_response_parse(&client->answer, input.ptr, input.len, 0, HEAD_MAX);
    sim_check(client->sim, len >= 0, "client %u: a bad head (%s): %.*s", client->index,
              http_error_name((enum http_error)len), (int)input.len, input.ptr);
    return (size_t)len;
}

/* Returns false to hang up. */
static bool take_body(struct client *client, struct span *input)
{
    struct span piece;
    int result;
    while ((result = http_body_next(&client->body, input, &piece)) == HTTP_BODY_DATA) {
        if (client->state == CLIENT_SSE)
            stream_input(client, piece);
        else
            bytes_add(&client->message, piece.ptr, piece.len);
    }
    sim_check(client->sim, result >= 0, "client %u: a bad body: %s", client->index,
              http_error_name((enum http_error)result));
    if (result != HTTP_BODY_END)
        return true;
    client->in_body = false;
    return client->state != CLIENT_SSE && answered(client);
}

bool client_input(struct client *client, char *bytes, size_t len)
{
    if (client->state == CLIENT_WS)
        return websocket_input(client, bytes, len);
    /* The head's fields point into these bytes, until the body has been read. */
    bytes_add(&client->in, bytes, len);
    for (;;) {
        struct span left = bytes_left(&client->in);
        if (client->in_body) {
            bool stay = take_body(client, &left);
            client->in.at = client->in.len - left.len;
            if (!stay)
                return false;
            if (client->in_body)
                break;
            continue;
        }
        size_t head = left.len > 0 ? take_head(client, left) : 0;
        if (head == 0)
            break;
        client->in.at += head;
        head_taken(client);
        if (client->state == CLIENT_WS) {
            left = bytes_left(&client->in);
            return websocket_input(client, client->in.ptr + client->in.at, left.len);
        }
    }
    if (client->in.at == client->in.len)
        bytes_free(&client->in);
    return true;
}

void client_input_end(struct client *client)
{
    struct sim *sim = client->sim;
    if (client->state == CLIENT_HTTP && client->in_body && http_body_finish(&client->body) == 0)
        answered(client);
    if (!sim->calm)
        return;
    /* Whoever stood still for longer than the server lingers finds no farewell, and neither does
     * one through whose pipe of some bytes it did not pass in that time. */
    bool awake = !sim->narrow && sim_now(sim) - sim->calm_ns > LINGER_MS * SIM_MS;
    sim_check(sim, !awake || !client->secure || client->secure->handshake || client->secure->told,
              "client %u, role %d: an end without close_notify", client->index, (int)client->role);
    /* Whoever has read and answered pings for a while is not cut off. */
    bool well = !sim->narrow && sim_now(sim) - sim->calm_ns > WELL_S * SIM_S;
    sim_check(sim, !well || client->state != CLIENT_WS || client->close_seen || sim->draining,
              "client %u was cut off", client->index);
    if (!sim->draining)
        return;
    sim_check(sim, client->state != CLIENT_WS || client->close_seen,
              "client %u: a drain without a close frame", client->index);
    sim_check(sim, client->state != CLIENT_SSE || http_body_finish(&client->body) == 0,
              "client %u: a drain without an end of the stream", client->index);
}
