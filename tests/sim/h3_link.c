#include "h3_road.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
    FLAG_BLOCKED = 0x04, /* of the decoder: it waits for a table, and there is none */
};

/* ---- what comes ---- */

static int status_read(const nghttp3_qpack_nv *field)
{
    nghttp3_vec name = nghttp3_rcbuf_get_buf(field->name);
    nghttp3_vec value = nghttp3_rcbuf_get_buf(field->value);
    if (!span_equal(span_of((const char *)name.base, name.len), SPAN(":status")))
        return 0;
    assert(value.len == 3);
    return (int)strtol((const char *)value.base, NULL, 10);
}

static int status_decode(const struct h3_stream *stream)
{
    const struct h3_road *road = stream->road;
    struct span left = bytes_left(&stream->head);
    nghttp3_qpack_stream_context *context;
    uint8_t flags = 0;
    int status = 0;
    int err = nghttp3_qpack_stream_context_new(&context, stream->id, nghttp3_mem_default());
    assert(err == 0);
    while (!(flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL)) {
        nghttp3_qpack_nv field;
        nghttp3_ssize taken = nghttp3_qpack_decoder_read_request(
            road->decoder, context, &field, &flags, (const uint8_t *)left.ptr, left.len, 1);
        sim_check(road->sim, taken >= 0 && !(flags & FLAG_BLOCKED), "HTTP/3: QPACK %d", (int)taken);
        left = span_skip(left, (size_t)taken);
        if (!(flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT))
            continue;
        status = status ? status : status_read(&field);
        nghttp3_rcbuf_decref(field.name);
        nghttp3_rcbuf_decref(field.value);
    }
    nghttp3_qpack_stream_context_del(context);
    return status;
}

/* Whether an answer has a body shows by what follows: it is one in chunks. */
static void hear_head(struct h3_stream *stream)
{
    struct h3_link *link = stream->link;
    int status = status_decode(stream);
    sim_check(stream->road->sim, status >= 100, "HTTP/3: a head without a status");
    if (stream == link->session) {
        h3_session_answered(link, status);
        return;
    }
    link->way = status == 200 ? link->way : H3_PLAIN;
    link->has_answer = status >= 200;
    if (link->way == H3_TUNNEL)
        carried_open(&link->in, link->key);
    else
        carried_head(&link->in, status, false);
}

static void hear_end(struct h3_link *link)
{
    sim_check(link->client->sim, link->way == H3_TUNNEL || link->has_answer,
              "HTTP/3: an end, and no answer");
    if (link->way == H3_TUNNEL)
        link->closed = true;
    else
        carried_end(&link->in);
    link->stream->link = NULL;
    link->stream = NULL;
}

void h3_link_hear(struct h3_stream *stream, struct span bytes, bool ended)
{
    struct h3_link *link = stream->link;
    struct http3_piece piece;
    if (stream == link->stream)
        link->unread += bytes.len;
    if (stream->kind == H3_RAW) {
        h3_session_raw(stream, bytes, ended);
        return;
    }
    while (http3_frames_take(&stream->frames, &bytes, &piece)) {
        if (piece.type == HTTP3_HEADERS)
            bytes_add(&stream->head, piece.payload.ptr, piece.payload.len);
        if (piece.type == HTTP3_HEADERS && piece.ends) {
            hear_head(stream);
            bytes_free(&stream->head);
        }
        if (piece.type == HTTP3_DATA && stream == link->session)
            h3_session_capsules(link, piece.payload);
        else if (piece.type == HTTP3_DATA && link->way == H3_TUNNEL)
            bytes_add(&link->in, piece.payload.ptr, piece.payload.len);
        else if (piece.type == HTTP3_DATA)
            carried_piece(&link->in, piece.payload.ptr, piece.payload.len);
    }
    if (ended && stream == link->session)
        h3_session_ended(link);
    else if (ended)
        hear_end(link);
}

/* Without its end: the client sees its connection close. */
void h3_link_over(struct h3_link *link)
{
    link->stream = link->session = NULL;
    link->closed = true;
}

/* A session may end before the stream that it is there for. */
void h3_link_stream_over(const struct h3_stream *stream)
{
    struct h3_link *link = stream->link;
    link->closed |= stream == link->stream || (stream == link->session && !link->stream);
    if (stream == link->session)
        link->session = NULL;
    else if (stream == link->stream)
        link->stream = NULL;
}

/* ---- requests become streams ---- */

void h3_queue_head(struct h3_stream *stream, const struct carried_field *fields, size_t count)
{
    const nghttp3_mem *memory = nghttp3_mem_default();
    nghttp3_nv values[CARRIED_FIELDS_MAX];
    uint8_t frame[2 * VARINT_BYTES_MAX];
    nghttp3_buf prefix, section, table;
    for (size_t i = 0; i < count; i++)
        values[i] = (nghttp3_nv){
            .name = (uint8_t *)(uintptr_t)fields[i].name.ptr,
            .namelen = fields[i].name.len,
            .value = (uint8_t *)(uintptr_t)fields[i].value.ptr,
            .valuelen = fields[i].value.len,
        };
    nghttp3_buf_init(&prefix);
    nghttp3_buf_init(&section);
    nghttp3_buf_init(&table);
    int err = nghttp3_qpack_encoder_encode(stream->road->encoder, &prefix, &section, &table,
                                           stream->id, values, count);
    assert(err == 0 && nghttp3_buf_len(&table) == 0);
    h3_stream_queue(stream, frame,
                    http3_frame_head(frame, HTTP3_HEADERS,
                                     nghttp3_buf_len(&prefix) + nghttp3_buf_len(&section)));
    h3_stream_queue(stream, prefix.pos, nghttp3_buf_len(&prefix));
    h3_stream_queue(stream, section.pos, nghttp3_buf_len(&section));
    nghttp3_buf_free(&prefix, memory);
    nghttp3_buf_free(&section, memory);
    nghttp3_buf_free(&table, memory);
}

static void queue_data(struct h3_stream *stream, struct span bytes)
{
    uint8_t frame[2 * VARINT_BYTES_MAX];
    h3_stream_queue(stream, frame, http3_frame_head(frame, HTTP3_DATA, bytes.len));
    h3_stream_queue(stream, bytes.ptr, bytes.len);
}

static void queue_body(struct h3_link *link)
{
    struct sim *sim = link->client->sim;
    struct span left = bytes_left(&link->body);
    while (left.len > 0) {
        size_t part = sim_chance(sim, 300) ? 1 + sim_below(sim, left.len) : left.len;
        queue_data(link->stream, span_of(left.ptr, part));
        left = span_skip(left, part);
    }
    bytes_free(&link->body);
}

void h3_link_ask(struct h3_link *link)
{
    struct h3_road *road = link->road;
    struct carried_request asked;
    struct carried_field fields[CARRIED_FIELDS_MAX];
    if (!road->open || link->stream || link->closed || link->way != H3_PLAIN ||
        link->out.at == link->out.len)
        return;
    link->closed = road->leaves;
    if (link->closed || !carried_take(&link->out, &link->body, &asked))
        return;
    bool may_ask = !asked.key || road->control.has_settings;
    link->stream = may_ask ? h3_stream_open(road, true) : NULL;
    if (!link->stream) {
        bytes_free(&link->body);
        return;
    }
    link->stream->link = link;
    link->has_answer = false;
    link->unread = 0;
    if (asked.key)
        memcpy(link->key, asked.key->value.ptr, sizeof link->key);
    link->way = asked.key ? h3_session_way(link, &asked) : H3_PLAIN;
    if (link->way > H3_TUNNEL) {
        h3_session_ask(link, &asked);
    } else {
        h3_queue_head(link->stream, fields, carried_fields(&asked, SPAN("https"), fields));
        queue_body(link);
        link->stream->ends = link->way == H3_PLAIN;
    }
    link->client->sim->stats.streams++;
    link->out.at += asked.size;
    if (link->out.at == link->out.len)
        bytes_free(&link->out);
}

/* ---- the client's side ---- */

void h3_link_go(struct h3_link *link)
{
    if (link->road)
        h3_road_go(link->road);
}

struct h3_link *h3_link_open(struct client *client)
{
    struct h3_link *link = calloc(1, sizeof *link);
    assert(link);
    link->client = client;
    link->road = h3_road_find(client->sim);
    link->next = link->road->links;
    link->road->links = link;
    link->road->count++;
    return link;
}

ssize_t h3_link_write(struct h3_link *link, const char *bytes, size_t size)
{
    if (link->closed)
        return -EPIPE;
    if (link->way == H3_TUNNEL)
        queue_data(link->stream, span_of(bytes, size));
    else if (link->way != H3_PLAIN)
        h3_session_write(link, bytes, size);
    else
        bytes_add(&link->out, bytes, size);
    return (ssize_t)size;
}

/* Gives the window back for what the client has read. */
static void give_back(struct h3_link *link, size_t read)
{
    size_t part = link->in.at == link->in.len || read > link->unread ? link->unread : read;
    if (part > 0 && link->road && link->stream)
        ngtcp2_conn_extend_max_stream_offset(link->road->conn, link->stream->id, part);
    link->unread -= part;
}

ssize_t h3_link_read(struct h3_link *link, char *bytes, size_t size)
{
    struct span left = bytes_left(&link->in);
    if (left.len == 0)
        return link->closed ? 0 : -EAGAIN;
    size_t part = left.len < size ? left.len : size;
    memcpy(bytes, left.ptr, part);
    link->in.at += part;
    give_back(link, part);
    if (link->in.at == link->in.len)
        bytes_free(&link->in);
    return (ssize_t)part;
}

/* Gives it all back. A tunnel that is `ended` says so; anything else is reset. */
static void done(struct h3_link *link, bool ended)
{
    struct h3_stream *stream = link->road ? link->road->streams : NULL;
    for (; stream; stream = stream->next) {
        if (stream->link != link)
            continue;
        stream->link = NULL;
        if (ended && link->way != H3_PLAIN && stream->kind != H3_RAW)
            stream->ends = true;
        else
            h3_stream_reset(stream);
    }
    if (link->road)
        h3_road_leave(link);
    h3_session_free(link);
    bytes_free(&link->out);
    bytes_free(&link->body);
    bytes_free(&link->in);
    free(link);
}

void h3_link_reset(struct h3_link *link)
{
    done(link, false);
}

void h3_link_close(struct h3_link *link)
{
    done(link, sim_chance(link->client->sim, 500));
}
