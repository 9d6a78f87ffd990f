/* Hubs on threads of their own, which sleep and wake each other, while subscribers come and go.
 *
 * The ledger: on every shard one subscriber per channel stays from before the first message to the
 * last and must see offsets 1 to CHANNEL_MESSAGES, one by one. Beside it, others leave in the
 * middle and come back with their position, and must see no gap either. A lost wake leaves the test
 * waiting until its time limit; a race is for ThreadSanitizer to see. */
#include "core/message.h"
#include "hub/hub.h"
#include "hub/hub_internal.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    SHARDS = 4,
    CHANNELS = 5,
    PUBLISHED_EACH = 400, /* per shard and channel */
    CHANNEL_MESSAGES = SHARDS * PUBLISHED_EACH,
    UNDER_WAY_MAX = 32,   /* publishes without their answer, per shard */
    CONNS = 2 * CHANNELS, /* the first half stays, the second comes and goes */
    STAY_MESSAGES = 7,    /* seen before it goes */
};

struct reader {
    uint32_t chain;
    uint32_t subscription;
    unsigned channel;
    bool live;
    bool parted; /* has a part of its replay, and has not asked for the next */
    bool back;   /* asked for a position */
    uint64_t epoch;
    uint64_t cursor;
    unsigned seen; /* since it came */
};

struct stress;

struct shard {
    struct stress *stress;
    unsigned index;
    struct hub *hub;
    struct reader readers[CONNS];
    unsigned to_publish[CHANNELS];
    unsigned under_way;
    bool done;
    pthread_t thread;
};

struct stress {
    struct hub_set *set;
    struct shard shards[SHARDS];
    int bells[SHARDS]; /* eventfd */
    atomic_uint ready; /* shards whose staying subscribers are live */
    atomic_uint done;  /* shards that have seen and published all */
    atomic_uint left;  /* shards that have no subscription left */
    atomic_uint failures;
};

static void expect(struct shard *shard, bool truth)
{
    if (!truth)
        atomic_fetch_add(&shard->stress->failures, 1);
}

static void ring(struct stress *stress, unsigned target)
{
    uint64_t one = 1;
    ssize_t n = write(stress->bells[target], &one, sizeof one);
    assert(n == sizeof one);
}

static void ring_all(struct stress *stress)
{
    for (unsigned i = 0; i < SHARDS; i++)
        ring(stress, i);
}

static bool staying(const struct shard *shard, const struct reader *reader)
{
    return reader < &shard->readers[CHANNELS];
}

static void subscribe(struct shard *shard, struct reader *reader)
{
    char name[2] = {'c', (char)('0' + reader->channel)};
    struct ticket ticket = {.conn = (uint32_t)(reader - shard->readers)};
    struct hub_since since = {.from = HUB_FROM_START};
    reader->back = reader->epoch != 0;
    if (reader->back)
        since = (struct hub_since){
            .from = HUB_FROM_POSITION, .epoch = reader->epoch, .offset = reader->cursor};
    reader->seen = 0;
    int err = hub_subscribe(shard->hub, &reader->chain, &ticket, name, sizeof name, &since,
                            &reader->subscription);
    expect(shard, err == 0 || err == -ENOBUFS);
}

static void see(struct shard *shard, struct reader *reader, struct message *const *messages,
                unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        expect(shard, messages[i]->epoch == reader->epoch);
        expect(shard, messages[i]->offset == reader->cursor + 1);
        expect(shard, message_payload(messages[i])[0] == (char)('0' + reader->channel));
        reader->cursor = messages[i]->offset;
    }
    reader->seen += count;
}

static void on_subscribed(void *arg, const struct hub_reply *reply)
{
    struct shard *shard = arg;
    struct reader *reader = &shard->readers[reply->ticket.conn];
    expect(shard, reply->err == 0 && reply->subscription == reader->subscription);
    expect(shard, reply->recovered == (reader->back || reply->resumed));
    reader->epoch = reply->epoch;
    see(shard, reader, reply->messages, reply->count);
    expect(shard, reader->cursor == reply->offset);
    reader->live = !reply->more;
    reader->parted = reply->more;
    if (reader->live && staying(shard, reader))
        shard->under_way--;
}

static void resume_all(struct shard *shard)
{
    for (unsigned i = 0; i < sizeof shard->readers / sizeof shard->readers[0]; i++) {
        struct reader *reader = &shard->readers[i];
        const struct ticket ticket = {.conn = i};
        if (reader->parted && hub_resume(shard->hub, reader->subscription, &ticket, reader->epoch,
                                         reader->cursor) == 0)
            reader->parted = false;
    }
}

static bool turn(struct shard *shard)
{
    bool more = hub_turn(shard->hub, 0);
    resume_all(shard);
    return more;
}

static void on_read(void *arg, const struct hub_reply *reply)
{
    (void)reply;
    expect(arg, false);
}

/* Refused by a home that is full: the message is made anew. */
static void on_published(void *arg, const struct ticket *ticket, int err, uint64_t epoch,
                         uint64_t offset)
{
    struct shard *shard = arg;
    expect(shard, err == 0 ? epoch != 0 && offset != 0 : err == -ENOBUFS);
    shard->under_way--;
    if (err)
        shard->to_publish[ticket->tag]++;
}

static void on_batch(void *arg, const struct hub_batch *batch)
{
    expect(arg, batch->count > 0);
}

static void on_batch_done(void *arg)
{
    (void)arg;
}

static void on_deliver(void *arg, uint32_t conn, uint32_t subscription,
                       const struct hub_batch *batch)
{
    struct shard *shard = arg;
    struct reader *reader = &shard->readers[conn];
    expect(shard, reader->live && subscription == reader->subscription);
    see(shard, reader, batch->messages, batch->count);
    if (!staying(shard, reader) && reader->seen >= STAY_MESSAGES) {
        hub_unsubscribe_all(shard->hub, &reader->chain);
        reader->live = false;
    }
}

static void on_wake(void *arg, unsigned target)
{
    struct shard *shard = arg;
    ring(shard->stress, target);
}

static const struct hub_ops ops = {
    .subscribed = on_subscribed,
    .read = on_read,
    .published = on_published,
    .batch = on_batch,
    .batch_done = on_batch_done,
    .deliver = on_deliver,
    .wake = on_wake,
};

static bool publish_one(struct shard *shard, unsigned channel)
{
    char name[2] = {'c', (char)('0' + channel)};
    struct ticket ticket = {.tag = channel};
    struct message *message = message_create(
        name, sizeof name, hub_hash(shard->stress->set, name, sizeof name), &name[1], 1, true);
    assert(message);
    int err = hub_publish(shard->hub, &ticket, message);
    if (err) {
        expect(shard, err == -ENOBUFS);
        message_unref(message);
        return false;
    }
    shard->to_publish[channel]--;
    shard->under_way++;
    return true;
}

static void publish_some(struct shard *shard)
{
    for (unsigned channel = 0; channel < CHANNELS; channel++) {
        while (shard->to_publish[channel] > 0 && shard->under_way < UNDER_WAY_MAX) {
            if (!publish_one(shard, channel))
                break;
        }
    }
}

static bool all_seen(const struct shard *shard)
{
    bool all = shard->under_way == 0;
    for (unsigned i = 0; i < CONNS; i++) {
        const struct reader *reader = &shard->readers[i];
        all &= reader->cursor == CHANNEL_MESSAGES;
        all &= i >= CHANNELS || reader->live;
    }
    return all;
}

static void come_back(struct shard *shard)
{
    for (unsigned i = 0; i < CONNS; i++) {
        struct reader *reader = &shard->readers[i];
        if (reader->chain == HUB_NONE && reader->cursor < CHANNEL_MESSAGES)
            subscribe(shard, reader);
    }
}

/* Waits for the bell, unless there is something to do at once. */
static void rest(struct shard *shard)
{
    if (hub_sleep(shard->hub)) {
        uint64_t rings;
        ssize_t n = read(shard->stress->bells[shard->index], &rings, sizeof rings);
        assert(n == sizeof rings);
    }
    hub_awake(shard->hub);
}

/* All come to a point together, serving each other meanwhile: the last one wakes the others. */
static void meet(struct shard *shard, atomic_uint *count)
{
    if (atomic_fetch_add(count, 1) + 1 == SHARDS)
        ring_all(shard->stress);
    while (atomic_load(count) < SHARDS) {
        if (!turn(shard))
            rest(shard);
    }
}

static void work(struct shard *shard)
{
    for (;;) {
        bool more = turn(shard);
        publish_some(shard);
        come_back(shard);
        if (all_seen(shard))
            return;
        if (!more)
            rest(shard);
    }
}

static void subscribe_all_that_stay(struct shard *shard)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        subscribe(shard, &shard->readers[i]);
        shard->under_way++;
    }
    for (bool more = true;; more = turn(shard)) {
        if (shard->under_way == 0)
            return;
        if (!more)
            rest(shard);
    }
}

static void *shard_run(void *arg)
{
    struct shard *shard = arg;
    struct stress *stress = shard->stress;
    shard->hub = hub_create(stress->set, shard->index, &ops, shard);
    assert(shard->hub);
    for (unsigned i = 0; i < CONNS; i++)
        shard->readers[i] = (struct reader){.chain = HUB_NONE, .channel = i % CHANNELS};
    for (unsigned i = 0; i < CHANNELS; i++)
        shard->to_publish[i] = PUBLISHED_EACH;
    subscribe_all_that_stay(shard);
    meet(shard, &stress->ready);
    work(shard);
    meet(shard, &stress->done);
    for (unsigned i = 0; i < CONNS; i++) {
        hub_unsubscribe_all(shard->hub, &shard->readers[i].chain);
        shard->readers[i].parted = false;
    }
    for (unsigned i = 0; i < 2; i++)
        hub_turn(shard->hub, 1);
    meet(shard, &stress->left);
    return NULL;
}

static void test_ledger(void **state)
{
    (void)state;
    static struct stress stress;
    struct hub_config config = {
        .shards = SHARDS,
        .seed = 1,
        .channels_max = CHANNELS,
        .subscriptions_max = 2 * CONNS,
        .history_messages_max = CHANNEL_MESSAGES,
        .history_bytes_max = UINT64_MAX,
        .history_age_ns = INT64_MAX,
        .history_total_bytes_max = UINT64_MAX,
        .reply_bytes_max = 16,
        .linger_ns = 0,
        .overflow_max = 16,
        .lane_slots = 8,
    };
    stress.set = hub_set_create(&config);
    assert_non_null(stress.set);
    for (unsigned i = 0; i < SHARDS; i++) {
        stress.bells[i] = eventfd(0, EFD_CLOEXEC);
        assert_true(stress.bells[i] >= 0);
        stress.shards[i] = (struct shard){.stress = &stress, .index = i};
    }
    for (unsigned i = 0; i < SHARDS; i++)
        assert_int_equal(
            pthread_create(&stress.shards[i].thread, NULL, shard_run, &stress.shards[i]), 0);
    struct hub_stats sum = {0};
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_join(stress.shards[i].thread, NULL);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct hub_stats stats;
        hub_stats_read(stress.shards[i].hub, &stats);
        sum.published += stats.published;
        sum.subscriptions += stats.subscriptions;
        sum.unrecoverable += stats.unrecoverable;
        sum.lane_full += stats.lane_full;
        hub_free(stress.shards[i].hub);
        close(stress.bells[i]);
    }
    hub_set_free(stress.set);
    assert_int_equal(stress.failures, 0);
    assert_int_equal(sum.published, CHANNELS * CHANNEL_MESSAGES);
    assert_int_equal(sum.subscriptions, 0);
    assert_int_equal(sum.unrecoverable, 0);
    assert_true(sum.lane_full > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
