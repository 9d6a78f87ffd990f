#include "conn/addresses.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <cmocka.h>

#define MS  INT64_C(1000000)
#define NOW (INT64_C(5000) * MS)

enum {
    ROW = ROW_ENTRIES,
    THREADS = 4,
    KEYS = 16,
    ROUNDS = 20000,
};

static struct addresses *with(struct addresses_config config)
{
    config.seed[0] = 1;
    config.seed[1] = 2;
    struct addresses *addresses = addresses_create(&config);
    assert_non_null(addresses);
    return addresses;
}

/* The example of the paper: key 00…0f, message 00…07. */
static void test_hash(void **state)
{
    (void)state;
    const uint64_t seed[] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    assert_int_equal(hash(seed, UINT64_C(0x0706050403020100)), UINT64_C(0x93f5f5799a932462));
}

static void test_connections(void **state)
{
    (void)state;
    struct addresses *addresses =
        with((struct addresses_config){.count = 64, .connections_max = 3});
    for (int i = 0; i < 3; i++)
        assert_int_equal(addresses_enter(addresses, 7, NOW), ADDRESS_IN);
    assert_int_equal(addresses_enter(addresses, 7, NOW), ADDRESS_TOO_MANY);
    assert_int_equal(addresses_enter(addresses, 8, NOW), ADDRESS_IN);
    addresses_leave(addresses, 7);
    assert_int_equal(addresses_enter(addresses, 7, NOW), ADDRESS_IN);
    assert_int_equal(addresses_enter(addresses, 7, NOW), ADDRESS_TOO_MANY);
    addresses_free(addresses);
}

static void test_rate(void **state)
{
    (void)state;
    struct addresses *addresses = with((struct addresses_config){
        .count = 64, .per_s = {[ADDRESS_REQUESTS] = 10}, .burst_ns = 300 * MS});
    /* What is there at once: as many as the rate lets in in the burst, and the one that is due. */
    for (int i = 0; i < 4; i++)
        assert_int_equal(addresses_take(addresses, 7, ADDRESS_REQUESTS, NOW), 0);
    assert_int_equal(addresses_take(addresses, 7, ADDRESS_REQUESTS, NOW), 100 * MS);
    assert_int_equal(addresses_take(addresses, 7, ADDRESS_REQUESTS, NOW + 99 * MS), 1 * MS);
    assert_int_equal(addresses_take(addresses, 7, ADDRESS_REQUESTS, NOW + 100 * MS), 0);
    assert_int_equal(addresses_take(addresses, 7, ADDRESS_REQUESTS, NOW + 100 * MS), 100 * MS);
    /* What others take, and what has no limit, is not touched. */
    assert_int_equal(addresses_take(addresses, 8, ADDRESS_REQUESTS, NOW), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(addresses_take(addresses, 7, ADDRESS_PUBLISHES, NOW), 0);
        assert_int_equal(addresses_take(addresses, 0, ADDRESS_REQUESTS, NOW), 0);
        assert_int_equal(addresses_enter(addresses, 7, NOW), ADDRESS_IN);
    }
    /* A year later it is as in the beginning. */
    int64_t later = NOW + INT64_C(365) * 86400 * 1000 * MS;
    for (int i = 0; i < 4; i++)
        assert_int_equal(addresses_take(addresses, 7, ADDRESS_REQUESTS, later), 0);
    assert_int_equal(addresses_take(addresses, 7, ADDRESS_REQUESTS, later), 100 * MS);
    addresses_free(addresses);
}

static void test_connects(void **state)
{
    (void)state;
    struct addresses *addresses = with((struct addresses_config){
        .count = 64, .connections_max = 2, .per_s = {[ADDRESS_CONNECTS] = 1}});
    assert_int_equal(addresses_enter(addresses, 7, NOW), ADDRESS_IN);
    /* Who comes too fast is not counted as open. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(addresses_enter(addresses, 7, NOW + 999 * MS), ADDRESS_TOO_FAST);
    assert_int_equal(addresses_enter(addresses, 7, NOW + 1000 * MS), ADDRESS_IN);
    assert_int_equal(addresses_enter(addresses, 7, NOW + 2000 * MS), ADDRESS_TOO_MANY);
    addresses_leave(addresses, 7);
    addresses_leave(addresses, 7);
    addresses_free(addresses);
}

/* Entries with connections are kept, and who finds no place is let in without being counted. */
static void test_full_row(void **state)
{
    (void)state;
    struct addresses *addresses =
        with((struct addresses_config){.count = ROW, .connections_max = 1});
    for (uint64_t key = 1; key <= ROW; key++)
        assert_int_equal(addresses_enter(addresses, key, NOW), ADDRESS_IN);
    assert_int_equal(addresses_enter(addresses, 99, NOW), ADDRESS_UNTRACKED);
    for (uint64_t key = 1; key <= ROW; key++)
        assert_int_equal(addresses_enter(addresses, key, NOW), ADDRESS_TOO_MANY);
    addresses_leave(addresses, 3);
    assert_int_equal(addresses_enter(addresses, 99, NOW), ADDRESS_IN);
    assert_int_equal(addresses_enter(addresses, 3, NOW), ADDRESS_UNTRACKED);
    addresses_free(addresses);
}

/* The one that is forgotten is the one whose bucket is empty soonest. */
static void test_forgets(void **state)
{
    (void)state;
    struct addresses *addresses =
        with((struct addresses_config){.count = ROW, .per_s = {[ADDRESS_REQUESTS] = 1}});
    for (uint64_t key = 1; key <= ROW; key++)
        assert_int_equal(
            addresses_take(addresses, key, ADDRESS_REQUESTS, NOW + (int64_t)(10 - key) * MS), 0);
    assert_int_equal(addresses_take(addresses, 99, ADDRESS_REQUESTS, NOW + 20 * MS), 0);
    assert_true(addresses_take(addresses, 1, ADDRESS_REQUESTS, NOW + 20 * MS) > 0);
    assert_true(addresses_take(addresses, ROW - 1, ADDRESS_REQUESTS, NOW + 20 * MS) > 0);
    /* Forgotten, and so it begins anew. */
    assert_int_equal(addresses_take(addresses, ROW, ADDRESS_REQUESTS, NOW + 20 * MS), 0);
    addresses_free(addresses);
}

/* As many addresses as half of the entries: next to all have a place. */
static void test_spread(void **state)
{
    (void)state;
    enum {
        COUNT = 1 << 12
    };
    struct addresses *addresses =
        with((struct addresses_config){.count = COUNT, .connections_max = 1});
    int untracked = 0;
    for (uint64_t key = 1; key <= COUNT / 2; key++)
        untracked += addresses_enter(addresses, key << 32, NOW) == ADDRESS_UNTRACKED;
    assert_true(untracked < COUNT / 2 / 25);
    addresses_free(addresses);
}

static struct addresses *shared;

/* Comes and goes on a few addresses, which all threads want; more addresses than have places. */
static void *come_and_go(void *context)
{
    uint64_t random = (uint64_t)(uintptr_t)context;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t key = (random >> 33) % KEYS;
        addresses_take(shared, key + 1, ADDRESS_REQUESTS, NOW + i);
        if (addresses_enter(shared, key + 1, NOW + i) != ADDRESS_IN)
            continue;
        addresses_leave(shared, key + 1);
    }
    return NULL;
}

/* In the end all that was counted has been given back: a leave that finds nothing would fail, and
 * what is left over would show. */
static void test_threads(void **state)
{
    (void)state;
    shared = with((struct addresses_config){
        .count = ROW, .connections_max = 2, .per_s = {[ADDRESS_REQUESTS] = 1000}});
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < ROW; i++)
        assert_int_equal(word_of(shared->rows, i) & COUNT_MASK, 0);
    addresses_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),     cmocka_unit_test(test_connections),
        cmocka_unit_test(test_rate),     cmocka_unit_test(test_connects),
        cmocka_unit_test(test_full_row), cmocka_unit_test(test_forgets),
        cmocka_unit_test(test_spread),   cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
