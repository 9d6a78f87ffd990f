/* Where channels are, of several Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "broker/redis_ring.h"

enum {
    CHANNELS = 30000,
    SERVERS = 4,
};

static struct redis_ring *ring_of(unsigned count)
{
    struct redis_config config = {.prefix = "r"};
    struct redis_ring *ring = redis_ring_create();
    assert_non_null(ring);
    for (unsigned i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.0.0.%u:6379", i + 1);
        assert_int_equal(redis_ring_add(ring, &config, text), 0);
        assert_int_equal(config.follows, i > 0);
    }
    return ring;
}

static unsigned find(const struct redis_ring *ring, unsigned channel)
{
    char name[32];
    int len = snprintf(name, sizeof name, "news-%u", channel);
    return redis_ring_find(ring, name, (size_t)len);
}

static void test_shares(void **state)
{
    (void)state;
    struct redis_ring *ring = ring_of(SERVERS);
    unsigned counts[SERVERS] = {0};
    for (unsigned i = 0; i < CHANNELS; i++)
        counts[find(ring, i)]++;
    for (unsigned i = 0; i < SERVERS; i++)
        assert_in_range(counts[i], CHANNELS / SERVERS * 3 / 4, CHANNELS / SERVERS * 5 / 4);
    redis_ring_free(ring);
}

/* Channels that move go to the one that came. */
static void test_one_more(void **state)
{
    (void)state;
    struct redis_ring *before = ring_of(SERVERS - 1), *after = ring_of(SERVERS);
    unsigned moved = 0;
    for (unsigned i = 0; i < CHANNELS; i++) {
        unsigned from = find(before, i), to = find(after, i);
        assert_true(from == to || to == SERVERS - 1);
        moved += from != to;
    }
    assert_in_range(moved, CHANNELS / SERVERS * 3 / 4, CHANNELS / SERVERS * 5 / 4);
    redis_ring_free(before);
    redis_ring_free(after);
}

static void test_scopes_are_the_parts(void **state)
{
    (void)state;
    struct redis_ring *ring = ring_of(SERVERS), *one = ring_of(1);
    for (unsigned i = 0; i < 100; i++) {
        char name[32];
        size_t len = (size_t)snprintf(name, sizeof name, "news-%u", i);
        for (unsigned server = 0; server < SERVERS; server++) {
            const struct remote_scope *scope = &ring->parts[server].scope;
            assert_int_equal(scope->has(scope, name, len), find(ring, i) == server);
        }
        assert_int_equal(find(one, i), 0);
    }
    redis_ring_free(ring);
    redis_ring_free(one);
}

/* What is stored is found by it: it must never change. */
static void test_places_are_for_ever(void **state)
{
    (void)state;
    struct redis_ring *ring = ring_of(SERVERS);
    char seen[17] = {0};
    for (unsigned i = 0; i < 16; i++)
        seen[i] = (char)('0' + find(ring, i));
    assert_string_equal(seen, "2303021322331333");
    redis_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_one_more),
        cmocka_unit_test(test_scopes_are_the_parts),
        cmocka_unit_test(test_places_are_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
