/* What Redis says, through all that looks at it: bytes to replies, replies to answers and news, and
 * these to the home of a channel, which somebody subscribes to. Whatever it says, each question has
 * one answer, a reader is given its channel in order, and nothing is left over. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/redis_cluster.h"
#include "broker/redis_internal.h"
#include "hub/hub_internal.h"

enum {
    MESSAGE_MAX = 256,
    PUBLISHES = 3,
    TURNS = 20,
    SWEEP = 5, /* in the place of a piece's length */
    LOOK = 13, /* likewise */
};

struct world {
    struct hub_set *set;
    struct hub *hub;
    struct helper *helper;
    struct redis_ring *ring;
    struct redis *redis; /* the first of it, which is reached */
    int64_t now_ns;
    unsigned published, read, told;
    unsigned asked; /* nodes, and for a sweep */
    uint64_t epoch, offset;
    bool live;
    uint32_t chain, subscription;
};

static void subscribed(void *context, const struct hub_reply *reply)
{
    struct world *world = context;
    world->live = reply->err == 0 && !reply->more;
    world->epoch = reply->epoch;
    world->offset = reply->offset;
    for (unsigned i = 0; i < reply->count; i++)
        assert(reply->messages[i]->payload_len <= MESSAGE_MAX);
}

static void read_done(void *context, const struct hub_reply *reply)
{
    (void)reply;
    ((struct world *)context)->read++;
}

static void published(void *context, const struct ticket *ticket, int err, uint64_t epoch,
                      uint64_t offset)
{
    (void)ticket, (void)offset;
    assert(err <= 1 && (err < 0 || epoch != 0)); /* 1: it was before */
    ((struct world *)context)->published++;
}

static void batch(void *context, const struct hub_batch *batch)
{
    (void)context;
    assert(batch->count > 0);
}

static void batch_done(void *context)
{
    (void)context;
}

static void deliver(void *context, uint32_t conn, uint32_t subscription,
                    const struct hub_batch *batch)
{
    struct world *world = context;
    (void)conn, (void)subscription;
    assert(world->live);
    for (unsigned i = 0; i < batch->count; i++) {
        assert(batch->messages[i]->epoch == world->epoch);
        assert(batch->messages[i]->offset == ++world->offset);
    }
}

static void events(void *context, uint32_t conn, uint32_t subscription,
                   const struct hub_batch *batch)
{
    (void)context, (void)conn, (void)subscription, (void)batch;
}

static void lost(void *context, uint32_t conn, uint32_t subscription, const struct hub_batch *batch)
{
    struct world *world = context;
    (void)conn, (void)subscription, (void)batch;
    hub_unsubscribe_all(world->hub, &world->chain);
    world->live = false;
}

static void wake(void *context, unsigned target)
{
    (void)context, (void)target;
}

static const struct hub_ops hub_ops = {.subscribed = subscribed,
                                       .read = read_done,
                                       .published = published,
                                       .batch = batch,
                                       .batch_done = batch_done,
                                       .deliver = deliver,
                                       .deliver_events = events,
                                       .lost = lost,
                                       .wake = wake};

/* ---- the broker, without its thread ---- */

static void ask(void *context, struct remote_ask *ask)
{
    redis_ring_engine.ask(((struct world *)context)->ring, ask);
}

static const struct broker_ops fake_ops = {.ask = ask};

static void ear(void *context, struct nodes_heard *heard)
{
    struct world *world = context;
    assert(heard->len <= NODES_TEXT_MAX);
    nodes_reply(world->hub, heard, 0, SPAN("heard"));
}

static void turn(struct world *world)
{
    world->now_ns += 1000000;
    hub_turn(world->hub, world->now_ns);
    helper_turn(world->helper);
    if (world->ring->cluster)
        redis_cluster_turn(world->ring->cluster, world->now_ns);
}

/* Sends what waits: into buffers that nobody reads. */
static void send_all(struct world *world)
{
    struct redis *redis = world->redis;
    (void)redis_nodes_listen(redis);
    assert(redis_queue_send(redis) == 0);
}

static void null_link(struct redis_link *link)
{
    const struct redis_socket null = {.fd = open("/dev/null", O_RDWR | O_CLOEXEC)};
    assert(redis_link_make(link, &null) == 0);
}

/* Of a cluster it has all slots, at first. */
static void cluster_open(struct redis_ring *ring, const struct redis_config *config)
{
    static const char slots[] = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\nh\r\n:1\r\n";
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert(redis_cluster_create(ring, config) == 0 && reader);
    struct redis_config seed = *config;
    memcpy(seed.address.host, "h", 2);
    seed.address.port = 1;
    assert(redis_ring_add(ring, &seed, "h:1") == 0);
    ring->seeds = 1;
    redisReaderFeed(reader, slots, sizeof slots - 1);
    assert(redisReaderGetReply(reader, &reply) == REDIS_OK && reply);
    const struct redis_peers *peers = &ring->cluster->peers;
    peers->slots(peers->context, ring->servers[0], reply);
    assert(ring->cluster->covered == REDIS_SLOTS);
    freeReplyObject(reply);
    redisReaderFree(reader);
}

static struct redis_ring *ring_open(const struct redis_config *config)
{
    struct redis_config copy = *config;
    struct redis_ring *ring = redis_ring_create();
    assert(ring);
#ifdef FUZZ_CLUSTER
    cluster_open(ring, &copy);
#else
    (void)cluster_open;
    assert(redis_ring_add(ring, &copy, "h:1") == 0);
#endif
    return ring;
}

static void world_open(struct world *world)
{
    static const struct helper_ops helper_ops = {.wake = wake};
    const struct hub_config config = {
        .shards = 1,
        .helpers = 1,
        .seed = 7,
        .channels_max = 8,
        .subscriptions_max = 8,
        .history_messages_max = 8,
        .history_bytes_max = 1 << 16,
        .history_age_ns = INT64_MAX,
        .history_total_bytes_max = 1 << 20,
        .reply_bytes_max = 1 << 16,
        .linger_ns = 1000000000,
        .overflow_max = 64,
        .broker = &fake_ops,
        .remote_bytes_max = 1 << 16,
        .lane_slots = 64,
    };
    const struct redis_config redis_config = {.address = {.timeout_ms = 1000},
                                              .prefix = "r",
                                              .queue_max = 64,
                                              .ttl_ms = 1000,
                                              .keys_max = 4,
                                              .keys_ms = 1000,
                                              .orders_max = 4,
                                              .message_bytes_max = MESSAGE_MAX,
                                              .seed = 9};
    *world = (struct world){.chain = HUB_NONE};
    world->set = hub_set_create(&config);
    world->hub = world->set ? hub_create(world->set, 0, &hub_ops, world) : NULL;
    world->helper = world->set ? helper_create(world->set, 0, &helper_ops, world) : NULL;
    assert(world->hub && world->helper);
    world->ring = ring_open(&redis_config);
    world->redis = world->ring->servers[0];
    redis_ring_engine.attach(world->ring, world->helper, world->set, 0xaa, ear);
    null_link(&world->redis->commands);
    null_link(&world->redis->news);
}

static void nodes_told(void *context, struct nodes_ask *ask)
{
    ((struct world *)context)->told++;
    nodes_ask_free(ask);
}

static void ask_nodes(struct world *world, enum nodes_kind kind, struct span text)
{
    struct nodes_ask *question = nodes_ask_create(kind, 0, text);
    assert(question);
    question->done = nodes_told;
    if (nodes_send(world->hub, world->set, question) < 0)
        nodes_ask_free(question);
    else
        world->asked++;
    turn(world);
    turn(world);
}

/* Everything that is asked of Redis is under way. */
static void ask_all(struct world *world)
{
    const struct hub_since now = {.from = HUB_FROM_NOW}, forget = {.from = HUB_FORGET};
    const struct ticket ticket = {0};
    uint64_t hash = hub_hash(world->set, "c", 1);
    assert(hub_subscribe(world->hub, &world->chain, &ticket, "c", 1, &now, &world->subscription) ==
           0);
    for (unsigned i = 0; i < PUBLISHES; i++) {
        struct message *message = message_create("c", 1, hash, "x", 1, true);
        assert(message && hub_publish(world->hub, &ticket, message) == 0);
    }
    assert(hub_read(world->hub, &ticket, "c", 1, &forget) == 0);
    turn(world);
    turn(world);
    send_all(world);
    world->redis->listening = REDIS_NODE_TOPICS;
    ask_nodes(world, NODES_INFO, (struct span){0});
    assert(world->asked == 1);
}

/* nodes_send leads here. */
void broker_question(struct broker *broker, struct nodes_ask *ask)
{
    redis_ring_engine.question(((struct world *)broker)->ring, ask);
}

static void take(struct world *world, struct redis_link *link,
                 int (*take_one)(struct redis *, const redisReply *))
{
    for (;;) {
        redisReply *reply = NULL;
        redis_catch_up(world->redis);
        int err = redis_link_reply(link, &reply);
        if (err < 0 || !reply)
            return;
        err = take_one(world->redis, reply);
        freeReplyObject(reply);
        turn(world);
        send_all(world);
        if (err < 0)
            return;
    }
}

/* Pieces, each behind a byte that says for which link it is and how long; or that a sweep is asked
 * for, or Redis looked at. */
static void feed(struct world *world, struct span input)
{
    struct redis *redis = world->redis;
    while (input.len > 0) {
        uint8_t choice = fuzz_choice(&input);
        if (choice == SWEEP) {
            ask_nodes(world, NODES_GAP, SPAN("c*"));
            continue;
        }
        if (choice == LOOK) {
            redis->now_ns += INT64_C(1000000000);
            assert(redis_look(redis) == 0);
            continue;
        }
        size_t len = choice & 1 ? input.len : (size_t)choice >> 2;
        if (len > input.len)
            len = input.len;
        struct redis_link *link = choice & 2 ? &redis->news : &redis->commands;
        redisReaderFeed(link->reader, input.ptr, len);
        input = span_skip(input, len);
        take(world, link, link == &redis->news ? redis_take_news : redis_take_command);
    }
}

static void world_close(struct world *world)
{
    redis_ring_engine.stop(world->ring);
    for (unsigned i = 0; i < TURNS; i++) {
        turn(world);
        redis_ring_engine.stop(world->ring);
    }
    assert(world->published == PUBLISHES && world->read == 1 && world->told == world->asked);
    hub_unsubscribe_all(world->hub, &world->chain);
    turn(world);
    hub_free(world->hub);
    helper_free(world->helper);
    redis_ring_free(world->ring);
    hub_set_free(world->set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;
    world_open(&world);
    ask_all(&world);
    feed(&world, fuzz_input(data, size));
    world_close(&world);
    return 0;
}
