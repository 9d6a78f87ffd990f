/* sim_model: what each callback must be, given what was asked. */
#include "simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

size_t sim_name(unsigned channel, char name[4])
{
    name[0] = 'c';
    name[1] = '/';
    name[2] = (char)('0' + channel);
    name[3] = '\0';
    return 3;
}

/* Callbacks ask for things of their own, sometimes for many: what is being walked changes a lot. */
static void meddle(struct sim_shard *shard)
{
    struct sim *sim = shard->sim;
    if (sim->calm || sim_random(sim, 8) > 0)
        return;
    for (unsigned left = 1 + sim_random(sim, 2) * sim_random(sim, 10); left > 0; left--)
        sim_request(sim, shard);
}

static uint64_t cost_of(const struct sim *sim, unsigned channel, uint64_t epoch, uint64_t offset)
{
    for (uint32_t i = sim->publications_count; i-- > 0;) {
        const struct message *message = sim->publications[i].message;
        if (sim->publications[i].channel == channel && message->epoch == epoch &&
            message->offset == offset)
            return sizeof *message + message->name_len + message->payload_len;
    }
    fail_msg("no such message");
    return 0;
}

/* How many of the newest messages are kept, where only count and bytes bound the history. */
static uint64_t kept(const struct sim *sim, unsigned channel, uint64_t epoch, uint64_t offset)
{
    uint64_t bytes = 0;
    uint64_t count = 0;
    while (count < offset && count < sim->config.history_messages_max) {
        bytes += cost_of(sim, channel, epoch, offset - count);
        if (bytes > sim->config.history_bytes_max && count > 0)
            break;
        count++;
    }
    return count;
}

static void check_message(struct reader *reader, const struct message *message)
{
    char name[4];
    size_t len = sim_name(reader->channel, name);
    assert_int_equal(message->name_len, len);
    assert_memory_equal(message_name(message), name, len);
    assert_true(message->epoch == reader->epoch);
    assert_int_equal(message->offset, reader->cursor + 1);
    reader->cursor = message->offset;
}

/* Whether the hub says of a subscription what its owner knows. */
void sim_check_position(const struct sim_shard *shard, uint32_t subscription)
{
    const struct reader *reader = &shard->readers[subscription];
    uint64_t epoch = 0;
    uint64_t offset = 0;
    char name[4];
    size_t len;
    assert_true(hub_position(shard->hub, subscription, &epoch, &offset));
    assert_true(epoch == reader->epoch);
    assert_int_equal(offset, reader->cursor);
    const char *same = hub_name_of(shard->hub, subscription, &len);
    assert_int_equal(len, sim_name(reader->channel, name));
    assert_memory_equal(same, name, len);
}

/* Now and then of all live ones, but those of a channel that is being walked. */
static void check_positions(const struct sim_shard *shard, unsigned walked)
{
    if (sim_random(shard->sim, 32) > 0)
        return;
    for (uint32_t i = 0; i < 2 * SIM_SUBSCRIPTIONS; i++) {
        const struct reader *reader = &shard->readers[i];
        if (reader->state == READER_LIVE && reader->channel != walked)
            sim_check_position(shard, i);
    }
}

/* Where the first part of an answer puts the cursor. */
static void begin(struct reader *reader, const struct hub_reply *reply)
{
    assert_true(reply->epoch != 0);
    reader->epoch = reply->epoch;
    if (reply->count == 0)
        reader->cursor = reply->offset;
    else
        reader->cursor = reply->messages[0]->offset - 1;
}

/* Whether the answer that has now come whole is the truth. `offset` is the newest there was. */
static void check_truth(struct sim *sim, const struct reader *reader, const struct hub_reply *reply,
                        bool whole)
{
    const struct hub_since *since = &reader->since;
    switch (since->from) {
    case HUB_FROM_NOW:
        assert_int_equal(reader->given, 0);
        assert_false(reply->recovered);
        break;
    case HUB_FROM_START:
        assert_false(reply->recovered);
        if (sim->exact && whole)
            assert_int_equal(reader->given,
                             kept(sim, reader->channel, reply->epoch, reply->offset));
        sim->coverage->kept_starts += reader->given > 0;
        break;
    case HUB_FROM_LATEST: /* none asks so here */
        break;
    case HUB_FROM_POSITION:
        if (reply->recovered) {
            assert_true(reply->epoch == since->epoch);
            assert_int_equal(reader->given, reply->offset - since->offset);
        } else {
            assert_int_equal(reader->given, 0);
            assert_false(reply->more);
            if (sim->exact && since->epoch == reply->epoch && since->offset <= reply->offset)
                assert_true(reply->offset - since->offset >
                            kept(sim, reader->channel, reply->epoch, reply->offset));
        }
        break;
    case HUB_FROM_PAGE:
    case HUB_FORGET:
        fail_msg("no reader asks for pages");
    }
}

static void take_reply(struct reader *reader, const struct hub_reply *reply)
{
    if (reader->given == 0)
        begin(reader, reply);
    for (unsigned i = 0; i < reply->count; i++)
        check_message(reader, reply->messages[i]);
    reader->given += reply->count;
    assert_int_equal(reader->cursor, reply->offset);
}

static void on_subscribed(void *arg, const struct hub_reply *reply)
{
    struct sim_shard *shard = arg;
    struct reader *reader = &shard->readers[reply->subscription];
    assert_int_equal(reader->state, READER_PENDING);
    assert_int_equal(reader->tag, reply->ticket.tag);
    assert_int_equal(reader->conn, reply->ticket.conn);
    if (reply->err) {
        assert_int_equal(reply->err, -ENOSPC);
        reader->state = READER_REFUSED;
        shard->sim->coverage->refused_late++;
    } else {
        shard->sim->coverage->parts += reply->more;
        bool lost = reply->resumed && !reply->recovered;
        if (lost)
            reader->given = 0; /* the history has gone on: it begins anew */
        take_reply(reader, reply);
        reader->state = READER_PARTED;
        if (!reply->more) {
            if (!lost && !(reply->resumed && reader->since.from == HUB_FROM_START))
                check_truth(shard->sim, reader, reply, true);
            reader->state = READER_LIVE;
            check_positions(shard, SIM_CHANNELS);
        }
    }
    meddle(shard);
}

static void on_read(void *arg, const struct hub_reply *reply)
{
    struct sim_shard *shard = arg;
    struct reader *reader = &shard->sim->reads[reply->ticket.tag];
    assert_int_equal(reply->subscription, HUB_NONE);
    assert_int_equal(reader->state, READER_PENDING);
    reader->state = READER_NONE;
    if (reply->err) {
        assert_int_equal(reply->err, -ENOSPC);
        shard->sim->coverage->refused_late++;
    } else {
        shard->sim->coverage->mores += reply->more;
        take_reply(reader, reply);
        check_truth(shard->sim, reader, reply, !reply->more);
    }
    meddle(shard);
}

static void on_published(void *arg, const struct ticket *ticket, int err, uint64_t epoch,
                         uint64_t offset)
{
    struct sim_shard *shard = arg;
    struct publication *publication = &shard->sim->publications[ticket->tag];
    assert_false(publication->answered);
    publication->answered = true;
    assert_true(publication->message->epoch == epoch && publication->message->offset == offset);
    assert_int_equal(err == 0, epoch != 0);
    if (err) {
        assert_true(err == -ENOBUFS || err == -ENOSPC);
        shard->sim->coverage->refused_late++;
    }
    meddle(shard);
}

static void on_batch(void *arg, const struct hub_batch *batch)
{
    (void)arg;
    assert_true(batch->count > 0);
    for (unsigned i = 1; i < batch->count; i++)
        assert_int_equal(batch->messages[i]->offset, batch->messages[0]->offset + i);
}

static void on_batch_done(void *arg)
{
    (void)arg;
}

static void on_deliver(void *arg, uint32_t conn, uint32_t subscription,
                       const struct hub_batch *batch)
{
    struct sim_shard *shard = arg;
    struct reader *reader = &shard->readers[subscription];
    assert_int_equal(reader->state, READER_LIVE);
    assert_int_equal(reader->conn, conn);
    for (unsigned i = 0; i < batch->count; i++)
        check_message(reader, batch->messages[i]);
    sim_check_position(shard, subscription);
    check_positions(shard, reader->channel);
    meddle(shard);
}

/* A wake is for one who sleeps, and once. */
static void on_wake(void *arg, unsigned target)
{
    struct sim_shard *shard = arg;
    struct sim_shard *sleeper = &shard->sim->shards[target];
    assert_true(sleeper->asleep);
    assert_true(sleeper != shard);
    sleeper->asleep = false;
    hub_awake(sleeper->hub);
    shard->sim->coverage->wakes++;
}

const struct hub_ops sim_ops = {
    .subscribed = on_subscribed,
    .read = on_read,
    .published = on_published,
    .batch = on_batch,
    .batch_done = on_batch_done,
    .deliver = on_deliver,
    .wake = on_wake,
};
