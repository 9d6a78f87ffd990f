#include "conn/carrier.h"

#include <assert.h>
#include <errno.h>
#include <utlist.h>

#include "conn/log.h"
#include "conn/shard.h"
#include "core/pages.h"
#include "hub/hub.h"

#define STREAM_LINGER_NS   INT64_C(100000000)
#define MESSAGES_LINGER_NS INT64_C(1000000000) /* for a page to read the last of them */

uint32_t streams_of_shard(const struct settings *settings, unsigned shards)
{
    int64_t total = settings->streams_max ? settings->streams_max : settings->max_connections;
    return shard_connections((uint64_t)total, shards);
}

int streams_init(struct shard *shard, uint32_t first, uint32_t count)
{
    struct streams *streams = &shard->streams;
    *streams = (struct streams){.first = first, .count = count, .free = TIMERS_NONE};
    if (count == 0)
        return 0;
    streams->links = pages_map(count * sizeof *streams->links);
    streams->carried = pages_map(count * sizeof(struct carrier *));
    return streams->links && streams->carried ? 0 : -ENOMEM;
}

void streams_done(struct shard *shard)
{
    const struct streams *streams = &shard->streams;
    pages_unmap(streams->links, streams->count * sizeof *streams->links);
    pages_unmap((void *)streams->carried, streams->count * sizeof(struct carrier *));
}

struct stream_link *stream_link(const struct shard *shard, const struct conn *stream)
{
    assert(stream->link & LINK_STREAM);
    return &shard->streams.links[conn_slot(shard, stream) - shard->streams.first];
}

struct conn *conn_socket(struct shard *shard, struct conn *conn)
{
    return conn->link & LINK_STREAM ? conn_at(shard, stream_link(shard, conn)->carrier) : conn;
}

struct carrier *stream_carrier(const struct shard *shard, const struct conn *stream)
{
    return conn_carrier(shard, &shard->slab[stream_link(shard, stream)->carrier]);
}

struct carrier *conn_carrier(const struct shard *shard, const struct conn *conn)
{
    if (conn->link & LINK_STREAM)
        return shard->streams.carried[conn_slot(shard, conn) - shard->streams.first];
    return conn->extra ? conn->extra->carrier : NULL;
}

void stream_carries(struct shard *shard, const struct conn *stream, struct carrier *carrier)
{
    assert(stream->link & LINK_STREAM);
    shard->streams.carried[conn_slot(shard, stream) - shard->streams.first] = carrier;
}

/* ---- a carrier ---- */

static void no_longer_due(struct shard *shard, struct carrier *carrier)
{
    DL_DELETE(shard->streams.due, carrier);
    shard->streams.due_count--;
    carrier->is_due = false;
}

void carrier_init(struct carrier *carrier, const struct carrier_ops *ops, uint32_t slot)
{
    *carrier = (struct carrier){
        .ops = ops,
        .slot = slot,
        .streams = TIMERS_NONE,
        .ready_head = TIMERS_NONE,
    };
}

void carrier_end_streams(struct shard *shard, struct carrier *carrier)
{
    while (carrier->streams != TIMERS_NONE) {
        struct conn *stream = conn_at(shard, carrier->streams);
        stream_link(shard, stream)->id = 0;
        conn_end(shard, stream, END_CLOSE, CLOSE_CARRIER);
    }
}

void carrier_done(struct shard *shard, struct carrier *carrier)
{
    assert(carrier->streams == TIMERS_NONE);
    for (uint32_t slot = carrier->ready_head; slot != TIMERS_NONE;) {
        struct conn *stream = conn_at(shard, slot);
        slot = stream->next_dirty;
        stream->link &= ~(uint32_t)LINK_DIRTY;
        conn_release(shard, stream);
    }
    carrier->ready_head = TIMERS_NONE;
    if (carrier->is_due)
        no_longer_due(shard, carrier);
}

void carrier_due(struct shard *shard, struct carrier *carrier)
{
    if (carrier->is_due)
        return;
    carrier->is_due = true;
    DL_APPEND(shard->streams.due, carrier);
    shard->streams.due_count++;
}

uint32_t carriers_turn(struct shard *shard, uint32_t most)
{
    struct streams *streams = &shard->streams;
    uint32_t turned = 0;
    while (turned < most && streams->due && shard->dirty_count < SEND_BATCH) {
        struct carrier *carrier = streams->due;
        no_longer_due(shard, carrier);
        turned++;
        carrier->ops->turn(shard, carrier);
    }
    return turned;
}

/* ---- a stream ---- */

/* A slot, or TIMERS_NONE. */
static uint32_t take_slot(struct streams *streams)
{
    if (streams->free != TIMERS_NONE) {
        uint32_t slot = streams->free;
        streams->free = streams->links[slot - streams->first].next;
        return slot;
    }
    return streams->high < streams->count ? streams->first + streams->high++ : TIMERS_NONE;
}

int carrier_port_open(struct shard *shard, struct carrier *carrier, const struct carrier_ops *ops,
                      enum transport_id transport, uint8_t listener)
{
    uint32_t slot = take_slot(&shard->streams);
    if (slot == TIMERS_NONE)
        return -ENOBUFS;
    struct conn *line = conn_at(shard, slot);
    *line = (struct conn){
        .generation = line->generation + 1,
        .state = CONN_OPEN,
        .transport = (uint8_t)transport,
        .link = LINK_STREAM,
        .next_dirty = TIMERS_NONE,
        .subscriptions = HUB_NONE,
        .listener = listener,
    };
    timer_link_init(&line->timer);
    *stream_link(shard, line) = (struct stream_link){
        .carrier = slot,
        .next = TIMERS_NONE,
        .previous = TIMERS_NONE,
    };
    carrier_init(carrier, ops, slot);
    stream_carries(shard, line, carrier);
    return 0;
}

void carrier_port_close(struct shard *shard, struct carrier *carrier)
{
    struct conn *line = conn_at(shard, carrier->slot);
    carrier_done(shard, carrier);
    stream_carries(shard, line, NULL);
    line->state = CONN_FREE;
    stream_free(shard, line);
}

struct conn *stream_open(struct shard *shard, struct carrier *carrier, int32_t id)
{
    const struct conn *socket = conn_at(shard, carrier->slot);
    uint32_t slot = take_slot(&shard->streams);
    if (slot == TIMERS_NONE)
        return NULL;
    struct conn *stream = conn_at(shard, slot);
    assert(stream->state == CONN_FREE);
    *stream = (struct conn){
        .generation = stream->generation + 1,
        .state = CONN_OPEN,
        .transport = TRANSPORT_HTTP,
        .link = LINK_STREAM | (socket->link & LINK_TRUSTED),
        .next_dirty = TIMERS_NONE,
        .subscriptions = HUB_NONE,
        .listener = socket->listener,
    };
    timer_link_init(&stream->timer);
    if (shard->clients)
        shard->clients[slot] = shard->clients[carrier->slot];
    if (shard->server->log)
        log_carried(shard, stream, carrier->slot);
    *stream_link(shard, stream) = (struct stream_link){
        .carrier = carrier->slot,
        .next = carrier->streams,
        .previous = TIMERS_NONE,
        .id = id,
    };
    if (carrier->streams != TIMERS_NONE)
        shard->streams.links[carrier->streams - shard->streams.first].previous = slot;
    carrier->streams = slot;
    carrier->count++;
    shard->streams.open++;
    counter_add(&shard->counters.streams_opened, 1);
    counter_set(&shard->counters.streams, shard->streams.open);
    return stream;
}

static bool is_known(const struct shard *shard, const struct conn *stream)
{
    return stream->link & LINK_STREAM && stream_link(shard, stream)->id != 0;
}

int stream_wish(struct shard *shard, struct conn *stream, const struct carrier_wish *wish)
{
    if (!is_known(shard, stream))
        return -EOPNOTSUPP;
    const struct carrier_ops *ops = stream_carrier(shard, stream)->ops;
    return ops->wish ? ops->wish(shard, stream, wish) : -EOPNOTSUPP;
}

void stream_farewell(struct shard *shard, struct conn *stream, uint32_t code, struct span reason)
{
    if (is_known(shard, stream) && stream_carrier(shard, stream)->ops->farewell)
        stream_carrier(shard, stream)->ops->farewell(shard, stream, code, reason);
}

void stream_forgotten(struct shard *shard, struct conn *stream)
{
    stream_link(shard, stream)->id = 0;
}

void stream_ready(struct shard *shard, struct conn *stream)
{
    struct carrier *carrier = stream_carrier(shard, stream);
    uint32_t slot = conn_slot(shard, stream);
    stream->link |= LINK_DIRTY;
    stream->next_dirty = TIMERS_NONE;
    if (carrier->ready_head == TIMERS_NONE)
        carrier->ready_head = slot;
    else
        shard->slab[carrier->ready_tail].next_dirty = slot;
    carrier->ready_tail = slot;
    carrier_due(shard, carrier);
}

void stream_head(struct shard *shard, struct conn *stream, const struct http_response_head *head)
{
    if (stream->state == CONN_OPEN && stream_link(shard, stream)->id != 0)
        stream_carrier(shard, stream)->ops->head(shard, stream, head);
}

void stream_read_on(struct shard *shard, struct conn *stream)
{
    if (conn_alive(stream) && stream_link(shard, stream)->id != 0)
        stream_carrier(shard, stream)->ops->read_on(shard, stream);
}

/* What ends a stream leaves behind its last byte, or has left with it. A client that is in the
 * middle of its request may end it by itself for a moment, and is reset then. */
void stream_sent_all(struct shard *shard, struct conn *stream)
{
    if (!(stream->link & LINK_END_SENT)) {
        conn_mark_dirty(shard, stream);
    } else if (stream->link & LINK_INPUT_ENDED) {
        conn_end(shard, stream, END_CLOSE, (enum close_reason)stream->end_reason);
    } else {
        stream->state = CONN_LINGERING;
        bool has_time = stream->role & ROLE_KEPT && !shard->draining;
        int64_t wait_ns = has_time ? MESSAGES_LINGER_NS : STREAM_LINGER_NS;
        timers_arm(&shard->timers, conn_slot(shard, stream), shard->now_ns + wait_ns);
    }
}

void stream_settle(struct shard *shard, struct conn *stream, bool moved)
{
    if (stream->state == CONN_CLOSING) {
        conn_release(shard, stream);
        return;
    }
    bool waits = stream->state == CONN_FINISHING && !(stream->link & LINK_END_SENT);
    if (stream->out_block && !(stream->link & LINK_OFFERED)) {
        conn_mark_dirty(shard, stream); /* queued since */
        return;
    }
    if (stream->out_block) {
        conn_wait_for_room(shard, stream, moved);
        return;
    }
    stream->link &= ~(uint32_t)LINK_WATCH_WRITE;
    if (!waits)
        conn_drained(shard, stream);
}

void stream_closed(struct shard *shard, struct conn *stream, enum close_reason reason)
{
    struct stream_link *link = stream_link(shard, stream);
    struct carrier *carrier = stream_carrier(shard, stream);
    struct stream_link *links = shard->streams.links;
    uint32_t first = shard->streams.first;
    stream->link &= ~(uint32_t)LINK_WATCH_WRITE;
    if (link->next != TIMERS_NONE)
        links[link->next - first].previous = link->previous;
    if (link->previous != TIMERS_NONE)
        links[link->previous - first].next = link->next;
    else
        carrier->streams = link->next;
    carrier->count--;
    shard->streams.open--;
    counter_set(&shard->counters.streams, shard->streams.open);
    if (link->id != 0)
        carrier->ops->reset(shard, stream, reason);
    link->id = 0;
}

void stream_free(struct shard *shard, struct conn *stream)
{
    stream_link(shard, stream)->next = shard->streams.free;
    shard->streams.free = conn_slot(shard, stream);
    stream->link = 0;
}
