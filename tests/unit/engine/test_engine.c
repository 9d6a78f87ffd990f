/* Which engine is chosen, and how many connections descriptors allow. What a kernel that forbids
 * io_uring does is tested with a running server, in tests/integration/test_engine.py. */
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

static void serves(const char *wanted, const char *name)
{
    struct engine engine;
    struct ring *ring;
    char why[256] = "";
    const struct ring_config config = {.capacity = 16};
    assert_int_equal(engine_choose(&engine, wanted, why, sizeof why), 0);
    assert_string_equal(engine.name, name);
    assert_true(engine.descriptors > 0);
    assert_int_equal(engine.ring_create(&ring, &config, why, sizeof why), 0);
    assert_string_equal(ring->engine->name, name);
    ring_free(ring);
}

static void each_is_chosen_by_its_name(void **state)
{
    (void)state;
    const char *best = ring_is_direct() ? "io_uring" : "io_uring_fd";
    serves("epoll", "epoll");
    serves("io_uring_fd", "io_uring_fd");
    serves("io_uring", best);
    serves("auto", best);
}

/* Who gets what was asked for is told so, and else why not. */
static void the_reason_is_that_of_another(void **state)
{
    (void)state;
    static const char *const names[] = {"epoll", "io_uring_fd", "io_uring", "auto"};
    for (int i = 0; i < 4; i++) {
        struct engine engine;
        char why[256] = "";
        assert_int_equal(engine_choose(&engine, names[i], why, sizeof why), 0);
        assert_int_equal(engine.reason[0] != '\0', i >= 2 && !ring_is_direct());
        assert_string_equal(why, "");
    }
}

static void another_name_is_an_error(void **state)
{
    (void)state;
    struct engine engine;
    char why[256] = "";
    assert_int_equal(engine_choose(&engine, "kqueue", why, sizeof why), -EINVAL);
    assert_string_equal(why, "engine = kqueue: needs auto, io_uring, io_uring_fd or epoll");
}

static void only_direct_descriptors_are_no_bound(void **state)
{
    (void)state;
    struct engine uring = {.descriptors = 20, .table_slots = 32, .ring_create = ring_uring_create};
    assert_true(engine_connections_max(&uring, 256) == UINT64_MAX);
    struct engine fd = {.descriptors = 20, .ring_create = ring_uring_fd_create};
    assert_true(engine_connections_max(&fd, 4) == 4);
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
        cmocka_unit_test(the_reason_is_that_of_another),
        cmocka_unit_test(only_direct_descriptors_are_no_bound),
        cmocka_unit_test(what_is_allowed_fits),
        cmocka_unit_test(what_is_said_to_be_needed_is_enough),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
