/* client_h3: event streams, polls and sessions of WebTransport as streams of HTTP/3 connections
 * (RFC 9114), on the codecs of wire/http3.h and nghttp3's QPACK.
 *
 *   handshake ─► control stream, SETTINGS ─► HEADERS, for each subscriber a stream ─► FIN
 *   bytes ─► frames ─► head of an answer ─► DATA … ─► end of the stream
 *                      answered()           body()     ended()
 *
 * Memory   A request's bytes, until they are acknowledged. */
#include <stdlib.h>
#include <utlist.h>

#include "load/quic.h"

enum {
    FIELDS_MAX = 32,
    FLAG_BLOCKED = 0x04, /* of the decoder: it waits for a table, and there is none */
    /* subscriber.kept, above what an event stream keeps */
    KEPT_WAITS = 0x10, /* for the server to allow one more stream */
    KEPT_REFUSED = 0x20,
};

/* How a row's streams go on behind the head of their answer. */
struct speech {
    const struct protocol *protocol;
    void (*answered)(struct load *load, struct subscriber *subscriber);
    void (*body)(struct load *load, struct subscriber *subscriber, char *bytes, size_t len);
    /* The stream has ended as it should. */
    void (*ended)(struct load *load, struct subscriber *subscriber);
};

static const struct speech *speech_of(const struct quic *quic);

/* ---- streams ---- */

static struct http3_stream *stream_make(struct quic *quic, enum http3_kind kind)
{
    struct http3_stream *stream = calloc(1, sizeof *stream);
    assert(stream);
    stream->quic = quic;
    stream->kind = (uint8_t)kind;
    DL_APPEND(quic->streams, stream);
    return stream;
}

static void bytes_free(struct http3_stream *stream)
{
    if (!stream->is_constant)
        free((char *)(uintptr_t)stream->bytes);
    stream->bytes = NULL;
}

static void stream_free(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    if (stream->is_ready)
        LL_DELETE2(quic->ready, stream, next_ready);
    if (quic->session == stream)
        quic->session = NULL;
    DL_DELETE(quic->streams, stream);
    bytes_free(stream);
    free(stream->head);
    free(stream);
}

void http3_streams_free(struct quic *quic)
{
    while (quic->streams)
        stream_free(quic->streams);
}

void http3_ready(struct http3_stream *stream)
{
    struct quic *quic = stream->quic;
    bool has_more = stream->sent < stream->len || (stream->ends && !stream->end_sent);
    if (stream->is_ready || stream->is_blocked || !has_more)
        return;
    stream->is_ready = true;
    LL_APPEND2(quic->ready, stream, next_ready);
}

void http3_acked(struct http3_stream *stream, uint64_t offset)
{
    if (offset >= stream->len && stream->sent == stream->len)
        bytes_free(stream);
}

/* ---- asking ---- */

static nghttp3_nv field_of(struct span name, struct span value)
{
    return (nghttp3_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .valuelen = value.len,
    };
}

/* Adds fields as HTTP/1.1 has them. Their names are made lower case. Returns how many there are. */
static size_t fields_add(nghttp3_nv *fields, size_t count, char *text)
{
    char *end;
    for (; (end = strstr(text, "\r\n")); text = end + 2) {
        char *colon = memchr(text, ':', (size_t)(end - text));
        assert(colon && colon[1] == ' ' && count < FIELDS_MAX);
        for (char *at = text; at < colon; at++)
            *at = span_lower(*at);
        fields[count++] = field_of(span_of(text, (size_t)(colon - text)),
                                   span_of(colon + 2, (size_t)(end - colon - 2)));
    }
    return count;
}

/* The frame: its head, the prefix of the section, and the section. */
static void section_queue(struct http3_stream *stream, const nghttp3_nv *fields, size_t count)
{
    const nghttp3_mem *memory = nghttp3_mem_default();
    uint8_t frame[2 * VARINT_BYTES_MAX];
    nghttp3_buf prefix, section, table;
    nghttp3_buf_init(&prefix);
    nghttp3_buf_init(&section);
    nghttp3_buf_init(&table);
    int err = nghttp3_qpack_encoder_encode(stream->quic->load->quic->encoder, &prefix, &section,
                                           &table, stream->id, fields, count);
    assert(err == 0 && nghttp3_buf_len(&table) == 0);
    size_t prefix_len = nghttp3_buf_len(&prefix), section_len = nghttp3_buf_len(&section);
    size_t head_len = http3_frame_head(frame, HTTP3_HEADERS, prefix_len + section_len);
    char *bytes = malloc(head_len + prefix_len + section_len);
    assert(bytes);
    memcpy(bytes, frame, head_len);
    memcpy(bytes + head_len, prefix.pos, prefix_len);
    memcpy(bytes + head_len + prefix_len, section.pos, section_len);
    stream->bytes = bytes;
    stream->len = (uint32_t)(head_len + prefix_len + section_len);
    nghttp3_buf_free(&prefix, memory);
    nghttp3_buf_free(&section, memory);
    nghttp3_buf_free(&table, memory);
}

struct http3_stream *http3_stream_open(struct quic *quic, struct subscriber *subscriber)
{
    struct http3_stream *stream = stream_make(quic, HTTP3_STREAM_REQUEST);
    stream->subscriber = subscriber;
    if (ngtcp2_conn_open_bidi_stream(quic->conn, &stream->id, stream) == 0)
        return stream;
    subscriber->kept |= KEPT_WAITS;
    stream_free(stream);
    return NULL;
}

void http3_ask(struct http3_stream *stream, struct span target, const char *protocol)
{
    struct quic *quic = stream->quic;
    const struct group *group = link_group(quic->load, quic_link(quic));
    char texts[sizeof group->fields];
    nghttp3_nv fields[FIELDS_MAX];
    size_t count = 0;
    fields[count++] = field_of(SPAN(":method"), protocol ? SPAN("CONNECT") : SPAN("GET"));
    if (protocol)
        fields[count++] = field_of(SPAN(":protocol"), span_from(protocol));
    fields[count++] = field_of(SPAN(":scheme"), SPAN("https"));
    fields[count++] = field_of(SPAN(":authority"), span_from(group->host));
    fields[count++] = field_of(SPAN(":path"), target);
    memcpy(texts, group->fields, sizeof group->fields);
    section_queue(stream, fields, fields_add(fields, count, texts));
    stream->ends = !protocol;
    http3_ready(stream);
    quic_due(quic);
}

static void ask(struct load *load, struct subscriber *subscriber)
{
    struct quic *quic = quic_of(load, link_index(load, link_of(load, subscriber)));
    char target[LOAD_TARGET_MAX];
    struct http3_stream *stream = http3_stream_open(quic, subscriber);
    if (!stream)
        return;
    http3_ask(stream, poll_target(load, subscriber, target), NULL);
    if (speech_of(quic)->protocol->is & PROTOCOL_ASKS)
        poll_asked(load, subscriber);
}

void http3_more_streams(struct quic *quic)
{
    struct load *load = quic->load;
    struct subscriber *first = link_first(load, quic_link(quic));
    uint32_t count = link_streams(load, quic_link(quic));
    for (uint32_t i = 0; i < count && !quic->is_over; i++) {
        if (!(first[i].kept & KEPT_WAITS))
            continue;
        first[i].kept &= (uint8_t)~KEPT_WAITS;
        link_protocol(load, quic_link(quic))->ask(load, &first[i]);
    }
}

void http3_opened(struct quic *quic)
{
    static uint8_t preamble[HTTP3_PREAMBLE_BYTES_MAX];
    static size_t preamble_len;
    struct load *load = quic->load;
    struct link *link = quic_link(quic);
    struct http3_stream *control = stream_make(quic, HTTP3_STREAM_CONTROL);
    if (preamble_len == 0)
        preamble_len = http3_preamble_write(preamble, HTTP3_HEAD_MAX);
    if (ngtcp2_conn_open_uni_stream(quic->conn, &control->id, control) != 0) {
        link_fail(load, link, LOAD_FAIL_HTTP);
        return;
    }
    control->bytes = (const char *)preamble;
    control->len = (uint32_t)preamble_len;
    control->is_constant = true;
    http3_ready(control);
    link_group(load, link)->counters.tls_full++;
    link->phase = LINK_OPENING;
    link_opened(load, link);
}

/* ---- the head of an answer ---- */

/* Returns its status; 0: it has none, or is not QPACK. */
static int status_read(const nghttp3_qpack_nv *field)
{
    nghttp3_vec name = nghttp3_rcbuf_get_buf(field->name);
    nghttp3_vec value = nghttp3_rcbuf_get_buf(field->value);
    int status = 0;
    if (!span_equal(span_of((const char *)name.base, name.len), SPAN(":status")) || value.len != 3)
        return 0;
    for (size_t i = 0; i < value.len; i++)
        status = status * 10 + (value.base[i] - '0');
    return status;
}

static int head_decode(nghttp3_qpack_decoder *decoder, nghttp3_qpack_stream_context *context,
                       struct span left)
{
    uint8_t flags = 0;
    int status = 0;
    while (!(flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL)) {
        nghttp3_qpack_nv field;
        nghttp3_ssize taken = nghttp3_qpack_decoder_read_request(
            decoder, context, &field, &flags, (const uint8_t *)left.ptr, left.len, 1);
        if (taken < 0 || flags & FLAG_BLOCKED)
            return 0;
        left = span_skip(left, (size_t)taken);
        if (!(flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT))
            continue;
        status = status ? status : status_read(&field);
        nghttp3_rcbuf_decref(field.name);
        nghttp3_rcbuf_decref(field.value);
    }
    return status;
}

static void answered(struct http3_stream *stream, struct span head)
{
    struct quic *quic = stream->quic;
    struct load *load = quic->load;
    nghttp3_qpack_stream_context *context;
    int err = nghttp3_qpack_stream_context_new(&context, stream->id, nghttp3_mem_default());
    assert(err == 0);
    int status = head_decode(load->quic->decoder, context, head);
    nghttp3_qpack_stream_context_del(context);
    if (status > 0 && status < 200) /* the answer proper is still to come */
        return;
    if (status >= 200 && status < 300)
        speech_of(quic)->answered(load, stream->subscriber);
    else if (status == 0)
        subscriber_fail(load, stream->subscriber, LOAD_FAIL_HTTP);
    else if (status_failure(load, stream->subscriber, status) == LOAD_FAIL_STATUS)
        subscriber_fail(load, stream->subscriber, LOAD_FAIL_STATUS);
    else
        stream->subscriber->kept |= KEPT_REFUSED; /* its body says when to come back */
}

/* ---- what comes in ---- */

/* Who is told of what comes on it: nobody of a stream that has ended; of a session that all of a
 * link's subscribers share, the first. */
static struct subscriber *hearer(const struct http3_stream *stream)
{
    const struct subscriber *subscriber = stream->subscriber;
    bool hears = subscriber && (subscriber_open(subscriber) || stream == stream->quic->session);
    return hears && !stream->quic->is_over ? stream->subscriber : NULL;
}

bool http3_keep(struct http3_stream *stream, struct span piece)
{
    if (stream->head_len + piece.len > HTTP3_HEAD_MAX)
        return false;
    stream->head = realloc(stream->head, stream->head_len + piece.len + 1);
    assert(stream->head);
    memcpy(stream->head + stream->head_len, piece.ptr, piece.len);
    stream->head_len += (uint32_t)piece.len;
    return true;
}

/* HEADERS that come in pieces are put together. Returns false when they are too long. */
static bool head_take(struct http3_stream *stream, const struct http3_piece *piece)
{
    if (piece->begins && piece->ends) {
        answered(stream, piece->payload);
        return true;
    }
    if (!http3_keep(stream, piece->payload))
        return false;
    if (!piece->ends)
        return true;
    answered(stream, span_of(stream->head, stream->head_len));
    free(stream->head);
    stream->head = NULL;
    stream->head_len = 0;
    return true;
}

static void body_take(struct http3_stream *stream, struct span bytes)
{
    struct subscriber *subscriber = stream->subscriber;
    if (!(subscriber->kept & KEPT_REFUSED)) {
        speech_of(stream->quic)
            ->body(stream->quic->load, subscriber, (char *)(uintptr_t)bytes.ptr, bytes.len);
        return;
    }
    subscriber_hint_answer(subscriber, (struct span){0}, bytes);
    subscriber_fail(stream->quic->load, subscriber, LOAD_FAIL_SHED);
}

static bool request_input(struct http3_stream *stream, struct span bytes, bool ended)
{
    struct http3_piece piece;
    while (hearer(stream) && http3_frames_take(&stream->frames, &bytes, &piece)) {
        if (piece.type == HTTP3_HEADERS && !head_take(stream, &piece))
            return false;
        if (piece.type == HTTP3_DATA && piece.payload.len > 0 && hearer(stream))
            body_take(stream, piece.payload);
    }
    struct subscriber *subscriber = ended ? hearer(stream) : NULL;
    if (!subscriber)
        return true;
    stream->subscriber = NULL;
    if (subscriber->kept & KEPT_REFUSED)
        subscriber_fail(stream->quic->load, subscriber, LOAD_FAIL_SHED);
    else
        speech_of(stream->quic)->ended(stream->quic->load, subscriber);
    return true;
}

/* Once the settings are there, what may follow is a farewell: streams then end by themselves. */
static bool control_input(struct quic *quic, struct http3_stream *stream, struct span bytes)
{
    if (!quic->control)
        quic->control = calloc(1, sizeof *quic->control);
    assert(quic->control);
    if (http3_control_input(quic->control, bytes) != 0)
        return false;
    if (quic->control->has_settings) {
        free(quic->control);
        quic->control = NULL;
        stream->kind = HTTP3_STREAM_IGNORED;
    }
    return true;
}

/* What a server's stream says that it is. */
static enum http3_kind kind_of(uint64_t number)
{
    return number == HTTP3_KIND_CONTROL        ? HTTP3_STREAM_CONTROL
           : number == HTTP3_KIND_WEBTRANSPORT ? HTTP3_STREAM_SESSIONS
                                               : HTTP3_STREAM_IGNORED;
}

static bool one_way_input(struct quic *quic, struct http3_stream *stream, struct span bytes,
                          bool ended)
{
    uint64_t number;
    if (stream->kind == HTTP3_STREAM_UNKNOWN && http3_number_take(&stream->number, &bytes, &number))
        stream->kind = (uint8_t)kind_of(number);
    if (stream->kind == HTTP3_STREAM_SESSIONS &&
        http3_number_take(&stream->number, &bytes, &number)) {
        if (!quic->session || number != (uint64_t)quic->session->id)
            return false;
        stream->kind = HTTP3_STREAM_RAW;
    }
    if (stream->kind == HTTP3_STREAM_RAW)
        return webtransport_input(stream, bytes, ended);
    return stream->kind != HTTP3_STREAM_CONTROL || control_input(quic, stream, bytes);
}

bool http3_stream_data(struct quic *quic, struct http3_stream *stream, int64_t id,
                       struct span bytes, bool ended)
{
    if (!stream) {
        stream = stream_make(quic, HTTP3_STREAM_UNKNOWN);
        stream->id = id;
        ngtcp2_conn_set_stream_user_data(quic->conn, id, stream);
    }
    return stream->kind == HTTP3_STREAM_REQUEST ? request_input(stream, bytes, ended)
                                                : one_way_input(quic, stream, bytes, ended);
}

void http3_stream_closed(struct http3_stream *stream, uint64_t code)
{
    struct subscriber *subscriber = hearer(stream);
    struct load *load = stream->quic->load;
    stream_free(stream);
    if (subscriber)
        subscriber_fail(load, subscriber,
                        code == HTTP3_REQUEST_REJECTED ? LOAD_FAIL_SHED : LOAD_FAIL_RESET);
}

void http3_left(struct load *load, struct subscriber *subscriber)
{
    struct link *link = link_of(load, subscriber);
    struct quic *quic = quic_of(load, link_index(load, link));
    bool shares = link_group(load, link)->streams > 1;
    for (struct http3_stream *stream = quic->streams; stream; stream = stream->next)
        if (stream->subscriber == subscriber && !(shares && stream == quic->session)) {
            stream->subscriber = NULL;
            quic_shutdown_stream(quic->conn, stream->id, HTTP3_REQUEST_CANCELLED);
        }
    quic_due(quic);
}

/* ---- rows ---- */

const struct protocol protocol_h3_sse = {
    .name = "h3-sse",
    .path = "/sse?channel=%s",
    .fields = "Accept: " SSE_CONTENT_TYPE "\r\n",
    .is = PROTOCOL_STREAMS | PROTOCOL_QUIC,
    .held_bytes = STASH_EVENT_EXTRA,
    .ask = ask,
    .closed = quic_closed,
    .left = http3_left,
};

const struct protocol protocol_h3_poll = {
    .name = "h3-poll",
    .path = "/poll?channel=%s",
    .is = PROTOCOL_STREAMS | PROTOCOL_QUIC | PROTOCOL_ASKS | PROTOCOL_BY_CLOCK,
    .ask = ask,
    .closed = quic_closed,
    .left = http3_left,
};

static void end(struct load *load, struct subscriber *subscriber)
{
    subscriber_fail(load, subscriber, LOAD_FAIL_END);
}

/* The one that counts says why the session ends, as its streams have said. */
static void capsules(struct load *load, struct subscriber *subscriber, char *bytes, size_t len)
{
    (void)load, (void)subscriber, (void)bytes, (void)len;
}

static const struct speech speeches[] = {
    {&protocol_h3_sse, sse_opened, sse_stream, end},
    {&protocol_h3_poll, poll_begun, poll_piece, poll_over},
    {&protocol_webtransport, webtransport_answered, capsules, end},
    {&protocol_webtransport_envelope, webtransport_answered, capsules, end},
    {&protocol_webtransport_datagram, webtransport_answered, capsules, end},
};

static const struct speech *speech_of(const struct quic *quic)
{
    const struct protocol *protocol = link_protocol(quic->load, quic_link(quic));
    for (size_t i = 0; i < sizeof speeches / sizeof speeches[0]; i++)
        if (speeches[i].protocol == protocol)
            return &speeches[i];
    assert(!"a row of this file");
    return NULL;
}
