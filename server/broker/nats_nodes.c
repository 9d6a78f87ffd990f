/* nats_nodes: what nodes ask each other, over NATS.
 *
 *   PREFIX.n.all         questions to all, and beats: B or L, and who
 *   PREFIX.n.NODE        questions to one, and answers to it; 16 hex digits
 *   PREFIX.s.!orders     the newest orders, in the stream; heard as PREFIX.r.!orders
 *   PREFIX.s.!t.NONCE    a ticket that was taken
 *
 * NATS does not say how many hear a message. So nodes beat, each second; one that is new is
 * answered with a beat at once, one that goes says so, and one that was silent for DEAD_MS is not
 * waited for. What is asked before a new node can have heard the others, waits. No channel has an
 * exclamation mark. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/encoding.h"
#include "broker/nats_answer.h"
#include "broker/nats_internal.h"

#define NS_PER_MS INT64_C(1000000)

enum {
    BEAT_MS = 1000,
    DEAD_MS = 3500,
    READY_MS = 300,
    BEAT_BYTES = 1 + NODES_NUMBER_BYTES,
    WHERE_MAX = NATS_PREFIX_MAX + 64,
};

/* ---- sending ---- */

static int send_to(struct nats *nats, const char *subject, const char *reply, struct span head,
                   struct span text, const char *header)
{
    natsMsg *message = NULL;
    if ((int64_t)(head.len + text.len) > nats->link.payload_max)
        return -E2BIG;
    char *body = malloc(head.len + text.len + 1);
    if (!body)
        return -ENOMEM;
    memcpy(body, head.ptr, head.len);
    if (text.len > 0)
        memcpy(body + head.len, text.ptr, text.len);
    natsStatus status = natsMsg_Create(&message, subject, reply, body, (int)(head.len + text.len));
    free(body);
    if (status == NATS_OK && header)
        status = natsMsgHeader_Set(message, header, "0");
    int err = status == NATS_OK ? nats_link_send(&nats->link, message) : -ENOMEM;
    natsMsg_Destroy(message);
    return err;
}

static void node_write(const struct nats *nats, char ret[WHERE_MAX], uint64_t node)
{
    snprintf(ret, WHERE_MAX, "%s.n.%016" PRIx64, nats->config.address.prefix, node);
}

static void beat(struct nats *nats, char letter)
{
    char subject[WHERE_MAX], bytes[BEAT_BYTES + 1];
    snprintf(subject, sizeof subject, "%s.n.all", nats->config.address.prefix);
    snprintf(bytes, sizeof bytes, "%c%016" PRIx64, letter, nats->nodes.desk.self);
    (void)send_to(nats, subject, NULL, span_of(bytes, BEAT_BYTES), (struct span){0}, NULL);
    nats->nodes.beat_ns = nats->now_ns + BEAT_MS * NS_PER_MS;
}

/* ---- who there is ---- */

static struct nats_peer *peer_of(struct nats *nats, uint64_t node)
{
    for (unsigned i = 0; i < nats->nodes.peers_count; i++)
        if (nats->nodes.peers[i].node == node)
            return &nats->nodes.peers[i];
    return NULL;
}

/* Those that are more than there is room for are not waited for: that is counted. */
static void peer_heard(struct nats *nats, uint64_t node)
{
    struct nats_nodes *nodes = &nats->nodes;
    struct nats_peer *peer = peer_of(nats, node);
    if (node == nodes->desk.self)
        return;
    if (!peer && nodes->peers_count == NATS_PEERS_MAX) {
        nats_count(&nats->counters.unheard);
        return;
    }
    if (!peer) {
        peer = &nodes->peers[nodes->peers_count++];
        *peer = (struct nats_peer){.node = node, .since_ns = nats->now_ns};
        beat(nats, 'B');
    }
    peer->heard_ns = nats->now_ns;
}

static void peer_gone(struct nats *nats, struct nats_peer *peer)
{
    *peer = nats->nodes.peers[--nats->nodes.peers_count];
}

static void peers_expire(struct nats *nats)
{
    for (unsigned i = nats->nodes.peers_count; i-- > 0;)
        if (nats->nodes.peers[i].heard_ns + DEAD_MS * NS_PER_MS <= nats->now_ns)
            peer_gone(nats, &nats->nodes.peers[i]);
}

/* ---- questions ---- */

static void answered(struct nats *nats, struct nodes_ask *ask)
{
    if (++ask->answered >= ask->expected)
        nodes_close(&nats->nodes.desk, ask, 0);
}

/* The first to store it has it. */
static int send_take(struct nats *nats, const struct nodes_ask *ask, const char *reply)
{
    char subject[WHERE_MAX];
    const char *space = memchr(ask->text, ' ', ask->len);
    size_t len = space ? (size_t)(space - ask->text) : 0;
    assert(space && len <= NODES_NUMBER_BYTES);
    snprintf(subject, sizeof subject, "%s.s.!t.%.*s", nats->config.address.prefix, (int)len,
             ask->text);
    return send_to(nats, subject, reply, SPAN("1"), (struct span){0},
                   "Nats-Expected-Last-Subject-Sequence");
}

static int send_question(struct nats *nats, struct nodes_ask *ask)
{
    char subject[WHERE_MAX], reply[NATS_REPLY_MAX], head[NODES_HEAD_BYTES];
    const struct nodes_said said = {
        .from = nats->nodes.desk.self, .id = ask->id, .kind = ask->kind};
    const struct span text = span_of(ask->text, ask->len);
    nodes_head_write(head, &said);
    snprintf(reply, sizeof reply, "%.63s.%016" PRIx64 ".n", nats->link.inbox, ask->id);
    ask->expected = ask->to != 0 ? 1 : nats->nodes.peers_count;
    if (ask->kind == NODES_TAKE) {
        ask->expected = 1;
        return send_take(nats, ask, reply);
    }
    if (nodes_is_order(ask->kind)) { /* JetStream answers, too */
        ask->expected = nats->nodes.peers_count + 1;
        snprintf(subject, sizeof subject, "%s.s.!orders", nats->config.address.prefix);
        return send_to(nats, subject, reply, span_of(head, sizeof head), text, NULL);
    }
    if (ask->to != 0 && !peer_of(nats, ask->to))
        return -ENOENT;
    if (ask->to != 0)
        node_write(nats, subject, ask->to);
    else
        snprintf(subject, sizeof subject, "%s.n.all", nats->config.address.prefix);
    return send_to(nats, subject, NULL, span_of(head, sizeof head), text, NULL);
}

static void ask_now(struct nats *nats, struct nodes_ask *ask)
{
    int err = send_question(nats, ask);
    if (err < 0 || ask->expected == 0)
        nodes_close(&nats->nodes.desk, ask, err);
}

void nats_question(struct nats *nats, struct nodes_ask *ask)
{
    int64_t until_ns = nats->now_ns + nats->config.address.timeout_ms * NS_PER_MS;
    int err = nats_link_up(&nats->link)
                  ? nodes_open(&nats->nodes.desk, ask, nats_random(nats), until_ns)
                  : -ENOTCONN;
    if (err < 0) {
        ask->call.err = err;
        helper_answer(nats->helper, &ask->call);
    } else if (nats->now_ns >= nats->nodes.ready_ns) {
        ask_now(nats, ask);
    }
}

/* One that this node did not know of when it asked has heard it, too. */
static void answer_come(struct nats *nats, const struct nodes_said *said)
{
    struct nodes_ask *ask = nodes_open_of(&nats->nodes.desk, said->id);
    const struct nats_peer *peer = peer_of(nats, said->from);
    if (!ask || ask->expected == UINT32_MAX || ask->kind == NODES_TAKE)
        return;
    int err = nodes_answer_add(ask, said->err, said->text);
    if (err < 0) {
        nodes_close(&nats->nodes.desk, ask, err);
        return;
    }
    int64_t asked_ns = ask->until_ns - nats->config.address.timeout_ms * NS_PER_MS;
    ask->expected += ask->to == 0 && (!peer || peer->since_ns > asked_ns);
    answered(nats, ask);
}

/* JetStream has kept it, or not. */
static void stored(struct nats *nats, struct nodes_ask *ask, struct span json)
{
    struct nats_answer answer;
    int err = nats_answer_read(&answer, json);
    if (err < 0)
        nats_count(&nats->counters.foreign);
    else
        free(answer.data);
    if (err == 0 && answer.code == 0)
        answered(nats, ask);
    else
        nodes_close(&nats->nodes.desk, ask,
                    err == 0 && ask->kind == NODES_TAKE && answer.err_code == NATS_WRONG_SEQUENCE
                        ? -EEXIST
                        : -ENOTCONN);
}

/* ---- what is heard ---- */

void nats_nodes_say(void *engine, const struct nodes_heard *heard)
{
    struct nats *nats = engine;
    char subject[WHERE_MAX], head[NODES_HEAD_BYTES];
    struct nodes_said said = {
        .is_answer = true, .from = nats->nodes.desk.self, .id = heard->id, .err = heard->call.err};
    if (!nats_link_up(&nats->link))
        return;
    node_write(nats, subject, heard->from);
    nodes_head_write(head, &said);
    if (send_to(nats, subject, NULL, span_of(head, sizeof head),
                span_of(heard->answer, heard->answer_len), NULL) != -E2BIG)
        return;
    said.err = -E2BIG;
    nodes_head_write(head, &said);
    (void)send_to(nats, subject, NULL, span_of(head, sizeof head), (struct span){0}, NULL);
}

static void hear(struct nats *nats, const struct nodes_said *said, bool old)
{
    if (nodes_hear(&nats->nodes.desk, said, old) < 0)
        nats_count(&nats->counters.unheard);
}

static struct span data_of(natsMsg *message)
{
    return span_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
}

static void said_come(struct nats *nats, struct span body)
{
    struct nodes_said said;
    uint64_t node;
    bool is_beat = body.len == BEAT_BYTES && (body.ptr[0] == 'B' || body.ptr[0] == 'L') &&
                   encoding_epoch(&node, span_skip(body, 1)) == 0;
    if (is_beat && body.ptr[0] == 'B') {
        peer_heard(nats, node);
    } else if (is_beat) {
        struct nats_peer *peer = peer_of(nats, node);
        if (peer)
            peer_gone(nats, peer);
    } else if (nodes_said_read(&said, body) < 0) {
        nats_count(&nats->counters.foreign);
    } else if (said.is_answer) {
        answer_come(nats, &said);
    } else if (said.from != nats->nodes.desk.self && !nodes_is_order(said.kind)) {
        peer_heard(nats, said.from);
        hear(nats, &said, false);
    }
}

/* ---- orders ---- */

/* Asks for the next that is kept behind what is known. */
static void orders_read_on(struct nats *nats)
{
    char api[NATS_PREFIX_MAX + 32], reply[NATS_REPLY_MAX], question[WHERE_MAX + 64];
    snprintf(api, sizeof api, "$JS.API.STREAM.MSG.GET.%s", nats->config.address.prefix);
    snprintf(reply, sizeof reply, "%.63s.%016d.o", nats->link.inbox, 0);
    snprintf(question, sizeof question, "{\"seq\":%" PRIu64 ",\"next_by_subj\":\"%s.s.!orders\"}",
             nats->nodes.orders_at + 1, nats->config.address.prefix);
    (void)send_to(nats, api, reply, span_from(question), (struct span){0}, NULL);
}

static void order_come(struct nats *nats, struct span body, bool old)
{
    struct nodes_said said;
    if (nodes_said_read(&said, body) < 0 || said.is_answer || !nodes_is_order(said.kind))
        nats_count(&nats->counters.foreign);
    else if (said.from != nats->nodes.desk.self &&
             (!old || said.kind == NODES_REVOKE || nats->nodes.orders_known))
        hear(nats, &said, old);
}

/* One that came before this node began is of interest as far as it still counts: sessions that it
 * could end are not there yet. That there is no other is said by one error alone: after any other,
 * and after silence, the next beat asks again, so the same one may come twice. */
static void old_order(struct nats *nats, struct span json)
{
    struct nats_nodes *nodes = &nats->nodes;
    struct nats_answer answer;
    if (nodes->orders_read || nats_answer_read(&answer, json) < 0)
        return;
    if (answer.code == 0 && answer.seq > nodes->orders_at) {
        order_come(nats, span_of(answer.data, answer.len), true);
        nodes->orders_at = answer.seq;
        orders_read_on(nats);
    } else if (answer.err_code == NATS_NOTHING_FOUND) {
        nodes->orders_read = nodes->orders_known = true;
    } else if (answer.code != 0) {
        nats_count(&nats->counters.errors);
    }
    free(answer.data);
}

static void new_order(struct nats *nats, natsMsg *message)
{
    const char *text = NULL;
    order_come(nats, data_of(message), false);
    if (nats->nodes.orders_read && natsMsgHeader_Get(message, "Nats-Sequence", &text) == NATS_OK &&
        text) {
        uint64_t seq = strtoull(text, NULL, 10);
        if (seq > nats->nodes.orders_at)
            nats->nodes.orders_at = seq;
    }
}

/* ---- what comes ---- */

static bool is_at(const char *subject, const char *prefix, const char *rest)
{
    size_t len = strlen(prefix);
    return strncmp(subject, prefix, len) == 0 && strcmp(subject + len, rest) == 0;
}

bool nats_nodes_come(struct nats *nats, natsMsg *message)
{
    const char *subject = natsMsg_GetSubject(message), *prefix = nats->config.address.prefix;
    size_t inbox = strlen(nats->link.inbox), len = strlen(subject), at = strlen(prefix);
    if (is_at(subject, prefix, ".r.!orders")) {
        new_order(nats, message);
        return true;
    }
    if (strncmp(subject, prefix, at) == 0 && strncmp(subject + at, ".n.", 3) == 0) {
        said_come(nats, data_of(message));
        return true;
    }
    bool is_ours = len == inbox + 1 + NODES_NUMBER_BYTES + 2 &&
                   memcmp(subject, nats->link.inbox, inbox) == 0 && subject[len - 2] == '.';
    if (!is_ours)
        return false;
    if (subject[len - 1] == 'o') {
        old_order(nats, data_of(message));
    } else if (subject[len - 1] == 'i') {
        nats_stream_come(nats, data_of(message));
    } else {
        struct nodes_ask *ask =
            nodes_open_of(&nats->nodes.desk, strtoull(subject + inbox + 1, NULL, 16));
        if (ask && ask->expected != UINT32_MAX &&
            (nodes_is_order(ask->kind) || ask->kind == NODES_TAKE))
            stored(nats, ask, data_of(message));
    }
    return true;
}

/* ---- the link ---- */

int nats_nodes_open(struct nats *nats)
{
    struct nats_nodes *nodes = &nats->nodes;
    const char *prefix = nats->config.address.prefix;
    char subjects[NATS_NODE_TOPICS][WHERE_MAX];
    snprintf(subjects[0], WHERE_MAX, "%s.n.all", prefix);
    node_write(nats, subjects[1], nodes->desk.self);
    snprintf(subjects[2], WHERE_MAX, "%s.r.!orders", prefix);
    int err = 0;
    for (unsigned i = 0; i < NATS_NODE_TOPICS && err == 0; i++)
        err = nats_link_listen(&nats->link, &nodes->topics[i], subjects[i]);
    nodes->peers_count = 0;
    nodes->orders_read = false;
    nodes->ready_ns = nats->now_ns + READY_MS * NS_PER_MS;
    beat(nats, 'B');
    nats_stream_ask(nats);
    orders_read_on(nats);
    return err;
}

void nats_nodes_lost(struct nats *nats)
{
    for (unsigned i = 0; i < NATS_NODE_TOPICS; i++) {
        natsSubscription_Destroy(nats->nodes.topics[i]);
        nats->nodes.topics[i] = NULL;
    }
    nodes_close_all(&nats->nodes.desk, -ETIMEDOUT);
}

void nats_nodes_leave(struct nats *nats)
{
    if (nats_link_up(&nats->link) && nats->nodes.topics[0])
        beat(nats, 'L');
}

void nats_nodes_turn(struct nats *nats)
{
    struct nats_nodes *nodes = &nats->nodes;
    if (nats->now_ns >= nodes->beat_ns) {
        beat(nats, 'B');
        nats_stream_ask(nats);
        if (!nodes->orders_read)
            orders_read_on(nats);
    }
    peers_expire(nats);
    nodes_close_old(&nodes->desk, nats->now_ns);
    for (unsigned i = 0; nodes->desk.open_count > 0 && i < NODES_OPEN_MAX; i++) {
        struct nodes_ask *ask = nodes->desk.open[i];
        if (ask && ask->expected == UINT32_MAX && nats->now_ns >= nodes->ready_ns)
            ask_now(nats, ask);
    }
}
