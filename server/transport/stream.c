#include "transport/stream.h"

#include <assert.h>
#include <string.h>

#include "core/message.h"
#include "transport/gathering.h"
#include "transport/standing.h"

static void subscribed_one(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                           const struct stream_writer *writer)
{
    uint64_t start = reply->count > 0 ? reply->messages[0]->offset - 1 : reply->offset;
    struct position position = {reply->epoch, start};
    const struct standing standing = {&position, 1, 0};
    if (!(conn->role & ROLE_STANDING_SENT))
        writer->standing(shard, conn, &position, 1);
    conn->role |= ROLE_STANDING_SENT;
    if (reply->count > 0)
        writer->messages(shard, conn, reply->messages, reply->count, &standing, SEND_REPLAY);
}

static int subscribed_several(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                              const struct stream_writer *writer)
{
    struct gathering *gathering = gathering_of(conn);
    int all = gathering ? gathering_reply(gathering, reply) : 0;
    if (all <= 0)
        return all;
    struct position positions[SETTINGS_CHANNELS_MAX];
    struct standing standing = {.positions = positions};
    const struct position *start = gathering_start(gathering, &standing.count);
    memcpy(positions, start, standing.count * sizeof *positions);
    writer->standing(shard, conn, positions, standing.count);

    struct message *const *messages;
    unsigned cursor = 0, count;
    while (conn->state == CONN_OPEN &&
           (count = gathering_run(gathering, &cursor, &standing, &messages)) > 0)
        writer->messages(shard, conn, messages, count, &standing, SEND_REPLAY);
    gathering_end(conn);
    conn_extra_trim(conn);
    return 0;
}

int stream_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                      const struct stream_writer *writer)
{
    if (conn->asked & ASKED_SINCE && !reply->recovered)
        conn->asked &= ~(uint32_t)ASKED_RECOVERED;
    if (conn->asked & ASKED_SEVERAL)
        return subscribed_several(shard, conn, reply, writer);
    subscribed_one(shard, conn, reply, writer);
    return 0;
}

int stream_deliver_several(struct shard *shard, struct conn *conn, uint32_t subscription,
                           const struct hub_batch *batch, const struct stream_writer *writer)
{
    struct position positions[SETTINGS_CHANNELS_MAX];
    struct standing standing;
    bool live = standing_read(shard, conn, subscription, positions, &standing);
    struct gathering *gathering = gathering_of(conn);
    assert(live || gathering);
    if (gathering)
        return gathering_live(gathering, standing.at, batch);
    writer->messages(shard, conn, batch->messages, batch->count, &standing, SEND_LIVE);
    return 0;
}
