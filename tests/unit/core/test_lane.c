/* The module is included, so that the bell can be looked at without being exported. */
#include "core/lane.c"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum {
    TINY_SLOTS = 4,
    SENT = 100000, /* items in the test with threads */
};

struct word {
    uint64_t value;
    unsigned char rest[LANE_SLOT_BYTES - sizeof(uint64_t)];
};
static_assert(sizeof(struct word) == LANE_SLOT_BYTES, "one slot");

static int push(struct lane_set *set, unsigned source, unsigned target, uint64_t value)
{
    struct word word = {.value = value};
    return lane_push(set, source, target, &word);
}

/* Pops one and checks it. */
static void pop(struct lane_set *set, unsigned source, unsigned target, uint64_t value)
{
    struct word word;
    bool wake;
    assert_int_equal(lane_pop(set, source, target, &word, 1, &wake), 1);
    assert_int_equal(word.value, value);
    assert_false(wake);
}

static bool is_empty(struct lane_set *set, unsigned source, unsigned target)
{
    struct word word;
    bool wake;
    return lane_pop(set, source, target, &word, 1, &wake) == 0;
}

static void test_slots(void **state)
{
    (void)state;
    static const struct {
        unsigned shards, slots;
    } known[] = {{1, 4096}, {2, 4096}, {16, 4096}, {53, 256}, {106, 64}, {128, 64}, {256, 64}};
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal(lane_slots(known[i].shards), known[i].slots);
    for (unsigned shards = 1; shards <= LANE_PARTICIPANTS_MAX; shards++) {
        unsigned slots = lane_slots(shards);
        assert_true((slots & (slots - 1)) == 0);
        assert_in_range(slots, LANE_SLOTS_MIN, LANE_SLOTS_MAX);
        assert_true(slots == LANE_SLOTS_MIN || slots * shards * shards <= LANE_SLOTS_TOTAL);
    }
}

static void test_order_and_bound(void **state)
{
    (void)state;
    struct lane_set *set = lane_set_create(2, TINY_SLOTS);
    uint64_t in = 0;
    uint64_t out = 0;
    /* Odd rounds against an even ring: every place is the first once. */
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(push(set, 0, 1, in++), 0);
        lane_flush(set, 0, 1);
        for (unsigned i = 0; i < 3; i++)
            pop(set, 0, 1, out++);
        assert_true(is_empty(set, 0, 1));
    }
    for (unsigned i = 0; i < TINY_SLOTS; i++)
        assert_int_equal(push(set, 0, 1, in++), 0);
    assert_int_equal(push(set, 0, 1, in), -ENOBUFS);
    lane_flush(set, 0, 1);
    pop(set, 0, 1, out++);
    assert_int_equal(push(set, 0, 1, in), 0);
    assert_int_equal(push(set, 0, 1, in), -ENOBUFS);
    lane_set_free(set);
}

static void test_unseen_before_flush(void **state)
{
    (void)state;
    struct lane_set *set = lane_set_create(2, TINY_SLOTS);
    struct lane_bits ready = {0};
    push(set, 0, 1, 7);
    lane_ready(set, 1, &ready);
    assert_false(lane_bits_any(&ready));
    assert_true(is_empty(set, 0, 1));
    lane_flush(set, 0, 1);
    lane_ready(set, 1, &ready);
    assert_true(lane_bits_has(&ready, 0));
    pop(set, 0, 1, 7);
    /* Nothing new: nothing is announced. */
    ready = (struct lane_bits){0};
    assert_false(lane_flush(set, 0, 1));
    lane_ready(set, 1, &ready);
    assert_false(lane_bits_any(&ready));
    lane_set_free(set);
}

static void test_lanes_apart(void **state)
{
    (void)state;
    struct lane_set *set = lane_set_create(LANE_PARTICIPANTS_MAX, TINY_SLOTS);
    const unsigned target = 200;
    for (unsigned source = 0; source < LANE_PARTICIPANTS_MAX; source++) {
        push(set, source, target, 1000 + source);
        push(set, target, source, 2000 + source);
        lane_flush(set, source, target);
        if (source != target)
            lane_flush(set, target, source);
    }
    struct lane_bits ready = {0};
    unsigned seen = 0;
    lane_ready(set, target, &ready);
    for (unsigned source = lane_bits_next(&ready, 0); source < LANE_PARTICIPANTS_MAX;
         source = lane_bits_next(&ready, source + 1)) {
        assert_int_equal(source, seen++);
        pop(set, source, target, 1000 + source);
        if (source != target)
            pop(set, target, source, 2000 + source);
    }
    assert_int_equal(seen, LANE_PARTICIPANTS_MAX);
    lane_set_free(set);
}

static void test_bits(void **state)
{
    (void)state;
    struct lane_bits bits = {0};
    assert_false(lane_bits_any(&bits));
    assert_int_equal(lane_bits_next(&bits, 0), LANE_PARTICIPANTS_MAX);
    lane_bits_add(&bits, 63);
    lane_bits_add(&bits, 64);
    lane_bits_add(&bits, 255);
    assert_int_equal(lane_bits_next(&bits, 0), 63);
    assert_int_equal(lane_bits_next(&bits, 64), 64);
    assert_int_equal(lane_bits_next(&bits, 65), 255);
    lane_bits_remove(&bits, 255);
    assert_false(lane_bits_has(&bits, 255));
    assert_int_equal(lane_bits_next(&bits, 65), LANE_PARTICIPANTS_MAX);
}

static void test_bell_rings_once(void **state)
{
    (void)state;
    struct lane_set *set = lane_set_create(3, TINY_SLOTS);
    push(set, 0, 2, 1);
    assert_false(lane_flush(set, 0, 2)); /* awake: nobody is to be woken */
    assert_false(lane_sleep(set, 2));    /* something came before the wait */

    struct lane_bits ready = {0};
    lane_ready(set, 2, &ready);
    pop(set, 0, 2, 1);
    assert_true(lane_sleep(set, 2));
    push(set, 0, 2, 2);
    push(set, 1, 2, 3);
    assert_true(lane_flush(set, 0, 2));
    assert_false(lane_flush(set, 1, 2)); /* somebody else wakes it */

    lane_awake(set, 2);
    push(set, 0, 2, 4);
    assert_false(lane_flush(set, 0, 2));
    lane_set_free(set);
}

static void test_room_rings_too(void **state)
{
    (void)state;
    struct lane_set *set = lane_set_create(2, TINY_SLOTS);
    for (unsigned i = 0; i < TINY_SLOTS; i++)
        push(set, 0, 1, i);
    lane_flush(set, 0, 1);
    assert_false(lane_starve(set, 0, 1));
    assert_true(lane_sleep(set, 0));

    struct word words[TINY_SLOTS];
    bool wake;
    assert_int_equal(lane_pop(set, 0, 1, words, 2, &wake), 2);
    assert_true(wake);
    assert_int_equal(lane_pop(set, 0, 1, words, 2, &wake), 2);
    assert_false(wake);

    /* Its own inbox says why, so it would not have slept had the pop come earlier. */
    assert_false(lane_sleep(set, 0));
    assert_true(lane_starve(set, 0, 1));
    lane_set_free(set);
}

/* ---- two threads that really sleep ---- */

struct pair {
    struct lane_set *set;
    sem_t bells[2];
};

/* A wake that was lost leaves both waiting: the test's time limit tells. */
static void wait_for_bell(struct pair *pair, unsigned shard)
{
    if (lane_sleep(pair->set, shard))
        sem_wait(&pair->bells[shard]);
    lane_awake(pair->set, shard);
    struct lane_bits ready = {0};
    lane_ready(pair->set, shard, &ready);
}

static void *send_all(void *arg)
{
    struct pair *pair = arg;
    for (uint64_t value = 0; value < SENT;) {
        while (value < SENT && push(pair->set, 0, 1, value) == 0)
            value++;
        if (lane_flush(pair->set, 0, 1))
            sem_post(&pair->bells[1]);
        if (value < SENT && !lane_starve(pair->set, 0, 1))
            wait_for_bell(pair, 0);
    }
    return NULL;
}

static void *take_all(void *arg)
{
    struct pair *pair = arg;
    struct word words[3];
    for (uint64_t value = 0; value < SENT;) {
        bool wake;
        unsigned count = lane_pop(pair->set, 0, 1, words, 3, &wake);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(words[i].value, value++);
        if (wake)
            sem_post(&pair->bells[0]);
        if (count == 0)
            wait_for_bell(pair, 1);
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct pair pair = {.set = lane_set_create(2, TINY_SLOTS)};
    sem_init(&pair.bells[0], 0, 0);
    sem_init(&pair.bells[1], 0, 0);
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_all, &pair), 0);
    take_all(&pair);
    pthread_join(sender, NULL);
    assert_true(is_empty(pair.set, 0, 1));
    sem_destroy(&pair.bells[0]);
    sem_destroy(&pair.bells[1]);
    lane_set_free(pair.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_order_and_bound),
        cmocka_unit_test(test_unseen_before_flush),
        cmocka_unit_test(test_lanes_apart),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_bell_rings_once),
        cmocka_unit_test(test_room_rings_too),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
