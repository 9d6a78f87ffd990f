/* The same seed, the same fates; shares as they were asked for; nothing overtakes unasked. */
#include "phantom/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    LINES = 64,
    EACH = 2000,
};
#define MS INT64_C(1000000)

static struct network *made(struct network_config config)
{
    struct network *network;
    assert_true(network_wanted(&config));
    assert_int_equal(network_create(&network, &config, LINES), 0);
    for (uint32_t i = 0; i < LINES; i++)
        network_begin(network, i, MS);
    return network;
}

static bool pass(struct network *network, uint32_t line, uint32_t number, int64_t now_ns)
{
    return network_pass(network, line, NETWORK_TO_CLIENT, (const char *)&number, sizeof number,
                        NULL, 0, now_ns);
}

/* One bit for each packet; those of the lines come in turns, or one line after the other. */
static void fates(uint64_t seed, bool in_turns, unsigned char *ret)
{
    struct network *network = made((struct network_config){.seed = seed, .loss = 0.1});
    for (uint32_t i = 0; i < LINES * EACH; i++) {
        uint32_t line = in_turns ? i % LINES : i / EACH;
        uint32_t number = in_turns ? i / LINES : i % EACH;
        ret[line * EACH + number] = pass(network, line, number, (1 + i) * MS);
    }
    network_free(network);
}

static void test_seeded(void **state)
{
    (void)state;
    unsigned char *one = malloc(LINES * EACH), *other = malloc(LINES * EACH);
    assert_true(one && other);
    fates(7, true, one);
    fates(7, false, other);
    assert_memory_equal(one, other, LINES * EACH);
    fates(8, true, other);
    assert_memory_not_equal(one, other, LINES * EACH);
    free(one);
    free(other);
}

static void test_loss(void **state)
{
    (void)state;
    static const double bursts[] = {1, 4};
    for (size_t b = 0; b < 2; b++) {
        struct network *network =
            made((struct network_config){.seed = 3, .loss = 0.02, .loss_burst = bursts[b]});
        unsigned runs = 0, lost = 0;
        for (uint32_t line = 0; line < LINES; line++)
            for (uint32_t i = 0, before = 1; i < EACH; i++) {
                bool there = pass(network, line, i, 2 * MS);
                lost += !there;
                runs += !there && before;
                before = there;
            }
        assert_int_equal(network_counters(network)->lost, lost);
        assert_in_range(lost, LINES * EACH * 0.015, LINES * EACH * 0.025);
        assert_in_range(lost * 10 / runs, bursts[b] * 8, bursts[b] * 12);
        network_free(network);
    }
}

/* Each line's packets come in their order, unless some are let overtake. */
static unsigned overtaken(struct network_config config, uint64_t *ret_reordered)
{
    struct network *network = made(config);
    uint32_t last[LINES] = {0};
    unsigned wrong = 0, came = 0;
    const char *packet;
    size_t head_len;
    enum network_way way;
    for (int64_t ms = 1; ms < EACH + 1000; ms++) {
        for (uint32_t line = 0; line < LINES && ms <= EACH; line++) {
            uint32_t say[2] = {line, (uint32_t)ms};
            if (!network_pass(network, line, NETWORK_TO_CLIENT, (const char *)say, 4,
                              (const char *)&say[1], 4, ms * MS))
                continue;
            came++;
            wrong += last[line] + 1 != (uint32_t)ms;
        }
        while (network_next(network, ms * MS, &packet, &head_len, &way)) {
            uint32_t said[2];
            memcpy(said, packet, sizeof said);
            assert_int_equal(head_len, 4);
            assert_int_equal(way, NETWORK_TO_CLIENT);
            wrong += said[1] < last[said[0]];
            last[said[0]] = said[1];
            came++;
        }
    }
    assert_int_equal(came, LINES * EACH);
    assert_int_equal(network_wait_ns(network, 0, 5), 5);
    *ret_reordered = network_counters(network)->reordered;
    network_free(network);
    return wrong;
}

static void test_order(void **state)
{
    (void)state;
    uint64_t reordered;
    const struct network_config plain = {.seed = 1, .rtt_us = 50000, .jitter_us = 20000};
    assert_int_equal(overtaken(plain, &reordered), 0);
    struct network_config unruly = plain;
    unruly.reorder = 0.01;
    assert_true(overtaken(unruly, &reordered) > 0);
    assert_in_range(reordered, LINES * EACH * 0.007, LINES * EACH * 0.013);
}

static void test_narrow_line(void **state)
{
    (void)state;
    struct network *network =
        made((struct network_config){.seed = 1, .rate_bytes = 100000, .rtt_us = 20000});
    static const char bytes[1000];
    const char *packet;
    size_t head_len;
    enum network_way way;
    for (int i = 0; i < 10; i++)
        assert_false(
            network_pass(network, 0, NETWORK_TO_SERVER, bytes, sizeof bytes, NULL, 0, 10 * MS));
    for (int i = 1; i <= 10; i++) { /* 10 ms each, and half a round trip */
        int64_t due_ns = (10 + 10 + 10 * (int64_t)i) * MS;
        assert_int_equal(network_next(network, due_ns - 1, &packet, &head_len, &way), 0);
        assert_int_equal(network_wait_ns(network, due_ns - 1, MS), 1);
        assert_int_equal(network_next(network, due_ns, &packet, &head_len, &way), sizeof bytes);
        assert_int_equal(way, NETWORK_TO_SERVER);
    }
    network_free(network);
}

/* A line without a connection is not touched; what a connection was goes on where it moves to. */
static void test_moves(void **state)
{
    (void)state;
    struct network *network;
    const struct network_config config = {.seed = 1, .loss = 1};
    assert_int_equal(network_create(&network, &config, 2), 0);
    assert_true(pass(network, 0, 0, MS));
    network_begin(network, 0, MS);
    assert_false(pass(network, 0, 0, MS));
    network_move(network, 0, 1);
    assert_true(pass(network, 0, 0, MS));
    assert_false(pass(network, 1, 0, MS));
    network_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeded), cmocka_unit_test(test_loss),
        cmocka_unit_test(test_order),  cmocka_unit_test(test_narrow_line),
        cmocka_unit_test(test_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
