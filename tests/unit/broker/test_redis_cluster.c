/* Who has which slot, and what becomes of what waits for one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "broker/redis_cluster.h"
#include "broker/redis_internal.h"

static redisReply *reply_of(const char *text)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_non_null(reader);
    redisReaderFeed(reader, text, strlen(text));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

/* As CLUSTER KEYSLOT says. */
static void test_slots(void **state)
{
    (void)state;
    assert_int_equal(redis_slot("123456789", 9), 12739);
    assert_int_equal(redis_slot("news", 4), 5161);
    assert_int_equal(redis_slot("", 0), 0);
}

static int range_of(struct redis_range *ret, const char *text)
{
    redisReply *reply = reply_of(text);
    int err = redis_range_read(ret, reply, "asked");
    freeReplyObject(reply);
    return err;
}

static void test_ranges(void **state)
{
    (void)state;
    struct redis_range range;
    assert_int_equal(range_of(&range, "*3\r\n:3\r\n:9\r\n*3\r\n$1\r\nh\r\n:7\r\n$2\r\nid\r\n"), 0);
    assert_true(range.first == 3 && range.last == 9 && range.port == 7);
    assert_string_equal(range.host, "h");
    assert_int_equal(range_of(&range, "*3\r\n:3\r\n:3\r\n*2\r\n$-1\r\n:7\r\n"), 0);
    assert_string_equal(range.host, "asked");
    assert_int_equal(range_of(&range, "*3\r\n:3\r\n:3\r\n*2\r\n$0\r\n\r\n:7\r\n"), 0);
    assert_string_equal(range.host, "asked");
    static const char *const none[] = {
        "+OK\r\n",
        "*0\r\n",
        "*2\r\n:0\r\n:1\r\n",
        "*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:7\r\n",
        "*3\r\n:-1\r\n:1\r\n*2\r\n$1\r\nh\r\n:7\r\n",
        "*3\r\n:2\r\n:1\r\n*2\r\n$1\r\nh\r\n:7\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:65536\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:0\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n$3\r\nh h\r\n:7\r\n",
        "*3\r\n:0\r\n:1\r\n*2\r\n:1\r\n:7\r\n",
        "*3\r\n:0\r\n:1\r\n*1\r\n$1\r\nh\r\n",
        "*3\r\n:0\r\n:1\r\n$1\r\nh\r\n",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(range_of(&range, none[i]), -EINVAL);
}

static void test_redirects(void **state)
{
    (void)state;
    struct redis_range range;
    assert_int_equal(redis_redirect_read(&range, SPAN("MOVED 3999 10.0.0.1:6381"), "asked"), 0);
    assert_true(range.first == 3999 && range.last == 3999 && range.port == 6381);
    assert_string_equal(range.host, "10.0.0.1");
    assert_int_equal(redis_redirect_read(&range, SPAN("ASK 0 ::1:6381"), "asked"), 0);
    assert_string_equal(range.host, "::1");
    assert_int_equal(redis_redirect_read(&range, SPAN("MOVED 16383 :6381"), "asked"), 0);
    assert_string_equal(range.host, "asked");
    static const char *const none[] = {
        "",
        "MOVED",
        "MOVED ",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 1 h",
        "MOVED 1 h:",
        "MOVED 1 h:0",
        "MOVED 1 h:65536",
        "MOVED 16384 h:1",
        "MOVED x h:1",
        "MOVED -1 h:1",
        "MOVED 1 h h:1",
        "ASK 1 h:1x",
        "TRYAGAIN 1 h:1",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(redis_redirect_read(&range, span_from(none[i]), "asked"), -EINVAL);
}

static struct redis_ring *cluster_of(void)
{
    struct redis_config config = {.prefix = "r", .queue_max = 8, .address.timeout_ms = 1000};
    struct redis_ring *ring = redis_ring_create();
    assert_non_null(ring);
    assert_int_equal(redis_cluster_create(ring, &config), 0);
    memcpy(config.address.host, "h", 2);
    config.address.port = 1;
    assert_int_equal(redis_ring_add(ring, &config, ""), 0);
    ring->seeds = 1;
    return ring;
}

static void tell(struct redis_ring *ring, const char *slots)
{
    redisReply *reply = reply_of(slots);
    ring->cluster->peers.slots(ring->cluster, ring->servers[0], reply);
    freeReplyObject(reply);
}

static void test_the_map(void **state)
{
    (void)state;
    struct redis_ring *ring = cluster_of();
    struct redis_cluster *cluster = ring->cluster;
    const unsigned nodes = redis_slot("!", 1);
    assert_int_equal(redis_cluster_find(cluster, "news", 4), REDIS_NOWHERE);
    tell(ring, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\nh\r\n:1\r\n");
    assert_true(cluster->covered == REDIS_SLOTS && cluster->owners == 1 && ring->count == 1);
    assert_true(cluster->role == 0 && !ring->servers[0]->config.follows);
    tell(ring, "*2\r\n*3\r\n:0\r\n:5160\r\n*2\r\n$1\r\nh\r\n:1\r\n"
               "*3\r\n:5161\r\n:16383\r\n*2\r\n$1\r\ng\r\n:1\r\n");
    assert_true(ring->count == 2 && cluster->owners == 3);
    assert_int_equal(redis_cluster_find(cluster, "news", 4), 1);
    assert_true(redis_cluster_has(cluster, 1, "news", 4));
    assert_true(redis_cluster_has(cluster, 0, "news", 4)); /* what is joined there, too */
    assert_int_equal(cluster->role, nodes > 5160);
    assert_int_equal(ring->servers[0]->config.follows, nodes > 5160);
    /* Nothing of what is not whole. */
    tell(ring, "*2\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\nh\r\n:1\r\n:3\r\n");
    tell(ring, "-ERR it is none\r\n");
    assert_int_equal(redis_cluster_find(cluster, "news", 4), 1);
    cluster->peers.turned(cluster, ring->servers[1], NULL, SPAN("MOVED 5161 h:1"));
    assert_int_equal(redis_cluster_find(cluster, "news", 4), 0);
    assert_false(redis_cluster_whole(cluster));
    tell(ring, "*1\r\n*3\r\n:5162\r\n:5170\r\n*2\r\n$1\r\ng\r\n:1\r\n");
    assert_int_equal(redis_cluster_find(cluster, "news", 4), REDIS_NOWHERE);
    assert_true(cluster->covered == 9 && cluster->owners == 2);
    redis_ring_free(ring);
}

/* No more of them than there is room for; one without slots gives way. */
static void test_many_masters(void **state)
{
    (void)state;
    struct redis_ring *ring = cluster_of();
    for (unsigned i = 0; i < 3 * REDIS_SERVERS_MAX; i++) {
        char error[32];
        int len = snprintf(error, sizeof error, "MOVED 1 n:%u", 7000 + i);
        ring->cluster->peers.turned(ring->cluster, ring->servers[0], NULL,
                                    span_of(error, (size_t)len));
        assert_in_range(ring->count, 1, REDIS_SERVERS_MAX);
    }
    unsigned owner = atomic_load(&ring->cluster->owner[1]);
    assert_int_equal(ring->servers[owner]->config.address.port, 7000 + 3 * REDIS_SERVERS_MAX - 1);
    for (unsigned i = 0; i < 3 * REDIS_SERVERS_MAX; i++) {
        char error[32];
        int len = snprintf(error, sizeof error, "MOVED %u m:%u", i, 7000 + i);
        ring->cluster->peers.turned(ring->cluster, ring->servers[0], NULL,
                                    span_of(error, (size_t)len));
    }
    assert_int_equal(ring->count, REDIS_SERVERS_MAX);
    assert_int_equal(atomic_load(&ring->cluster->owner[3 * REDIS_SERVERS_MAX - 1]), REDIS_NOWHERE);
    redis_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_redirects),    cmocka_unit_test(test_the_map),
        cmocka_unit_test(test_many_masters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
