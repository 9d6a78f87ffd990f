#include "relay/delay.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    SIZE = 64,
    MARKS = 8,
};

struct world {
    struct delay delay;
    struct delay_mark marks[MARKS];
    char bytes[SIZE];
    struct histogram *late;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->late = histogram_create();
    assert_non_null(world->late);
    delay_init(&world->delay, world->bytes, SIZE, world->marks, MARKS);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    histogram_free(world->late);
    free(world);
    return 0;
}

static void push(struct world *world, const char *text, int64_t due_ns)
{
    size_t len = strlen(text);
    struct iovec room = delay_room(&world->delay);
    assert_true(room.iov_len >= len);
    memcpy(room.iov_base, text, len);
    delay_push(&world->delay, (uint32_t)len, due_ns);
}

static void expect(struct world *world, int64_t now_ns, const char *text)
{
    struct iovec due = delay_due(&world->delay, now_ns);
    assert_int_equal(due.iov_len, strlen(text));
    assert_memory_equal(due.iov_base, text, due.iov_len);
}

static void test_nothing_before_its_time(void **state)
{
    struct world *world = *state;
    assert_int_equal(delay_next_ns(&world->delay), DELAY_NEVER);
    push(world, "abc", 100);
    assert_int_equal(delay_next_ns(&world->delay), 100);
    expect(world, 99, "");
    expect(world, 100, "abc");
    push(world, "de", 150);
    expect(world, 149, "abc");
    expect(world, 150, "abcde");
    delay_take(&world->delay, 5, 150, world->late);
    assert_int_equal(delay_next_ns(&world->delay), DELAY_NEVER);
    expect(world, 1000, "");
}

static void test_order_survives_jitter(void **state)
{
    struct world *world = *state;
    push(world, "first", 200);
    push(world, "second", 120); /* a shorter delay does not overtake */
    expect(world, 199, "");
    expect(world, 200, "firstsecond");
}

static void test_lateness_is_counted_per_read(void **state)
{
    struct world *world = *state;
    push(world, "aaaa", 100);
    push(world, "bb", 110);
    delay_take(&world->delay, 3, 120, world->late); /* a short write: none is whole */
    assert_int_equal(histogram_count(world->late), 0);
    delay_take(&world->delay, 3, 130, world->late);
    assert_int_equal(histogram_count(world->late), 2);
    assert_int_equal(histogram_min(world->late), 20);
    assert_int_equal(histogram_max(world->late), 30);
}

static void test_full_of_bytes(void **state)
{
    struct world *world = *state;
    char text[SIZE + 1];
    memset(text, 'x', SIZE);
    text[SIZE] = '\0';
    push(world, text, 10);
    assert_int_equal(delay_room(&world->delay).iov_len, 0);
    delay_take(&world->delay, 10, 10, world->late);
    assert_int_equal(delay_room(&world->delay).iov_len, 10);
}

static void test_full_of_marks(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < MARKS - 1; i++)
        push(world, "x", i);
    assert_int_equal(delay_room(&world->delay).iov_len, 0);
    delay_end(&world->delay, MARKS); /* the end always has a place */
    delay_take(&world->delay, MARKS - 1, MARKS, world->late);
    assert_true(delay_over(&world->delay, MARKS));
}

static void test_the_end_waits_too(void **state)
{
    struct world *world = *state;
    push(world, "last", 100);
    delay_end(&world->delay, 120);
    assert_int_equal(delay_room(&world->delay).iov_len, 0);
    delay_take(&world->delay, 4, 105, world->late);
    assert_int_equal(delay_next_ns(&world->delay), 120);
    assert_false(delay_over(&world->delay, 119));
    assert_true(delay_over(&world->delay, 120));
}

/* Many reads and writes of changing length, around the ring again and again: the bytes are those
 * that were put in, in order. */
static void test_bytes_survive(void **state)
{
    struct world *world = *state;
    struct delay *delay = &world->delay;
    uint32_t random = 1;
    char in = 0, out = 0;
    for (int64_t now_ns = 0; now_ns < 20000; now_ns++) {
        random = random * 1103515245 + 12345;
        struct iovec room = delay_room(delay);
        uint32_t len = room.iov_len ? (random >> 16) % (uint32_t)room.iov_len + 1 : 0;
        for (uint32_t i = 0; i < len; i++)
            ((char *)room.iov_base)[i] = in++;
        if (len > 0)
            delay_push(delay, len, now_ns + (random >> 24) % 20);
        struct iovec due = delay_due(delay, now_ns);
        len = due.iov_len ? (random >> 8) % (uint32_t)due.iov_len + 1 : 0;
        for (uint32_t i = 0; i < len; i++)
            assert_int_equal(((char *)due.iov_base)[i], out++);
        delay_take(delay, len, now_ns, world->late);
    }
    assert_true(delay->taken > 20000);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_nothing_before_its_time),
        CASE(test_order_survives_jitter),
        CASE(test_lateness_is_counted_per_read),
        CASE(test_full_of_bytes),
        CASE(test_full_of_marks),
        CASE(test_the_end_waits_too),
        CASE(test_bytes_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
