/* The queue behind a full socket: what goes when room has to be made, and in which order the rest
 * stays. */
#include "conn/send_queue.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    ENTRIES_MAX = 64,
    FRAME_BYTES = 100,
};

struct fixture {
    struct blocks blocks;
    struct send_queue queue;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    queue_clear(&fixture->queue, &fixture->blocks);
    assert_int_equal(queue_bytes(&fixture->queue), 0);
    assert_int_equal(fixture->queue.keeps, 0);
    assert_null(fixture->queue.frames);
    assert_int_equal(fixture->queue.pong, 0);
    blocks_done(&fixture->blocks);
    assert_int_equal(fixture->blocks.bytes, 0);
    free(fixture);
    return 0;
}

static enum send_kind kind_of(char letter)
{
    return letter == 'L'   ? SEND_LIVE
           : letter == 'P' ? SEND_PONG
           : letter == 'R' ? SEND_REPLAY
                           : SEND_CONTROL;
}

/* `L` is a live frame, `C` one of control, `R` a replay, `P` a pong; each says its number by its
 * length. */
static void fill(struct fixture *fixture, const char *kinds)
{
    static const char bytes[FRAME_BYTES + ENTRIES_MAX];
    for (uint32_t i = 0; kinds[i]; i++) {
        struct frame frame = blocks_copy(&fixture->blocks, bytes, FRAME_BYTES + i);
        const struct queued_frame entry = {
            .block = frame.block,
            .at = frame.at,
            .len = frame.len,
            .messages = kinds[i] == 'L' ? 2 : 0,
            .kind = (uint8_t)kind_of(kinds[i]),
        };
        assert_int_equal(queue_push(&fixture->queue, &fixture->blocks, &entry), 0);
    }
}

static unsigned drop(struct fixture *fixture, uint64_t bytes)
{
    return queue_drop_live(&fixture->queue, &fixture->blocks, bytes);
}

static void pop(struct fixture *fixture)
{
    block_unref(&fixture->blocks, queue_take(&fixture->queue).block);
}

static void expect(struct fixture *fixture, const uint32_t *numbers, uint32_t count)
{
    struct send_queue *queue = &fixture->queue;
    uint64_t bytes = 0;
    assert_int_equal(queue->count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(queue_at(queue, i)->len, FRAME_BYTES + numbers[i]);
        bytes += queue_at(queue, i)->len;
    }
    assert_int_equal(queue_bytes(queue), bytes);
    assert_int_equal(queue_places(queue), count * sizeof(struct queued_frame));
}

static void the_oldest_live_ones_go_until_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "LLLLL");
    assert_int_equal(drop(fixture, FRAME_BYTES + 1), 2);
    expect(fixture, (const uint32_t[]){1, 2, 3, 4}, 4);
    assert_int_equal(drop(fixture, 2 * FRAME_BYTES), 4);
    expect(fixture, (const uint32_t[]){3, 4}, 2);
}

static void what_must_stay_keeps_its_order(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "CLRLCL");
    assert_int_equal(drop(fixture, FRAME_BYTES + 50), 4);
    expect(fixture, (const uint32_t[]){0, 2, 4, 5}, 4);
    assert_int_equal(drop(fixture, UINT64_MAX), 2);
    expect(fixture, (const uint32_t[]){0, 2, 4}, 3);
    assert_int_equal(drop(fixture, UINT64_MAX), 0);
    expect(fixture, (const uint32_t[]){0, 2, 4}, 3);
}

/* The circle has wrapped, so that moving entries crosses its end. */
static void it_works_across_the_end_of_the_circle(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "LLL");
    pop(fixture);
    pop(fixture);
    fill(fixture, "CLC");
    assert_int_equal(fixture->queue.size, 4);
    assert_int_equal(drop(fixture, UINT64_MAX), 4);
    expect(fixture, (const uint32_t[]){0, 2}, 2);
}

static void dropping_nothing_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(drop(fixture, 1000), 0);
    fill(fixture, "LC");
    assert_int_equal(drop(fixture, 0), 0);
    expect(fixture, (const uint32_t[]){0, 1}, 2);
}

/* Sizes and offsets in a block, and what a send has taken, are numbers of 32 bits. */
static void a_frame_beyond_the_bound_has_no_room(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "L");
    assert_null(blocks_reserve(&fixture->blocks, (size_t)BLOCK_BYTES_MAX + 1));
    assert_null(blocks_reserve(&fixture->blocks, (size_t)1 << 32));
    expect(fixture, (const uint32_t[]){0}, 1);
}

/* RFC 6455 section 5.5.3. It keeps its place, or a flood of pings would keep it from leaving. */
static void the_newest_pong_takes_the_place_of_the_one_that_waits(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "LPLP");
    expect(fixture, (const uint32_t[]){0, 3, 2}, 3);
    assert_int_equal(fixture->queue.pong, 2);
    pop(fixture);
    pop(fixture);
    assert_int_equal(fixture->queue.pong, 0);
    fill(fixture, "P");
    expect(fixture, (const uint32_t[]){2, 0}, 2);
}

static void a_pong_is_found_wherever_dropping_has_moved_it(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "LLPLCL");
    assert_int_equal(drop(fixture, FRAME_BYTES), 2);
    assert_int_equal(fixture->queue.pong, 2);
    assert_int_equal(drop(fixture, UINT64_MAX), 6);
    expect(fixture, (const uint32_t[]){2, 4}, 2);
    assert_int_equal(fixture->queue.pong, 1);
    fill(fixture, "LP");
    expect(fixture, (const uint32_t[]){1, 4, 0}, 3);
}

static void what_is_put_back_is_first(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "CPL");
    struct queued_frame first = queue_take(&fixture->queue);
    assert_int_equal(fixture->queue.pong, 1);
    assert_int_equal(queue_put_back(&fixture->queue, &first), 0);
    assert_int_equal(fixture->queue.pong, 2);
    expect(fixture, (const uint32_t[]){0, 1, 2}, 3);
}

/* What a long queue took it gives back with its frames. */
static void a_queue_that_was_long_is_not_kept_so(void **state)
{
    struct fixture *fixture = *state;
    struct send_queue *queue = &fixture->queue;
    for (unsigned i = 0; i < ENTRIES_MAX; i++)
        fill(fixture, "L");
    fill(fixture, "C");
    assert_true(queue_room(queue) >= queue_places(queue));
    drop(fixture, UINT64_MAX);
    assert_int_equal(queue->count, 1);
    assert_int_equal(queue_room(queue), PLACES_MIN * sizeof(struct queued_frame));
    pop(fixture);
    assert_int_equal(queue_room(queue), 0);
    fill(fixture, "LC");
    expect(fixture, (const uint32_t[]){0, 1}, 2);
}

/* Frames in a block that others fill are charged for all of it, until they are left where they keep
 * no more than themselves. */
static void what_is_kept_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct send_queue *queue = &fixture->queue;
    fill(fixture, "LCRP");
    assert_int_equal(queue->keeps, 4 * (BLOCK_BYTES + sizeof(struct block)));
    queue_keep(queue, &fixture->blocks);
    assert_int_equal(queue->keeps, queue_bytes(queue));
    blocks_done(&fixture->blocks);
    assert_int_equal(fixture->blocks.bytes, queue->keeps + 4 * sizeof(struct block));
    expect(fixture, (const uint32_t[]){0, 1, 2, 3}, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_live_ones_go_until_there_is_room, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_must_stay_keeps_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(it_works_across_the_end_of_the_circle, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_pong_takes_the_place_of_the_one_that_waits,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_pong_is_found_wherever_dropping_has_moved_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_queue_that_was_long_is_not_kept_so, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_put_back_is_first, setup, teardown),
        cmocka_unit_test_setup_teardown(dropping_nothing_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_beyond_the_bound_has_no_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
