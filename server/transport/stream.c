#include "transport/stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/message.h"
#include "transport/catch_up.h"
#include "transport/deltas.h"
#include "transport/gathering.h"
#include "transport/standing.h"

static int subscribed_one(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                          const struct stream_writer *writer)
{
    uint64_t start = reply->count > 0 ? reply->messages[0]->offset - 1 : reply->offset;
    struct position position = {reply->epoch, start};
    const struct standing standing = {&position, 1, 0, NULL};
    writer->standing(shard, conn, &position, 1);
    if (reply->count > 0)
        writer->messages(shard, conn, reply->messages, reply->count, &standing, SEND_REPLAY);
    return stream_replayed(shard, conn, reply);
}

/* What channels that answered early have brought meanwhile. */
static void write_gathered(struct shard *shard, struct conn *conn,
                           const struct gathering *gathering, struct standing *standing,
                           const struct stream_writer *writer)
{
    struct message *const *messages;
    unsigned cursor = 0, count;
    while (conn->state == CONN_OPEN &&
           (count = gathering_run(gathering, &cursor, standing, &messages)) > 0)
        writer->messages(shard, conn, messages, count, standing, SEND_REPLAY);
}

static int subscribed_several(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                              const struct stream_writer *writer)
{
    struct gathering *gathering = gathering_of(conn);
    int all = gathering ? gathering_reply(gathering, reply) : 0;
    if (all <= 0)
        return all;
    struct position positions[SETTINGS_CHANNELS_MAX], behind;
    struct standing standing = {.positions = positions};
    const struct position *start = gathering_start(gathering, &standing.count);
    memcpy(positions, start, standing.count * sizeof *positions);
    for (unsigned i = 0; i < standing.count; i++)
        if (gathering_more(gathering, i, &behind) &&
            catch_up_note(shard, conn, i, behind.epoch, behind.offset) < 0)
            return -ENOMEM;
    writer->standing(shard, conn, positions, standing.count);
    write_gathered(shard, conn, gathering, &standing, writer);
    gathering_end(conn);
    catch_up_go_on(shard, conn);
    conn_extra_trim(shard, conn);
    return 0;
}

bool stream_outrun(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    bool outrun = reply->resumed && !reply->recovered;
    if (outrun)
        conn_end(shard, conn, END_CLOSE, CLOSE_SLOW_READER);
    return outrun;
}

/* A further part, for a stream that knows where it stands. */
static int resumed(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                   const struct stream_writer *writer)
{
    struct position positions[SETTINGS_CHANNELS_MAX];
    struct standing standing;
    if (stream_outrun(shard, conn, reply))
        return 0;
    standing_read(shard, conn, reply->subscription, positions, &standing);
    if (reply->count > 0)
        writer->messages(shard, conn, reply->messages, reply->count, &standing, SEND_REPLAY);
    return stream_replayed(shard, conn, reply);
}

int stream_replayed(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    if (conn->state != CONN_OPEN)
        return 0;
    if (!reply->more)
        catch_up_done(shard, conn, reply->ticket.tag);
    else if (catch_up_note(shard, conn, reply->ticket.tag, reply->epoch, reply->offset) < 0)
        return -ENOMEM;
    catch_up_go_on(shard, conn);
    return 0;
}

int stream_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply,
                      const struct stream_writer *writer)
{
    if (reply->resumed)
        return resumed(shard, conn, reply, writer);
    if (conn->asked & ASKED_SINCE && !reply->recovered)
        conn->asked &= ~(uint32_t)ASKED_RECOVERED;
    if (conn->asked & ASKED_SEVERAL)
        return subscribed_several(shard, conn, reply, writer);
    return subscribed_one(shard, conn, reply, writer);
}

/* The last channel's home may be slow, and the others not: what comes meanwhile is for one stream
 * alone, and it is cheaper for its client to come back. */
static int gather_live(struct shard *shard, struct gathering *gathering, unsigned place,
                       const struct hub_batch *batch)
{
    int err = gathering_live(gathering, place, batch);
    if (err < 0 || gathering_live_bytes(gathering) <= (uint64_t)shard->settings->queue_bytes_max)
        return err;
    counter_add(&shard->counters.gatherings_cut, 1);
    return -ENOBUFS;
}

int stream_deliver_several(struct shard *shard, struct conn *conn, uint32_t subscription,
                           const struct hub_batch *batch, const struct stream_writer *writer)
{
    struct position positions[SETTINGS_CHANNELS_MAX];
    struct standing standing;
    bool live = standing_read(shard, conn, subscription, positions, &standing);
    struct gathering *gathering = gathering_of(conn);
    assert(live || gathering);
    bool deltas = stream_takes_deltas(shard, conn, subscription);
    if (gathering)
        return gather_live(shard, gathering, standing.at, batch);
    standing.deltas = deltas ? deltas_of(shard, batch) : NULL;
    writer->messages(shard, conn, batch->messages, batch->count, &standing, SEND_LIVE);
    return 0;
}

bool stream_hears(const struct conn *conn, const struct hub_batch *batch)
{
    return batch->messages[0]->kind == MESSAGE_EPHEMERAL && !gathering_of(conn);
}
