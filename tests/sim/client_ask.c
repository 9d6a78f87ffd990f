/* What clients ask for. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "changes.h"
#include "h2_link.h"
#include "h3_link.h"
#include "secure_link.h"
#include "wire/base64.h"
#include "wire/json_out.h"

enum {
    TARGET_MAX = 600,
};

void client_channel_name(unsigned channel, char ret[32])
{
    if (channel < SIM_CHANNELS_MAX)
        snprintf(ret, 32, "room/%u:a@b", channel);
    else
        snprintf(ret, 32, "tale/%u", channel - SIM_CHANNELS_MAX);
}

/* ---- requests ---- */

static void text(struct client *client, const char *line)
{
    bytes_add(&client->out, line, strlen(line));
}

static void asked(struct client *client, uint64_t id)
{
    assert(client->asked_count < ASKED_MAX);
    client->asked[client->asked_count++] = id;
}

static void request(struct client *client, const struct http_request_head *head)
{
    char buf[4096];
    int len = http_request_head_write(buf, sizeof buf, head);
    assert(len > 0);
    bytes_add(&client->out, buf, (size_t)len);
}

/* The same payload in one piece or in chunks. */
static void body(struct client *client, struct span payload, bool chunked)
{
    struct sim *sim = client->sim;
    while (chunked && payload.len > 0) {
        char head[HTTP_CHUNK_HEAD_MAX];
        size_t size = 1 + sim_below(sim, payload.len);
        bytes_add(&client->out, head, http_chunk_head_write(head, size));
        bytes_add(&client->out, payload.ptr, size);
        text(client, HTTP_CHUNK_TAIL);
        payload = span_skip(payload, size);
    }
    if (chunked)
        text(client, HTTP_CHUNK_LAST);
    else
        bytes_add(&client->out, payload.ptr, payload.len);
}

void client_ask_publish(struct client *client, unsigned channel)
{
    struct sim *sim = client->sim;
    static char payload[LEDGER_PAYLOAD_MAX];
    uint64_t id = ledger_new(&sim->ledger, channel);
    size_t len = ledger_payload(&sim->ledger, id, payload);
    char name[32], target[TARGET_MAX];
    client_channel_name(channel, name);
    bool delta = sim->changes && sim_chance(sim, 800);
    bool last = channel >= SIM_CHANNELS_MAX && sim_chance(sim, 200);
    sim->ledger.messages[id].last = last;
    sim->ledger.ends[channel] += last;
    snprintf(target, sizeof target, "/publish?channel=%s%s%s", name, delta ? "&delta=1" : "",
             last ? "&end=1" : "");
    bool chunked = sim_chance(sim, 300);
    request(client,
            &(struct http_request_head){
                .method = SPAN("POST"),
                .target = span_from(target),
                .host = SPAN("sim"),
                .framing = chunked ? HTTP_FRAMING_CHUNKED : HTTP_FRAMING_LENGTH,
                .content_length = len,
                .extra = sim_chance(sim, 100) ? SPAN("Expect: 100-continue\r\n") : (struct span){0},
            });
    body(client, span_of(payload, len), chunked);
    asked(client, id);
    sim->stats.published++;
}

static bool resumable(const struct client *client)
{
    for (unsigned i = 0; i < client->reading_count; i++)
        if (!client->reading[i].known)
            return false;
    return client->reading_count > 0;
}

/* A channel that ends. */
static unsigned tale(struct sim *sim)
{
    return SIM_CHANNELS_MAX + (unsigned)sim_below(sim, SIM_TALES);
}

/* Chooses channels anew. */
static void read_anew(struct client *client)
{
    struct sim *sim = client->sim;
    unsigned most = sim->channel_count < READING_MAX ? sim->channel_count : READING_MAX;
    unsigned first = (unsigned)sim_below(sim, sim->channel_count);
    if (sim->changes && sim_chance(sim, 250)) {
        client->reading_count = 1;
        client->reading[0] = (struct ledger_cursor){.channel = tale(sim)};
        return;
    }
    client->reading_count = sim_chance(sim, 650) ? 1 : 1 + (unsigned)sim_below(sim, most);
    for (unsigned i = 0; i < client->reading_count; i++)
        client->reading[i] = (struct ledger_cursor){.channel = (first + i) % sim->channel_count};
}

static void position_token(const struct client *client, char *ret)
{
    struct position positions[READING_MAX];
    for (unsigned i = 0; i < client->reading_count; i++)
        positions[i] = (struct position){client->reading[i].epoch, client->reading[i].offset};
    ret[position_write(ret, positions, client->reading_count)] = '\0';
}

/* path?channel=…&since=… of a reader; resumes where it stands, if it knows and wants to. */
static void reader_target(struct client *client, const char *path, bool since_in_target,
                          char *ret_target, char *ret_token)
{
    struct sim *sim = client->sim;
    int at = snprintf(ret_target, TARGET_MAX, "%s", path);
    for (unsigned i = 0; i < client->reading_count; i++) {
        char name[32];
        client_channel_name(client->reading[i].channel, name);
        at += snprintf(ret_target + at, (size_t)(TARGET_MAX - at), "%cchannel=%s", i ? '&' : '?',
                       name);
    }
    ret_token[0] = '\0';
    client->standing = client->jumped = client->close_seen = client->ended = false;
    client->resuming = resumable(client);
    if (client->resuming)
        position_token(client, ret_token);
    else if (sim_chance(sim, 300))
        snprintf(ret_token, 6, "start");
    client->latest = false;
    if (sim->changes && !ret_token[0] && sim_chance(sim, 400)) {
        snprintf(ret_token, 7, "latest");
        changes_ask_latest(client);
    }
    if (!client->resuming)
        for (unsigned i = 0; i < client->reading_count; i++)
            client->reading[i].known = false;
    if (since_in_target && ret_token[0])
        at += snprintf(ret_target + at, (size_t)(TARGET_MAX - at), "&since=%s", ret_token);
    if (client->envelope)
        at += snprintf(ret_target + at, (size_t)(TARGET_MAX - at), "&envelope=1");
    client->delta = sim->changes && client->envelope && sim_chance(sim, 600);
    if (client->delta)
        at += snprintf(ret_target + at, (size_t)(TARGET_MAX - at), "&delta=fossil");
    if (client->role == ROLE_LONGPOLL && sim_chance(sim, 300))
        snprintf(ret_target + at, (size_t)(TARGET_MAX - at), "&timeout=%" PRIu64,
                 sim_below(sim, 3));
}

static void ask_get(struct client *client, const char *path)
{
    struct sim *sim = client->sim;
    char target[TARGET_MAX], token[POSITION_TOKEN_MAX(READING_MAX) + 1];
    char field[sizeof token + 32] = "";
    bool in_field = client->role == ROLE_SSE && sim_chance(sim, 500);
    reader_target(client, path, !in_field, target, token);
    if (in_field && token[0])
        snprintf(field, sizeof field, "Last-Event-ID: %s\r\n", token);
    asked(client, 0);
    if (sim_chance(sim, 150)) {
        text(client, "GET ");
        text(client, target);
        text(client, " HTTP/1.0\r\nHost: sim\r\n");
        text(client, field);
        text(client, "\r\n");
        return;
    }
    request(client, &(struct http_request_head){.method = SPAN("GET"),
                                                .target = span_from(target),
                                                .host = SPAN("sim"),
                                                .close = sim_chance(sim, 100),
                                                .extra = span_from(field)});
}

static void ask_websocket(struct client *client)
{
    bool echo = client->role == ROLE_ECHO, session = client->role == ROLE_CENTRIFUGE;
    char target[TARGET_MAX], token[POSITION_TOKEN_MAX(READING_MAX) + 1], head[2048];
    uint64_t nonce[2] = {sim_random(client->sim), sim_random(client->sim)};
    client->envelope =
        !echo && !session && (client->reading_count > 1 || sim_chance(client->sim, 400));
    client->offers = client->sim->changes && !client_shares(client) && sim_chance(client->sim, 600);
    if (echo || session)
        snprintf(target, sizeof target, "%s", echo ? "/echo" : "/connection/websocket");
    else
        reader_target(client, "/ws", true, target, token);
    base64_encode(client->key, span_of((const char *)nonce, sizeof nonce));
    int len = ws_handshake_request_write(head, sizeof head, span_from(target), SPAN("sim"),
                                         span_of(client->key, sizeof client->key),
                                         client->offers ? SPAN(CHANGES_OFFER) : (struct span){0});
    assert(len > 0);
    bytes_add(&client->out, head, (size_t)len);
    asked(client, 0);
}

/* ---- nonsense ---- */

/* Begins with a byte that no request and no frame begins with, or it might mean something. */
static void noise(struct client *client, size_t len)
{
    bytes_add(&client->out, "\xff", 1);
    for (size_t i = 0; i < len; i++) {
        char byte = (char)sim_random(client->sim);
        bytes_add(&client->out, &byte, 1);
    }
}

/* Many at once, and no patience for the answers; half of those who do it read none. */
static void flood(struct client *client)
{
    static const char *const requests[] = {
        "GET /poll?channel=room/0:a@b HTTP/1.1\r\nHost: sim\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: sim\r\n\r\n",
        ("GET /longpoll?channel=room/0:a@b&channel=room/1:a@b&since=start&timeout=0 HTTP/1.1\r\n"
         "Host: sim\r\n\r\n"),
        "GET /healthz HTTP/1.1\r\nHost: sim\r\n\r\n",
    };
    struct sim *sim = client->sim;
    uint64_t kinds = 1 + sim_below(sim, sizeof requests / sizeof requests[0]);
    client->deaf = sim_chance(sim, 500);
    for (int i = 0; i < 300; i++)
        text(client, requests[sim_below(sim, kinds)]);
}

static void ask_nonsense(struct client *client)
{
    struct sim *sim = client->sim;
    static const char *const refused[] = {
        "BREW /poll?channel=a HTTP/1.1\r\nHost: sim\r\n\r\n",
        "POST /poll?channel=a HTTP/1.1\r\nHost: sim\r\nContent-Length: 1\r\n\r\nx",
        "POST /nowhere HTTP/1.1\r\nHost: sim\r\nContent-Length: 9000\r\n\r\nx",
        "POST /publish HTTP/1.1\r\nHost: sim\r\nContent-Length: 1\r\n\r\nx",
        "GET /poll?channel=a HTTP/1.1\r\nHost: sim\r\nContent-Length: 1\r\n\r\nx",
        "GET /ws?channel=a&channel=b HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    };
    switch (sim_below(sim, 10)) {
    case 0: /* nothing at all */
        break;
    case 1: /* a head that never ends */
        text(client, "GET /poll?channel=a HTTP/1.1\r\nHost: sim\r\n");
        break;
    case 2: /* a head that is too long */
        text(client, "GET /poll?channel=a HTTP/1.1\r\nHost: sim\r\nX: ");
        for (int i = 0; i < 10000; i++)
            text(client, "xxxxxxxxxx");
        break;
    case 3:
        noise(client, 1 + sim_below(sim, 3000));
        break;
    case 4:
        text(client, "GET /nowhere HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /poll HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "PUT /poll?channel=a HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /poll?channel=%zz HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /poll?channel=a&channel=a HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /poll?channel=a&since=1 HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /poll?channel=a%20b HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /longpoll?channel=a&timeout=x HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "OPTIONS /sse HTTP/1.1\r\nHost: sim\r\nOrigin: http://a.example\r\n\r\n"
                     "GET /healthz HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /metrics HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET / HTTP/1.1\r\nHost: sim\r\n\r\n"
                     "GET /ws?channel=a HTTP/1.1\r\nHost: sim\r\n\r\n");
        break;
    case 5: /* a body that never ends: nobody may see it */
        text(client, "POST /publish?channel=room/0:a@b HTTP/1.1\r\nHost: sim\r\n"
                     "Content-Length: 1000\r\n\r\nhalf of it");
        break;
    case 6: /* two readings of one body */
        text(client, "POST /publish?channel=room/0:a@b HTTP/1.1\r\nHost: sim\r\n"
                     "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc");
        break;
    case 7: /* a socket that speaks noise */
        text(client, "GET /ws?channel=room/0:a@b HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        noise(client, 1 + sim_below(sim, 300));
        break;
    case 8:
        text(client, refused[sim_below(sim, sizeof refused / sizeof refused[0])]);
        break;
    default:
        flood(client);
        break;
    }
}

/* ---- coming, and asking again ---- */

void client_ask(struct client *client)
{
    struct sim *sim = client->sim;
    switch (client->role) {
    case ROLE_PUBLISH:
        for (uint64_t n = 1 + sim_below(sim, ASKED_MAX); n > 0; n--)
            client_ask_publish(client, sim->changes && sim_chance(sim, 250)
                                           ? tale(sim)
                                           : (unsigned)sim_below(sim, sim->channel_count));
        break;
    case ROLE_POLL:
        ask_get(client, "/poll");
        break;
    case ROLE_LONGPOLL:
        ask_get(client, "/longpoll");
        break;
    case ROLE_SSE:
        ask_get(client, "/sse");
        break;
    case ROLE_WS:
    case ROLE_ECHO:
    case ROLE_CENTRIFUGE:
        ask_websocket(client);
        break;
    case ROLE_NUISANCE:
        ask_nonsense(client);
        break;
    }
}

/* What a proxy says of whom it speaks for, ahead of all else. */
static void introduce(struct client *client)
{
    char line[64];
    int len = snprintf(line, sizeof line, "PROXY TCP4 192.0.2.%u 203.0.113.9 %u 8080\r\n",
                       client->index % 256, 1024 + client->index);
    bytes_add(&client->out, line, (size_t)len);
}

void client_open_as(struct client *client, enum client_role role)
{
    struct sim *sim = client->sim;
    uint64_t shard = sim_below(sim, sim->server.shard_count);
    bool secure = sim->secure && sim_chance(sim, 500);
    bool quic = sim->quic && role != ROLE_NUISANCE && sim_chance(sim, 600);
    bool carried =
        sim->server.http2 && !secure && !quic && role != ROLE_NUISANCE && sim_chance(sim, 600);
    secure &= !quic;
    if (quic)
        client->h3 = h3_link_open(client);
    else if (carried)
        client->carried = h2_link_open(client, (unsigned)shard);
    else
        client->link = fake_client_open(sim->net, secure ? sim->secure_listeners[shard]
                                                         : sim->listeners[shard]);
    client->stray = secure && role == ROLE_NUISANCE && sim_chance(sim, 300);
    if (secure && !client->stray)
        client->secure = secure_link_open(sim, client->link, role == ROLE_NUISANCE);
    if (client->link && !secure && sim->settings.proxy_protocol)
        introduce(client);
    client->arrived_ns = sim_now(sim);
    client->stalled_until_ns = 0;
    client->role = role;
    client->state = CLIENT_HTTP;
    client->requests_left = 0;
    client->lossy = false;
    client->leaving = client->vanished = client->shut = client->deaf = false;
    client->in_body = client->envelope = client->close_seen = false;
    client->asked_count = client->published_count = 0;
    client->echoed = client->echoes;
    client->close_code = 0;
    client->sse = (struct sse_parser){0};
    client->ws = (struct ws_inbound){0};
    sim->stats.connections++;
}

void client_open(struct client *client)
{
    static const enum client_role roles[] = {
        ROLE_PUBLISH,  ROLE_PUBLISH, ROLE_PUBLISH, ROLE_POLL, ROLE_LONGPOLL,
        ROLE_LONGPOLL, ROLE_SSE,     ROLE_SSE,     ROLE_SSE,  ROLE_WS,
        ROLE_WS,       ROLE_WS,      ROLE_WS,      ROLE_ECHO, ROLE_NUISANCE,
    };
    struct sim *sim = client->sim;
    enum client_role role = roles[sim_below(sim, sizeof roles / sizeof roles[0])];
    if (sim->sessions && sim_chance(sim, 450))
        role = ROLE_CENTRIFUGE;
    bool enough = sim->stats.published >= sim->messages_max;
    client_open_as(client, role == ROLE_PUBLISH && enough ? ROLE_POLL : role);
    client->requests_left = (unsigned)sim_below(sim, 8);
    if (!resumable(client) || sim_chance(sim, 250))
        read_anew(client);
    client_ask(client);
}

/* ---- on an open WebSocket ---- */

static void frame_part(struct client *client, enum ws_opcode opcode, struct span payload, bool fin,
                       bool deflated)
{
    char head[WS_FRAME_HEAD_MAX];
    struct ws_frame_head frame = {.length = payload.len,
                                  .opcode = (uint8_t)opcode,
                                  .fin = fin,
                                  .masked = true,
                                  .deflated = deflated};
    uint64_t key = sim_random(client->sim);
    memcpy(frame.key, &key, sizeof frame.key);
    bytes_add(&client->out, head, ws_frame_head_write(head, &frame));
    size_t start = client->out.len;
    bytes_add(&client->out, payload.ptr, payload.len);
    for (size_t i = 0; i < payload.len; i++)
        client->out.ptr[start + i] ^= (char)frame.key[i % 4];
}

void client_frame(struct client *client, enum ws_opcode opcode, struct span payload)
{
    struct sim *sim = client->sim;
    struct span packed = opcode < WS_CLOSE ? changes_deflate(client, payload) : (struct span){0};
    bool deflated = packed.len > 0;
    if (deflated)
        payload = packed;
    while (opcode < WS_CLOSE && payload.len > 1 && sim_chance(sim, 200)) {
        size_t size = 1 + sim_below(sim, payload.len - 1);
        frame_part(client, opcode, span_of(payload.ptr, size), false, deflated);
        payload = span_skip(payload, size);
        opcode = WS_CONTINUATION;
        deflated = false;
        if (sim_chance(sim, 300))
            frame_part(client, WS_PING, SPAN("between"), true, false);
    }
    frame_part(client, opcode, payload, true, deflated);
}

/* A message for one of its own channels, as it is or in an envelope. */
static void chat_publish(struct client *client)
{
    static char payload[LEDGER_PAYLOAD_MAX], envelope[7 * LEDGER_PAYLOAD_MAX];
    struct sim *sim = client->sim;
    unsigned channel = client->reading[sim_below(sim, client->reading_count)].channel;
    if (client->envelope && client->published_count == ASKED_MAX)
        return;
    uint64_t id = ledger_new(&sim->ledger, channel);
    size_t len = ledger_payload(&sim->ledger, id, payload);
    bool binary = payload[0] == '\xff';
    sim->stats.published++;
    if (!client->envelope) {
        client_frame(client, binary ? WS_BINARY : WS_TEXT, span_of(payload, len));
        return;
    }
    char name[32];
    client_channel_name(channel, name);
    size_t at = (size_t)snprintf(envelope, sizeof envelope, "{\"channel\":\"%s\",\"data\":", name);
    if (binary) {
        envelope[at++] = '"';
        at += base64_encode(envelope + at, span_of(payload, len));
        at += (size_t)snprintf(envelope + at, 32, "\",\"base64\":true}");
    } else {
        at += json_string_write(envelope + at, span_of(payload, len));
        envelope[at++] = '}';
    }
    client->published[client->published_count++] = id;
    client_frame(client, WS_TEXT, span_of(envelope, at));
}

/* Any bytes will do, and come back as they were. */
static void chat_echo(struct client *client)
{
    static char payload[LEDGER_PAYLOAD_MAX];
    size_t len = ledger_bytes(&client->sim->ledger, client->echoes++, payload);
    client_frame(client, payload[0] == '\xff' ? WS_BINARY : WS_TEXT, span_of(payload, len));
}

void client_chat(struct client *client)
{
    struct sim *sim = client->sim;
    if (client->role == ROLE_CENTRIFUGE)
        seat_chat(client);
    if (sim->calm || client->role == ROLE_CENTRIFUGE)
        return;
    if (client->role == ROLE_ECHO) {
        if (sim_chance(sim, 100))
            chat_echo(client);
        return;
    }
    if (client->envelope && sim_chance(sim, 1))
        client_frame(client, WS_TEXT, SPAN("{\"channel\":\"elsewhere\",\"data\":\"x\"}"));
    if (sim_chance(sim, 10))
        client_frame(client, WS_PING, SPAN("are you there"));
    if (sim_chance(sim, 25) && sim->stats.published < sim->messages_max)
        chat_publish(client);
    if (sim_chance(sim, 4)) {
        client_frame(client, WS_CLOSE, (struct span){0});
        client->close_seen = true;
    }
    if (sim_chance(sim, 1)) {
        noise(client, 40);
        client->role = ROLE_NUISANCE;
    }
}
