/* What differs by namespace: how much is kept and how long, recovery, latest state, the rate. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

static struct namespaces namespaces;

static void set(const char *name, const char *key, const char *value)
{
    char why[256];
    assert_int_equal(namespaces_set(&namespaces, span_from(name), key, value, why, sizeof why), 0);
}

static struct hub_config config_with_namespaces(void)
{
    struct hub_config config = world_config();
    namespaces_default(&namespaces);
    config.namespaces = &namespaces;
    return config;
}

static const struct event *ask(struct world *world, const char *name, struct hub_since since)
{
    world->seen = world->count;
    assert_int_equal(world_read(world, 0, 1, name, since), 0);
    world_settle(world);
    const struct event *event = world_next(world, EVENT_READ);
    assert_non_null(event);
    return event;
}

static void publish(struct world *world, const char *name, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(world_publish(world, 0, 0, name, 1), 0);
    world_settle(world);
}

static unsigned kept(struct world *world, const char *name)
{
    return ask(world, name, since_start())->count;
}

static void test_history(void **state)
{
    (void)state;
    struct hub_config config = config_with_namespaces();
    config.history_messages_max = 5;
    config.history_age_ns = 1000000000;
    set("few", "history_messages", "2");
    set("none", "history_messages", "0");
    set("small", "history_bytes", "1");
    set("short", "history_age_ms", "10");
    struct world *world = world_open(&config);
    static const char *const names[] = {"a", "few:a", "none:a", "small:a", "short:a"};
    static const unsigned counts[] = {5, 2, 0, 1, 5};
    for (unsigned i = 0; i < 5; i++) {
        publish(world, names[i], 7);
        assert_int_equal(kept(world, names[i]), counts[i]);
    }
    /* One that lives shorter is forgotten without anybody asking, whatever lives longer. */
    assert_int_equal(world_stats(world, 0).history_messages, 13);
    world_pass(world, 10000000);
    assert_int_equal(world_stats(world, 0).history_messages, 8);
    world_pass(world, 990000000);
    assert_int_equal(world_stats(world, 0).history_messages, 0);
    world_close(world);
}

/* The total gives way where it was longest not published, in whatever namespace. */
static void test_total(void **state)
{
    (void)state;
    struct hub_config config = config_with_namespaces();
    config.history_age_ns = 1000000000;
    set("few", "history_age_ms", "5000");
    struct world *world = world_open(&config);
    publish(world, "a", 1);
    uint64_t cost = world_stats(world, 0).history_bytes;
    world_close(world);
    config.history_total_bytes_max = 3 * cost + 8;
    world = world_open(&config);
    publish(world, "few:a", 1);
    world_pass(world, 1000);
    publish(world, "b", 1);
    world_pass(world, 1000);
    publish(world, "c", 2);
    assert_int_equal(kept(world, "few:a"), 0);
    assert_int_equal(kept(world, "b"), 1);
    publish(world, "few:b", 1);
    assert_int_equal(kept(world, "b"), 0);
    assert_int_equal(kept(world, "few:b"), 1);
    world_close(world);
}

static void test_no_recovery(void **state)
{
    (void)state;
    struct hub_config config = config_with_namespaces();
    set("off", "recovery", "off");
    struct world *world = world_open(&config);
    publish(world, "off:a", 3);
    uint64_t epoch = ask(world, "off:a", since_now())->epoch;
    assert_true(ask(world, "off:a", since_position(epoch, 3))->recovered);
    assert_false(ask(world, "off:a", since_position(epoch, 2))->recovered);
    assert_int_equal(ask(world, "off:a", since_position(epoch, 2))->count, 0);
    assert_int_equal(kept(world, "off:a"), 3);
    world_close(world);
}

static void test_latest_state(void **state)
{
    (void)state;
    struct hub_config config = config_with_namespaces();
    config.history_age_ns = 1000;
    set("last", "latest_state", "on");
    struct world *world = world_open(&config);
    publish(world, "last:a", 10);
    uint64_t epoch = ask(world, "last:a", since_now())->epoch;
    const struct hub_since before[] = {
        since_position(epoch, 0),      since_position(epoch, 9), since_position(epoch, 11),
        since_position(epoch + 1, 10), since_position(0, 0),     since_start(),
    };
    for (unsigned i = 0; i < sizeof before / sizeof before[0]; i++) {
        const struct event *event = ask(world, "last:a", before[i]);
        assert_int_equal(event->recovered, before[i].from == HUB_FROM_POSITION);
        assert_int_equal(event->count, 1);
        assert_int_equal(event->first, 10);
        assert_int_equal(event->offset, 10);
    }
    const struct event *event = ask(world, "last:a", since_position(epoch, 10));
    assert_true(event->recovered);
    assert_int_equal(event->count, 0);
    /* A subscriber is given the same, and then what comes. */
    uint32_t chain = HUB_NONE;
    world_subscribe(world, 0, &chain, 7, "last:a", since_position(epoch, 3));
    world_settle(world);
    event = world_next(world, EVENT_SUBSCRIBED);
    assert_true(event->recovered && event->count == 1 && event->first == 10);
    publish(world, "last:a", 1);
    event = world_next(world, EVENT_DELIVER);
    assert_true(event->count == 1 && event->first == 11);
    /* Forgotten, there is no state. */
    world_pass(world, 1000);
    assert_false(ask(world, "last:a", since_position(epoch, 3))->recovered);
    assert_true(ask(world, "last:a", since_position(epoch, 11))->recovered);
    world_close(world);
}

static void test_rate(void **state)
{
    (void)state;
    struct hub_config config = config_with_namespaces();
    set("slow", "publishes_per_s", "10");
    struct world *world = world_open(&config);
    /* A second's worth at once, and no more. */
    for (unsigned i = 0; i < 12; i++) {
        publish(world, "slow:a", 1);
        assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, i < 10 ? 0 : -EBUSY);
    }
    world_pass(world, 100000000);
    publish(world, "slow:a", 2);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, 0);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, -EBUSY);
    publish(world, "slow:b", 1);
    assert_int_equal(world_next(world, EVENT_PUBLISHED)->err, 0);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history),     cmocka_unit_test(test_total),
        cmocka_unit_test(test_no_recovery), cmocka_unit_test(test_latest_state),
        cmocka_unit_test(test_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
