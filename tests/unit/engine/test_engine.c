/* Which engine is chosen, and how many connections descriptors allow. What a kernel that forbids
 * io_uring does is tested with a running server, in tests/integration/test_epoll.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine.c"

static struct engine epoll_with(uint64_t descriptors)
{
    struct engine engine = {.descriptors = descriptors};
    use_epoll(&engine);
    return engine;
}

static void each_is_chosen_by_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {"epoll", "io_uring"};
    for (int i = 0; i < 2; i++) {
        struct engine engine;
        char why[256] = "";
        assert_int_equal(engine_choose(&engine, names[i], why, sizeof why), 0);
        assert_string_equal(engine.name, names[i]);
        assert_string_equal(engine.reason, "");
        assert_true(engine.descriptors > 0);
        struct ring *ring;
        const struct ring_config config = {.capacity = 16};
        assert_int_equal(engine.ring_create(&ring, &config, why, sizeof why), 0);
        assert_string_equal(ring->engine->name, names[i]);
        ring_free(ring);
    }
}

static void another_name_is_an_error(void **state)
{
    (void)state;
    struct engine engine;
    char why[256] = "";
    assert_int_equal(engine_choose(&engine, "kqueue", why, sizeof why), -EINVAL);
    assert_string_equal(why, "engine = kqueue: needs auto, io_uring or epoll");
}

static void only_epoll_is_bounded(void **state)
{
    (void)state;
    struct engine uring = {.descriptors = 20, .ring_create = ring_uring_create};
    assert_true(engine_connections_max(&uring, 256) == UINT64_MAX);
    struct engine none = epoll_with(20);
    assert_true(engine_connections_max(&none, 4) == 4);
    struct engine unlimited = epoll_with(UINT64_MAX);
    assert_true(engine_connections_max(&unlimited, 4) > UINT64_C(1) << 62);
}

/* Every shard may hold an eighth more than its share and 64: all of them together must fit. */
static void what_is_allowed_fits(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 256; shards *= 2) {
        for (uint64_t descriptors = 1024 * shards; descriptors < 4000000; descriptors *= 3) {
            struct engine engine = epoll_with(descriptors);
            uint64_t most = engine_connections_max(&engine, shards);
            uint64_t share = (most + shards - 1) / shards;
            assert_true(shards * (share + share / SPARE_SHARE + DESCRIPTORS_OF_SHARD) +
                            DESCRIPTORS_OF_PROCESS <=
                        descriptors);
        }
    }
}

static void what_is_said_to_be_needed_is_enough(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 256; shards *= 4) {
        for (uint64_t connections = shards; connections < 4000000;
             connections = connections * 3 + 1) {
            struct engine engine = epoll_with(engine_descriptors_needed(connections, shards));
            assert_true(engine_connections_max(&engine, shards) >= connections);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_chosen_by_its_name),
        cmocka_unit_test(another_name_is_an_error),
        cmocka_unit_test(only_epoll_is_bounded),
        cmocka_unit_test(what_is_allowed_fits),
        cmocka_unit_test(what_is_said_to_be_needed_is_enough),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
