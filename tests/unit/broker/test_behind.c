/* A shard that has no room for news holds up nobody else, and reads from the history what it
 * missed. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "broker/redis_internal.h"
#include "core/message.h"
#include "hub/table.h"

enum {
    SHARDS = 2,
    ROOM = 4096,
    MESSAGES = 40,
    BYTES = 512,
    TURNS = 30,
};

struct side {
    struct hub *hub;
    char name[8]; /* of a channel that is at home here */
    uint64_t offset;
    uint32_t chain, subscription;
};

static struct hub_set *set;
static struct helper *helper;
static struct redis *redis;
static struct side sides[SHARDS];
static int64_t now_ns;

static void subscribed(void *context, const struct hub_reply *reply)
{
    struct side *side = context;
    assert_int_equal(reply->err, 0);
    side->offset = reply->offset;
}

static void deliver(void *context, uint32_t conn, uint32_t subscription,
                    const struct hub_batch *batch)
{
    struct side *side = context;
    (void)conn, (void)subscription;
    for (unsigned i = 0; i < batch->count; i++)
        assert_int_equal(batch->messages[i]->offset, ++side->offset);
}

static void lost(void *context, uint32_t conn, uint32_t subscription, const struct hub_batch *batch)
{
    (void)context, (void)conn, (void)subscription, (void)batch;
    fail_msg("%s", "the history has all");
}

static void batch(void *context, const struct hub_batch *batch)
{
    (void)context, (void)batch;
}

static void batch_done(void *context)
{
    (void)context;
}

static void wake(void *context, unsigned target)
{
    (void)context, (void)target;
}

static void ask(void *context, struct remote_ask *ask)
{
    (void)context;
    redis_ask(redis, ask);
}

static const struct hub_ops hub_ops = {.subscribed = subscribed,
                                       .deliver = deliver,
                                       .lost = lost,
                                       .batch = batch,
                                       .batch_done = batch_done,
                                       .wake = wake};
static const struct broker_ops broker_ops = {.ask = ask};

/* ---- what Redis says ---- */

static void feed(struct redis_link *link, int (*take)(struct redis *, const redisReply *),
                 const char *bytes, size_t len)
{
    redisReply *reply = NULL;
    redisReaderFeed(link->reader, bytes, len);
    while (redis_link_reply(link, &reply) == 0 && reply) {
        assert_int_equal(take(redis, reply), 0);
        freeReplyObject(reply);
    }
}

static size_t message_write(char *at, size_t size, unsigned offset)
{
    int head = snprintf(at, size, "ff %u 1", offset);
    at[head] = '\n';
    memcpy(at + head + 1, "1\1\0", 3);
    memset(at + head + 4, 'x', BYTES);
    return (size_t)head + 4 + BYTES;
}

static void news(const struct side *side, unsigned offset)
{
    char body[BYTES + 64], text[BYTES + 256];
    size_t len = message_write(body, sizeof body, offset);
    int head = snprintf(text, sizeof text, "*3\r\n$7\r\nmessage\r\n$%zu\r\nr:%s\r\n$%zu\r\n",
                        strlen(side->name) + 2, side->name, len);
    memcpy(text + head, body, len);
    memcpy(text + (size_t)head + len, "\r\n", 2);
    feed(&redis->news, redis_take_news, text, (size_t)head + len + 2);
}

/* The answer to a join: everything up to there. */
static void history(unsigned offset)
{
    static char text[MESSAGES * (BYTES + 64) + 256];
    size_t len = (size_t)snprintf(text, sizeof text,
                                  "*6\r\n$2\r\nff\r\n$%d\r\n%u\r\n$1\r\n0\r\n$1\r\n1\r\n*%u\r\n",
                                  snprintf(NULL, 0, "%u", offset), offset, offset);
    for (unsigned i = 1; i <= offset; i++) {
        char body[BYTES + 64];
        size_t bytes = message_write(body, sizeof body, i);
        len += (size_t)snprintf(text + len, sizeof text - len, "$%zu\r\n", bytes);
        memcpy(text + len, body, bytes);
        memcpy(text + len + bytes, "\r\n", 2);
        len += bytes + 2;
    }
    len += (size_t)snprintf(text + len, sizeof text - len, "$%d\r\n%u\r\n",
                            snprintf(NULL, 0, "%u", offset), offset);
    feed(&redis->commands, redis_take_command, text, len);
}

static void confirm(void)
{
    static const char text[] = "*3\r\n$9\r\nsubscribe\r\n$3\r\nr:x\r\n:1\r\n";
    feed(&redis->news, redis_take_news, text, sizeof text - 1);
}

/* ---- turns ---- */

static void broker_turn(void)
{
    helper_turn(helper);
    redis_catch_up(redis);
    assert_int_equal(redis_queue_send(redis), 0);
    helper_turn(helper);
}

static void turn(struct side *side)
{
    now_ns += 1000000;
    hub_turn(side->hub, now_ns);
    broker_turn();
}

static void open_side(unsigned i)
{
    struct side *side = &sides[i];
    const struct hub_since now = {.from = HUB_FROM_NOW};
    const struct ticket ticket = {0};
    *side = (struct side){.chain = HUB_NONE};
    for (unsigned n = 0; side->name[0] == '\0'; n++) {
        char name[sizeof side->name];
        int len = snprintf(name, sizeof name, "c%u", n);
        if (home_of(hub_hash(set, name, (size_t)len), SHARDS) == i)
            memcpy(side->name, name, sizeof name);
    }
    side->hub = hub_create(set, i, &hub_ops, side);
    assert_non_null(side->hub);
    assert_int_equal(hub_subscribe(side->hub, &side->chain, &ticket, side->name, strlen(side->name),
                                   &now, &side->subscription),
                     0);
    turn(side);
    turn(side);
    confirm();
    history(0);
    for (unsigned n = 0; n < TURNS; n++)
        turn(side);
}

static void null_link(struct redis_link *link)
{
    const struct redis_socket null = {.fd = open("/dev/null", O_RDWR | O_CLOEXEC)};
    assert_int_equal(redis_link_make(link, &null), 0);
}

static void open_all(void)
{
    static const struct helper_ops helper_ops = {.wake = wake};
    const struct hub_config config = {.shards = SHARDS,
                                      .helpers = 1,
                                      .seed = 3,
                                      .channels_max = 8,
                                      .subscriptions_max = 8,
                                      .history_messages_max = MESSAGES,
                                      .history_bytes_max = 1 << 20,
                                      .history_age_ns = INT64_MAX,
                                      .history_total_bytes_max = 1 << 20,
                                      .reply_bytes_max = 1 << 20,
                                      .linger_ns = INT64_MAX,
                                      .overflow_max = 1024,
                                      .broker = &broker_ops,
                                      .remote_bytes_max = ROOM,
                                      .lane_slots = 256};
    const struct redis_config redis_config = {.address.timeout_ms = 1000,
                                              .prefix = "r",
                                              .queue_max = 64,
                                              .message_bytes_max = 2 * BYTES,
                                              .seed = 5};
    set = hub_set_create(&config);
    helper = helper_create(set, 0, &helper_ops, NULL);
    redis = redis_create(&redis_config);
    assert_true(set && helper && redis);
    redis_attach(redis, helper, set, 1, NULL);
    null_link(&redis->commands);
    null_link(&redis->news);
    for (unsigned i = 0; i < SHARDS; i++)
        open_side(i);
}

static void close_all(void)
{
    redis_stop(redis);
    for (unsigned i = 0; i < SHARDS; i++) {
        hub_unsubscribe_all(sides[i].hub, &sides[i].chain);
        for (unsigned n = 0; n < TURNS; n++) {
            turn(&sides[i]);
            redis_stop(redis);
        }
    }
    for (unsigned i = 0; i < SHARDS; i++)
        hub_free(sides[i].hub);
    helper_free(helper);
    redis_free(redis);
    hub_set_free(set);
}

static void test_a_slow_shard(void **state)
{
    (void)state;
    open_all();
    struct side *slow = &sides[0], *fast = &sides[1];
    for (unsigned i = 1; i <= MESSAGES; i++) {
        news(slow, i);
        news(fast, i);
        for (unsigned n = 0; n < 4; n++)
            turn(fast);
        assert_int_equal(fast->offset, i);
    }
    assert_int_equal(slow->offset, 0);
    assert_true(redis->behind[0] && !redis->behind[1] && redis->counters.dropped > 0);
    for (unsigned n = 0; n < TURNS; n++)
        turn(slow);
    assert_true(slow->offset > 0 && slow->offset < MESSAGES);
    assert_int_equal(redis->behind_count, 0);
    confirm();
    history(MESSAGES);
    for (unsigned n = 0; n < TURNS; n++)
        turn(slow);
    assert_int_equal(slow->offset, MESSAGES);
    assert_int_equal(fast->offset, MESSAGES);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_slow_shard)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
