/* h3_session: a client's WebSocket as WebTransport has it: to the client it is one. */
#include "h3_road.h"

#include <assert.h>
#include <string.h>

#include "wire/utf8.h"
#include "wire/webtransport.h"

enum {
    TARGET_MAX = 700,
    DATAGRAM_MAX = 1000, /* of a message that leaves as one */
    TEXT = 0x81,         /* the first byte of a frame of text that is whole */
};

static const char error[] = "{\"error\":";

/* ---- asking ---- */

enum h3_way h3_session_way(struct h3_link *link, const struct carried_request *asked)
{
    const struct client *client = link->client;
    struct sim *sim = client->sim;
    struct span target = asked->request.target;
    bool reads = client->role == ROLE_WS && target.len > 4 && memcmp(target.ptr, "/ws?", 4) == 0;
    bool own = reads || client->role == ROLE_ECHO;
    if (!own || sim_chance(sim, 400))
        return H3_TUNNEL;
    if (!reads || sim_chance(sim, 400))
        return H3_OWN_STREAM;
    bool one = !client->envelope && client->reading_count == 1;
    return one && sim_chance(sim, 600) ? H3_DATAGRAMS : H3_SESSION;
}

void h3_session_ask(struct h3_link *link, const struct carried_request *asked)
{
    struct sim *sim = link->client->sim;
    struct span target = asked->request.target;
    char path[TARGET_MAX] = "/wt";
    link->number = (uint8_t)sim_below(sim, WEBTRANSPORT_NUMBER_MAX + 1);
    link->client->lossy = link->way == H3_DATAGRAMS;
    bytes_free(&link->target); /* of one that was refused */
    if (link->way == H3_OWN_STREAM) {
        bytes_add(&link->target, target.ptr, target.len);
        bytes_add(&link->target, "\n", 1);
    } else {
        struct span query = span_skip(target, strlen("/ws"));
        int len = snprintf(path, sizeof path, "/wt%.*s", (int)query.len, query.ptr);
        assert(len > 0 && len + 32 < TARGET_MAX);
        if (link->way == H3_DATAGRAMS)
            snprintf(path + len, sizeof path - (size_t)len, "&datagrams=%u", link->number);
    }
    const struct carried_field fields[] = {
        {.name = SPAN(":method"), .value = SPAN("CONNECT")},
        {.name = SPAN(":scheme"), .value = SPAN("https")},
        {.name = SPAN(":authority"), .value = SPAN("sim")},
        {.name = SPAN(":path"), .value = span_from(path)},
        {.name = SPAN(":protocol"), .value = WEBTRANSPORT_PROTOCOL},
        {.name = SPAN("sec-webtransport-http3-draft02"), .value = SPAN("1")},
    };
    h3_queue_head(link->stream, fields, sizeof fields / sizeof fields[0]);
    link->session = link->stream;
    link->stream = NULL;
}

/* ---- the session ---- */

static void own_stream_open(struct h3_link *link)
{
    struct h3_stream *stream = h3_stream_open(link->road, true);
    uint8_t head[2 * VARINT_BYTES_MAX];
    if (!stream) {
        link->closed = true;
        return;
    }
    size_t len = varint_write(head, HTTP3_WEBTRANSPORT_STREAM);
    len += varint_write(head + len, (uint64_t)link->session->id);
    h3_stream_queue(stream, head, len);
    h3_stream_queue(stream, link->target.ptr, link->target.len);
    stream->kind = H3_RAW;
    stream->link = link;
    link->stream = stream;
}

/* What came before anybody knew that the session stands. */
static void hear_early(struct h3_link *link)
{
    for (struct h3_stream *stream = link->road->streams; stream; stream = stream->next) {
        struct bytes early = stream->head;
        if (stream->link != link || stream->kind != H3_RAW || (early.len == 0 && !stream->ended))
            continue;
        stream->head = (struct bytes){0};
        h3_session_raw(stream, bytes_left(&early), stream->ended);
        bytes_free(&early);
    }
}

void h3_session_answered(struct h3_link *link, int status)
{
    if (status < 200)
        return;
    if (status != 200) {
        link->stream = link->session;
        link->session = NULL;
        link->way = H3_PLAIN;
        link->has_answer = true;
        carried_head(&link->in, status, false);
        return;
    }
    link->is_open = true;
    link->client->sim->stats.sessions++;
    carried_open(&link->in, link->key);
    if (link->way == H3_OWN_STREAM)
        own_stream_open(link);
    hear_early(link);
}

/* A close frame, as the server of a WebSocket would have sent it. */
static void hear_close(struct h3_link *link, unsigned code)
{
    char frame[WS_CONTROL_FRAME_MAX];
    bytes_add(&link->in, frame, ws_close_write(frame, code, (struct span){0}, NULL));
    link->closed = true;
}

/* It says why; and where there is no stream that will, that is the end. */
void h3_session_capsules(struct h3_link *link, struct span bytes)
{
    enum capsule_found found = capsules_input(&link->capsules, bytes);
    sim_check(link->client->sim, found != CAPSULE_BAD, "WebTransport: a bad capsule");
    if (found == CAPSULE_CLOSED && !link->stream && !link->closed)
        hear_close(link, link->capsules.code == 0 ? WS_CLOSE_NORMAL : link->capsules.code);
}

void h3_session_ended(struct h3_link *link)
{
    link->closed |= !link->stream;
}

/* ---- what comes in it ---- */

struct h3_link *h3_session_find(const struct h3_road *road, uint64_t session)
{
    struct h3_link *link = road->links;
    while (link && !(link->session && (uint64_t)link->session->id == session))
        link = link->next;
    return link;
}

/* Returns whether the server's first frame is one; `ret_more`: that does not show yet. */
static bool is_refusal(struct span first, bool *ret_more)
{
    static const size_t len = sizeof error - 1;
    *ret_more = false;
    if (first.len == 0 || (uint8_t)first.ptr[0] != TEXT)
        return false;
    *ret_more = first.len < 2;
    if (*ret_more || (uint8_t)first.ptr[1] < len)
        return false;
    size_t head = first.ptr[1] < 126 ? 2 : first.ptr[1] == 126 ? 4 : 10;
    *ret_more = first.len < head + len;
    return !*ret_more && memcmp(first.ptr + head, error, len) == 0;
}

/* Of a stream of the client's a refusal is the first frame. */
static void hear_own(struct h3_link *link, struct span bytes, bool ended)
{
    bool more = false;
    if (link->is_judged) {
        bytes_add(&link->in, bytes.ptr, bytes.len);
        return;
    }
    bytes_add(&link->first, bytes.ptr, bytes.len);
    if (is_refusal(bytes_left(&link->first), &more)) {
        hear_close(link, WS_CLOSE_TRY_LATER);
        return;
    }
    if (more && !ended)
        return;
    link->is_judged = true;
    bytes_add(&link->in, link->first.ptr, link->first.len);
    bytes_free(&link->first);
}

/* A message with its sequence: one that a later one has overtaken is dropped. */
static void hear_message(struct h3_link *link, struct span bytes)
{
    struct sim *sim = link->client->sim;
    char head[WS_FRAME_HEAD_MAX];
    uint64_t sequence;
    bool sound = bytes.len > 0 && (uint8_t)bytes.ptr[0] == link->number;
    bytes = span_skip(bytes, sound);
    sim_check(sim, sound && varint_take(&bytes, &sequence), "WebTransport: a bad message");
    if (sequence < link->sequence || link->closed)
        return;
    link->sequence = sequence + 1;
    const struct ws_frame_head frame = {
        .length = bytes.len,
        .opcode = utf8_valid(bytes) ? WS_TEXT : WS_BINARY,
        .fin = true,
    };
    bytes_add(&link->in, head, ws_frame_head_write(head, &frame));
    bytes_add(&link->in, bytes.ptr, bytes.len);
}

void h3_session_raw(struct h3_stream *stream, struct span bytes, bool ended)
{
    struct h3_link *link = stream->link;
    if (!link->is_open || link->way == H3_DATAGRAMS) {
        bytes_add(&stream->head, bytes.ptr, bytes.len);
        stream->ended = ended;
        if (ended && link->is_open) {
            hear_message(link, bytes_left(&stream->head));
            stream->link = NULL;
        }
        return;
    }
    link->stream = stream;
    if (link->way == H3_OWN_STREAM)
        hear_own(link, bytes, ended);
    else
        bytes_add(&link->in, bytes.ptr, bytes.len);
    link->closed |= ended;
    if (link->closed) {
        stream->link = NULL;
        link->stream = NULL;
    }
}

void h3_session_datagram(struct h3_road *road, struct span bytes)
{
    uint64_t quarter;
    bool sound = varint_take(&bytes, &quarter);
    sim_check(road->sim, sound, "WebTransport: a bad datagram");
    struct h3_link *link = h3_session_find(road, 4 * quarter);
    road->sim->stats.datagrams++;
    if (link && link->is_open)
        hear_message(link, bytes);
}

/* ---- what the client sends ---- */

/* As a stream of its own, or as a datagram; whatever cannot leave so is lost. */
static void send_message(struct h3_link *link)
{
    struct span message = bytes_left(&link->message);
    uint8_t head[WEBTRANSPORT_HEAD_MAX];
    if (link->client->envelope || !link->session)
        return;
    if (link->way == H3_DATAGRAMS && message.len <= DATAGRAM_MAX && link->datagram.len == 0) {
        size_t len = varint_write(head, (uint64_t)link->session->id / 4);
        len += webtransport_number_write(head + len, link->number, link->sent++);
        bytes_add(&link->datagram, head, len);
        bytes_add(&link->datagram, message.ptr, message.len);
        return;
    }
    struct h3_stream *stream = h3_stream_open(link->road, false);
    if (!stream)
        return;
    size_t len = varint_write(head, HTTP3_KIND_WEBTRANSPORT);
    len += varint_write(head + len, (uint64_t)link->session->id);
    h3_stream_queue(stream, head, len);
    h3_stream_queue(stream, message.ptr, message.len);
    stream->ends = true;
}

/* Frames become what the way has for them. */
static void take_frames(struct h3_link *link, const char *bytes, size_t size)
{
    const struct ws_rules rules = {.role = WS_SERVER, .message_bytes_max = 16 << 20};
    struct bytes copy = {0};
    struct ws_event event;
    bytes_add(&copy, bytes, size);
    struct ws_input input = {copy.ptr, copy.ptr + copy.len};
    do {
        ws_inbound_next(&link->frames, &rules, &input, &event);
        if (event.kind == WS_EVENT_CLOSE && link->session)
            link->session->ends = true;
        if (event.kind != WS_EVENT_DATA)
            continue;
        bytes_add(&link->message, event.payload, event.payload_len);
        if (!event.last)
            continue;
        send_message(link);
        bytes_free(&link->message);
    } while (event.kind != WS_EVENT_NONE && event.kind != WS_EVENT_CLOSE &&
             event.kind != WS_EVENT_ERROR);
    bytes_free(&copy);
}

void h3_session_write(struct h3_link *link, const char *bytes, size_t size)
{
    if (link->way != H3_OWN_STREAM)
        take_frames(link, bytes, size);
    else if (link->stream)
        h3_stream_queue(link->stream, bytes, size);
}

void h3_session_free(struct h3_link *link)
{
    bytes_free(&link->target);
    bytes_free(&link->first);
    bytes_free(&link->message);
    bytes_free(&link->datagram);
}
