/* emulation: what a client says whose stream only goes one way: POST /emulation with
 * {"session":…,"node":…,"data":…}.
 *
 *   shard of the request ── name proven ─► call ─► shard of the session: does the commands
 *                        ◄── 204, or 404 ─────────┘ replies leave by the session's own stream
 *
 *   In a cluster the request may come to any node: it goes to the session's (broker/nodes.h) as
 *   NAME and then its commands.
 *
 * Idea     A session's name is its client's id, which is an address, and a proof: an HMAC of it by
 *          a key of the process. The id is seen by others (presence); the proof only by its client.
 *          So no table is needed, and what is forged is refused before another shard hears of it.
 * Bounds   A body of message_bytes_max, in body_timeout_ms; SESSION_COMMANDS_MAX commands; one
 *          request at a time for each connection; those of calls. A session for which more than
 *          queue_bytes_max waits takes none: 429. */
#include <assert.h>
#include <bearssl.h>
#include <errno.h>
#include <stdlib.h>

#include "auth/jwt.h"
#include "broker/encoding.h"
#include "broker/nodes.h"
#include "http/body.h"
#include "hub/call.h"
#include "session/session_internal.h"
#include "wire/json_scan.h"

/* ---- names ---- */

static void hex_write(char *at, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *at++ = "0123456789abcdef"[bytes[i] >> 4];
        *at++ = "0123456789abcdef"[bytes[i] & 15];
    }
}

static void proof_write(const struct shard *shard, struct span id, char ret[SESSION_PROOF_LEN])
{
    br_hmac_key_context key;
    br_hmac_context hmac;
    unsigned char out[SESSION_PROOF_LEN / 2];
    br_hmac_key_init(&key, &br_sha256_vtable, shard->server->session_key, SESSION_KEY_BYTES);
    br_hmac_init(&hmac, &key, sizeof out);
    br_hmac_update(&hmac, id.ptr, id.len);
    br_hmac_out(&hmac, out);
    hex_write(ret, out, sizeof out);
}

void session_name_write(const struct shard *shard, const struct conn *conn,
                        char ret[SESSION_NAME_LEN])
{
    session_id_write(shard, conn, ret);
    proof_write(shard, span_of(ret, SESSION_ID_LEN), ret + SESSION_ID_LEN);
}

void session_node_write(const struct shard *shard, char ret[SESSION_NODE_LEN])
{
    unsigned char bytes[SESSION_NODE_LEN / 2];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(shard->server->node >> (56 - 8 * i));
    hex_write(ret, bytes, sizeof bytes);
}

static bool is_this_node(const struct shard *shard, struct span node)
{
    char own[SESSION_NODE_LEN];
    session_node_write(shard, own);
    return span_equal(node, span_of(own, sizeof own));
}

/* Whether this process has given the name. Then it is an id of its own making. */
static bool is_proven(const struct shard *shard, struct span name)
{
    char proof[SESSION_PROOF_LEN];
    if (name.len != SESSION_NAME_LEN)
        return false;
    proof_write(shard, span_of(name.ptr, SESSION_ID_LEN), proof);
    return jwt_same(name.ptr + SESSION_ID_LEN, proof, sizeof proof);
}

static uint32_t hex_read(const char *digits, unsigned count)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 4 | (uint32_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
    return value;
}

/* ---- on its way ---- */

struct errand {
    struct call call;
    struct nodes_heard *heard; /* another node has brought it */
    char id[SESSION_ID_LEN];
    size_t len;
    char commands[];
};

static void errand_drop(struct call *call)
{
    nodes_heard_free(((struct errand *)call)->heard);
    free(call);
}

/* The client's stream, or NULL when it has gone: others may have its slot. */
static struct conn *stream_of(struct shard *shard, const char id[SESSION_ID_LEN])
{
    char present[SESSION_ID_LEN];
    uint32_t slot = hex_read(id, 8);
    if (slot >= shard->slab_slots)
        return NULL;
    struct conn *conn = conn_at(shard, slot);
    if (conn->state != CONN_OPEN || !session_is_emulated(conn) || !(conn->role & ROLE_SESSION))
        return NULL;
    session_id_write(shard, conn, present);
    return memcmp(id, present, sizeof present) == 0 ? conn : NULL;
}

static void errand_run(void *target, struct call *call)
{
    struct shard *shard = target;
    struct errand *errand = (struct errand *)call;
    struct conn *conn = stream_of(shard, errand->id);
    if (!conn) {
        call->err = -ENOENT;
    } else if (session_owes_much(shard, conn)) {
        call->err = -EAGAIN;
    } else {
        conn->role &= ~(uint32_t)ROLE_PING_SENT;
        session_commands(shard, conn, span_of(errand->commands, errand->len));
    }
    hub_answer(shard->hub, call);
}

static enum refusal refusal_of(int err)
{
    switch (err) {
    case -EAGAIN:
        return REFUSAL_SESSION_BEHIND;
    case -ENOBUFS:
    case -ENOMEM:
        return REFUSAL_OVERLOADED;
    case -ENOTCONN:
    case -ETIMEDOUT:
        return REFUSAL_NODE_SILENT;
    default:
        return REFUSAL_NO_SESSION;
    }
}

static void respond(struct shard *shard, struct conn *conn, int err)
{
    if (err == 0)
        http_answer(shard, conn, 204, (struct span){0}, (struct span){0}, (struct span){0});
    else
        http_error(shard, conn, refusal_of(err));
    http_next(shard, conn);
}

static void errand_done(void *asker, struct call *call)
{
    struct shard *shard = asker;
    struct errand *errand = (struct errand *)call;
    if (errand->heard) {
        nodes_reply(shard->hub, errand->heard, call->err, (struct span){0});
        free(errand);
        return;
    }
    struct conn *conn = conn_of_ticket(shard, &call->ticket);
    if (conn)
        respond(shard, conn, call->err);
    free(errand);
}

static const struct call_ops errand_ops = {
    .run = errand_run, .done = errand_done, .drop = errand_drop};

/* For a session that this process has. The commands are to be written into it. */
static struct errand *errand_create(struct span name, size_t room)
{
    struct errand *errand = malloc(sizeof *errand + room);
    if (!errand)
        return NULL;
    *errand = (struct errand){.call.ops = &errand_ops};
    memcpy(errand->id, name.ptr, sizeof errand->id);
    return errand;
}

static int errand_send(struct shard *shard, struct errand *errand)
{
    return hub_call(shard->hub, hex_read(errand->id + 9, 4), &errand->call);
}

/* ---- a session of another node ---- */

static void node_told(void *context, struct nodes_ask *ask)
{
    struct shard *shard = context;
    struct conn *conn = conn_of_ticket(shard, &ask->call.ticket);
    if (conn)
        respond(shard, conn, ask->call.err);
    nodes_ask_free(ask);
}

static void ask_node(struct shard *shard, struct conn *conn, uint64_t node,
                     const struct centrifuge_emulation *request)
{
    size_t room = request->session.len + request->data.len;
    char *text = malloc(room);
    struct nodes_ask *ask = NULL;
    if (text) {
        memcpy(text, request->session.ptr, request->session.len);
        size_t len = json_string_decode(text + request->session.len, request->data);
        ask = nodes_ask_create(NODES_EMULATION, node, span_of(text, request->session.len + len));
    }
    free(text);
    if (ask) {
        ask->call.ticket = conn_ticket(shard, conn, 0);
        ask->done = node_told;
    }
    if (ask && nodes_send(shard->hub, shard->server->hubs, ask) == 0)
        return;
    nodes_ask_free(ask);
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

void emulation_heard(struct shard *shard, struct nodes_heard *heard)
{
    struct span text = {heard->text, heard->len};
    struct span name = span_of(text.ptr, text.len < SESSION_NAME_LEN ? 0 : SESSION_NAME_LEN);
    if (!is_proven(shard, name)) {
        nodes_reply(shard->hub, heard, -ENOENT, (struct span){0});
        return;
    }
    struct span commands = span_skip(text, name.len);
    struct errand *errand = errand_create(name, commands.len);
    int err = errand ? 0 : -ENOMEM;
    if (errand) {
        errand->len = commands.len;
        memcpy(errand->commands, commands.ptr, commands.len);
        errand->heard = heard;
        err = errand_send(shard, errand);
    }
    if (err == 0)
        return;
    free(errand);
    nodes_reply(shard->hub, heard, err, (struct span){0});
}

/* ---- the request ---- */

static void run(struct shard *shard, struct conn *conn, struct span body)
{
    struct centrifuge_emulation request;
    if (centrifuge_emulation_read(&request, body) < 0 || request.data.len == 0) {
        http_refuse(shard, conn, REFUSAL_BAD_EMULATION);
        return;
    }
    uint64_t node;
    bool is_here = is_this_node(shard, request.node);
    if (!is_here && shard->server->broker && request.session.len == SESSION_NAME_LEN &&
        request.node.len == SESSION_NODE_LEN && encoding_epoch(&node, request.node) == 0) {
        ask_node(shard, conn, node, &request);
        return;
    }
    if (!is_here || !is_proven(shard, request.session)) {
        respond(shard, conn, -ENOENT);
        return;
    }
    struct errand *errand = errand_create(request.session, request.data.len);
    if (errand) {
        errand->len = json_string_decode(errand->commands, request.data);
        errand->call.ticket = conn_ticket(shard, conn, 0);
    }
    if (errand && errand_send(shard, errand) == 0)
        return;
    free(errand);
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

static void emulation_body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    http_body_collect(shard, conn, piece, last, run);
}

/* The answer to a call always comes. */
static bool emulation_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return http_body_ended(conn);
}

/* What was asked may be done: then nothing is said. */
static void emulation_give_up(struct shard *shard, struct conn *conn)
{
    if (!http_body_ended(conn))
        http_give_up(shard, conn);
}

static void emulation_timer(struct shard *shard, struct conn *conn)
{
    if (!http_body_ended(conn))
        http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

static void emulation_drain(struct shard *shard, struct conn *conn)
{
    if (http_body_ended(conn))
        http_drain(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

void emulation_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    counter_add(&shard->counters.emulations, 1);
    conn_hand_over(conn, TRANSPORT_EMULATION);
    if (http_body_begin(shard, conn, exchange, (uint64_t)shard->settings->message_bytes_max) &&
        conn->transport == TRANSPORT_EMULATION)
        conn_timer(shard, conn, shard->settings->body_timeout_ms);
}

const struct transport emulation_transport = {
    .name = "emulation",
    .input = http_body_input,
    .body = emulation_body,
    .input_ended = emulation_input_ended,
    .give_up = emulation_give_up,
    .timer = emulation_timer,
    .drain = emulation_drain,
};
