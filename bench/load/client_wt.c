/* client_wt: subscribers of sessions of WebTransport, on streams and by datagrams.
 *
 *   CONNECT /wt?channel=C ─► 200: it is up     a stream of the server's ─► frames of RFC 6455
 *                                              datagrams                ─► messages
 *   CONNECT /wt ─► 200 ─► a stream of ours for each subscriber, where a link has several:
 *                         /ws?channel=C LF ─► frames on it, or datagrams with its number
 *
 * Lost     A datagram that does not come, or comes behind a later one, is lost by design: the
 *          server's next has newer news. Who is behind knows that by its ledger.
 * Bounds   LOAD_DATAGRAMS_MAX subscribers by datagrams on a connection.
 * Source   docs/PROTOCOL.md, WebTransport. */
#include <stdio.h>
#include <stdlib.h>

#include "load/quic.h"

static const char session_path[] = "/wt";

static bool by_datagrams(const struct group *group)
{
    return group->config.transport->is & PROTOCOL_LOSSY;
}

/* ---- asking ---- */

static void session_ask(struct quic *quic, struct subscriber *subscriber, struct span target)
{
    quic->session = http3_stream_open(quic, subscriber);
    if (quic->session)
        http3_ask(quic->session, target, "webtransport");
    else
        link_fail(quic->load, quic_link(quic), LOAD_FAIL_SHED);
}

/* "/ws?channel=C", with the position of who had one, and its number where it wants datagrams. */
static size_t line_write(char line[2 * LOAD_TARGET_MAX], struct quic *quic,
                         const struct subscriber *subscriber)
{
    const struct group *group = group_of(quic->load, subscriber);
    char target[LOAD_TARGET_MAX], number[32] = "";
    const char *path = by_datagrams(group) ? group->join_path : group->path;
    struct span query =
        subscriber_target(quic->load, subscriber, path + sizeof session_path - 1, target);
    if (by_datagrams(group))
        snprintf(number, sizeof number, "&datagrams=%u",
                 (unsigned)(subscriber - link_first(quic->load, quic_link(quic))));
    int len = snprintf(line, (size_t)2 * LOAD_TARGET_MAX, "/ws%.*s%s\n", (int)query.len, query.ptr,
                       number);
    assert(len > 0 && len < 2 * LOAD_TARGET_MAX);
    return (size_t)len;
}

/* A stream of the session that says what it is for. */
static void stream_ask(struct quic *quic, struct subscriber *subscriber)
{
    struct http3_stream *stream = http3_stream_open(quic, subscriber);
    char line[2 * LOAD_TARGET_MAX];
    if (!stream)
        return;
    size_t len = line_write(line, quic, subscriber);
    uint8_t *bytes = malloc(2 * VARINT_BYTES_MAX + len);
    assert(bytes);
    size_t at = varint_write(bytes, HTTP3_WEBTRANSPORT_STREAM);
    at += varint_write(bytes + at, (uint64_t)quic->session->id);
    memcpy(bytes + at, line, len);
    stream->bytes = (const char *)bytes;
    stream->len = (uint32_t)(at + len);
    stream->kind = HTTP3_STREAM_RAW;
    http3_ready(stream);
    quic_due(quic);
    ws_opened(quic->load, subscriber);
}

static void ask(struct load *load, struct subscriber *subscriber)
{
    struct quic *quic = quic_of(load, link_index(load, link_of(load, subscriber)));
    const struct group *group = group_of(load, subscriber);
    char target[LOAD_TARGET_MAX];
    if (group->streams > 1)
        stream_ask(quic, subscriber);
    else
        session_ask(quic, subscriber, subscriber_target(load, subscriber, group->path, target));
}

static void opened(struct load *load, struct link *link)
{
    struct quic *quic = quic_of(load, link_index(load, link));
    if (link_group(load, link)->streams > 1)
        session_ask(quic, link_first(load, link), span_from(session_path));
    else
        link_ask_all(load, link);
}

void webtransport_answered(struct load *load, struct subscriber *subscriber)
{
    if (group_of(load, subscriber)->streams > 1)
        link_ask_all(load, link_of(load, subscriber));
    else
        ws_opened(load, subscriber);
}

/* ---- what comes in ---- */

/* A number, a sequence, and a message: in a datagram, or in a stream where it is too long for one.
 * The sequence is left alone: the message has its own number. */
static bool message_take(struct quic *quic, struct span bytes)
{
    struct load *load = quic->load;
    uint64_t sequence;
    if (bytes.len == 0 || (uint8_t)bytes.ptr[0] >= link_streams(load, quic_link(quic)))
        return false;
    struct subscriber *subscriber = link_first(load, quic_link(quic)) + (uint8_t)bytes.ptr[0];
    bytes = span_skip(bytes, 1);
    if (!varint_take(&bytes, &sequence))
        return false;
    struct payload payload = {0};
    payload_take(&payload, bytes);
    bool is_behind =
        payload.number != 0 &&
        sequence_of_number(group_of(load, subscriber), payload.number) < subscriber->place.expected;
    if (subscriber_open(subscriber) && !is_behind)
        subscriber_deliver(load, subscriber, &payload);
    return true;
}

void webtransport_datagram(struct quic *quic, struct span datagram)
{
    uint64_t quarter;
    if (quic->is_over)
        return;
    bool sound = varint_take(&datagram, &quarter) && quic->session &&
                 quarter == (uint64_t)quic->session->id / 4 && message_take(quic, datagram);
    if (!sound && !quic->is_over)
        link_fail(quic->load, quic_link(quic), LOAD_FAIL_HTTP);
}

bool webtransport_input(struct http3_stream *stream, struct span bytes, bool ended)
{
    struct quic *quic = stream->quic;
    struct load *load = quic->load;
    bool is_servers = stream->id & 1;
    if (is_servers && by_datagrams(link_group(load, quic_link(quic))))
        return http3_keep(stream, bytes) &&
               (!ended || message_take(quic, span_of(stream->head, stream->head_len)));
    struct subscriber *subscriber =
        is_servers ? link_first(load, quic_link(quic)) : stream->subscriber;
    if (bytes.len > 0 && subscriber && subscriber_open(subscriber))
        ws_frames(load, subscriber, (char *)(uintptr_t)bytes.ptr, bytes.len);
    if (ended && !quic->is_over && subscriber && subscriber_open(subscriber))
        subscriber_fail(load, subscriber, LOAD_FAIL_END);
    return true;
}

/* ---- rows ---- */

#define DRAFT "Sec-WebTransport-HTTP3-Draft02: 1\r\n"

const struct protocol protocol_webtransport_envelope = {
    .name = "webtransport-stream-envelope",
    .path = "/wt?envelope=1&channel=%s",
    .fields = DRAFT,
    .is = PROTOCOL_STREAMS | PROTOCOL_QUIC | PROTOCOL_JSON,
    .opened = opened,
    .ask = ask,
    .closed = quic_closed,
    .left = http3_left,
};

const struct protocol protocol_webtransport = {
    .name = "webtransport-stream",
    .path = "/wt?channel=%s",
    .fields = DRAFT,
    .is = PROTOCOL_STREAMS | PROTOCOL_QUIC,
    .resumes_as = &protocol_webtransport_envelope,
    .opened = opened,
    .ask = ask,
    .closed = quic_closed,
    .left = http3_left,
};

const struct protocol protocol_webtransport_datagram = {
    .name = "webtransport-datagram",
    .path = "/wt?datagrams=0&channel=%s",
    .join_path = "/wt?channel=%s",
    .fields = DRAFT,
    .is = PROTOCOL_STREAMS | PROTOCOL_QUIC | PROTOCOL_LOSSY,
    .resumes_as = &protocol_webtransport_envelope,
    .opened = opened,
    .ask = ask,
    .closed = quic_closed,
    .left = http3_left,
};
