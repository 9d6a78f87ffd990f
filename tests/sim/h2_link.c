#include "h2_road.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "carried.h"
#include "conn/carrier.h"

/* ---- what the library tells ---- */

static struct h2_link *link_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)flags, (void)user;
    struct h2_link *link = link_of(session, frame->hd.stream_id);
    if (link && span_equal(span_of((const char *)name, name_len), SPAN(":status"))) {
        assert(value_len == 3);
        link->status = (int)strtol((const char *)value, NULL, 10);
    }
    return 0;
}

/* A head, as HTTP/1.1 would have it. */
static void hear_head(struct h2_link *link, bool ends)
{
    link->has_answer = link->status >= 200;
    if (link->tunnel && link->status == 200) {
        carried_open(&link->in, link->key);
        return;
    }
    link->tunnel = false; /* it was refused */
    carried_head(&link->in, link->status, ends);
    link->has_answer &= !ends;
}

/* The stream is over for the client, which may ask for something else. */
static void stream_over(struct h2_link *link)
{
    nghttp2_session *session = link->road->session;
    nghttp2_session_set_stream_user_data(session, link->stream, NULL);
    link->stream = 0;
    bytes_free(&link->body);
}

static void hear_end(struct h2_link *link)
{
    if (link->tunnel)
        link->closed = true;
    else if (link->has_answer)
        carried_end(&link->in);
    stream_over(link);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_road *road = user;
    struct h2_link *link = link_of(session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    road->leaves |= frame->hd.type == NGHTTP2_GOAWAY;
    if (!link || frame->hd.type > NGHTTP2_HEADERS)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        hear_head(link, ends);
    if (ends)
        hear_end(link);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user)
{
    (void)flags, (void)user;
    struct h2_link *link = link_of(session, stream);
    if (!link) {
        nghttp2_session_consume(session, stream, len);
        return 0;
    }
    link->unread += len;
    if (link->tunnel)
        bytes_add(&link->in, data, len);
    else
        carried_piece(&link->in, data, len);
    return 0;
}

/* Without its end: the client sees its connection close. */
static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user)
{
    (void)code, (void)user;
    struct h2_link *link = link_of(session, stream);
    if (!link)
        return 0;
    link->closed = true;
    link->stream = 0;
    return 0;
}

/* A request that waited here until the server said that it takes no more. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int err,
                             void *user)
{
    (void)session, (void)err;
    struct h2_road *road = user;
    for (struct h2_link *link = road->links; link; link = link->next) {
        if (frame->hd.type != NGHTTP2_HEADERS || link->stream != frame->hd.stream_id)
            continue;
        link->closed = true;
        link->stream = 0;
    }
    return 0;
}

void h2_link_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
}

/* ---- requests become streams ---- */

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)source;
    struct h2_road *road = user;
    struct h2_link *link = link_of(session, stream);
    if (!link) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    struct bytes *from = link->tunnel ? &link->out : &link->body;
    struct span left = bytes_left(from);
    if (link->tunnel && left.len == 0)
        return NGHTTP2_ERR_DEFERRED;
    size_t part = left.len < size ? left.len : size;
    if (part > 1 && sim_chance(road->sim, 300))
        part = 1 + sim_below(road->sim, part);
    memcpy(buf, left.ptr, part);
    from->at += part;
    if (from->at == from->len && link->tunnel)
        bytes_free(from);
    else if (from->at == from->len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)part;
}

static nghttp2_nv field_of(struct span name, struct span value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr, (uint8_t *)(uintptr_t)value.ptr, name.len,
                        value.len, NGHTTP2_NV_FLAG_NONE};
}

static void submit(struct h2_link *link, const struct carried_request *asked)
{
    static const nghttp2_data_provider provider = {.read_callback = read_body};
    struct carried_field fields[CARRIED_FIELDS_MAX];
    nghttp2_nv values[CARRIED_FIELDS_MAX];
    size_t count = carried_fields(asked, SPAN("http"), fields);
    for (size_t i = 0; i < count; i++)
        values[i] = field_of(fields[i].name, fields[i].value);
    link->has_answer = link->wide = false;
    link->stream = nghttp2_submit_request(link->road->session, NULL, values, count,
                                          asked->has_body || link->tunnel ? &provider : NULL, link);
    link->client->sim->stats.streams++;
    if (link->stream < 0) {
        link->stream = 0;
        link->closed = true;
    }
}

/* Returns whether the server may be asked for a WebSocket. */
static bool take_key(struct h2_link *link, const struct http_field *key)
{
    if (!key)
        return true;
    if (!nghttp2_session_get_remote_settings(link->road->session,
                                             NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL))
        return false;
    memcpy(link->key, key->value.ptr, sizeof link->key);
    link->tunnel = true;
    return true;
}

void h2_link_ask(struct h2_link *link)
{
    struct carried_request asked;
    if (link->stream != 0 || link->closed || link->tunnel || link->out.at == link->out.len)
        return;
    link->closed = link->road->leaves;
    if (link->closed || !carried_take(&link->out, &link->body, &asked) ||
        !take_key(link, asked.key))
        return;
    submit(link, &asked);
    link->out.at += asked.size;
    if (link->out.at == link->out.len)
        bytes_free(&link->out);
}

void h2_link_go(struct h2_link *link)
{
    if (link->road)
        h2_road_go(link->road);
}

/* ---- the client's side ---- */

struct h2_link *h2_link_open(struct client *client, unsigned shard)
{
    struct h2_link *link = calloc(1, sizeof *link);
    assert(link);
    link->client = client;
    link->road = h2_road_find(client->sim, shard);
    link->next = link->road->links;
    link->road->links = link;
    link->road->count++;
    return link;
}

ssize_t h2_link_write(struct h2_link *link, const char *bytes, size_t size)
{
    if (link->closed)
        return -EPIPE;
    bytes_add(&link->out, bytes, size);
    if (link->tunnel && link->stream > 0)
        nghttp2_session_resume_data(link->road->session, link->stream);
    return (ssize_t)size;
}

/* A window that began as nothing is opened in time. */
static void widen(struct h2_link *link)
{
    struct sim *sim = link->client->sim;
    if (link->stream <= 0 || link->wide || !(sim->calm || sim_chance(sim, 50)))
        return;
    nghttp2_session *session = link->road->session;
    int32_t now = nghttp2_session_get_stream_local_window_size(session, link->stream);
    if (now < 0)
        return; /* it is not open yet */
    link->wide = sim->calm;
    nghttp2_submit_window_update(session, NGHTTP2_FLAG_NONE, link->stream,
                                 sim->calm ? H2_WINDOW_WIDE : 1 + (int32_t)sim_below(sim, 5000));
}

/* Gives windows back for what the client has read. */
static void give_back(struct h2_link *link, size_t read)
{
    size_t part = link->in.at == link->in.len || read > link->unread ? link->unread : read;
    if (part == 0 || !link->road)
        return;
    if (link->stream > 0)
        nghttp2_session_consume(link->road->session, link->stream, part);
    else
        nghttp2_session_consume_connection(link->road->session, part);
    link->unread -= part;
}

ssize_t h2_link_read(struct h2_link *link, char *bytes, size_t size)
{
    struct span left = bytes_left(&link->in);
    if (link->road)
        widen(link);
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

struct fake_client *h2_link_end(const struct h2_link *link)
{
    return link->road ? link->road->end : NULL;
}

/* Gives it all back. A tunnel that is `ended` says END_STREAM; anything else is reset. */
static void done(struct h2_link *link, bool ended)
{
    struct h2_road *road = link->road;
    if (road) {
        nghttp2_session_consume_connection(road->session, link->unread);
        if (link->stream > 0) {
            nghttp2_session_set_stream_user_data(road->session, link->stream, NULL);
            if (ended && link->tunnel)
                nghttp2_session_resume_data(road->session, link->stream);
            else
                nghttp2_submit_rst_stream(road->session, NGHTTP2_FLAG_NONE, link->stream,
                                          NGHTTP2_CANCEL);
        }
        h2_road_leave(link);
    }
    bytes_free(&link->out);
    bytes_free(&link->body);
    bytes_free(&link->in);
    free(link);
}

void h2_link_reset(struct h2_link *link)
{
    done(link, false);
}

void h2_link_close(struct h2_link *link)
{
    done(link, sim_chance(link->client->sim, 500));
}

/* ---- what the server has for it ---- */

static const struct conn *stream_of(const struct shard *shard, uint32_t socket, int32_t id)
{
    const struct streams *streams = &shard->streams;
    for (uint32_t i = 0; i < streams->high; i++) {
        const struct conn *stream = &shard->slab[streams->first + i];
        if (conn_alive(stream) && streams->links[i].carrier == socket && streams->links[i].id == id)
            return stream;
    }
    return NULL;
}

uint64_t h2_link_queued(const struct h2_link *link)
{
    const struct ring *ring;
    uint32_t slot;
    if (!link->road || !fake_client_slot(link->road->end, &ring, &slot))
        return 0;
    const struct shard *shard = link->client->sim->shards[link->road->shard];
    const struct conn *stream = stream_of(shard, slot, link->stream);
    return conn_queued(&shard->slab[slot]) + (stream ? conn_queued(stream) : 0);
}
