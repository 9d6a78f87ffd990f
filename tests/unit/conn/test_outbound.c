/* The queue behind a full socket: what goes when room has to be made, and in which order the rest
 * stays. */
#include "conn/outbound.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    ENTRIES_MAX = 64,
    FRAME_BYTES = 100,
};

struct fixture {
    struct shard *shard;
    struct send_queue queue;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->shard = calloc(1, sizeof *fixture->shard);
    assert_non_null(fixture->shard);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    while (fixture->queue.count > 0)
        queue_pop(fixture->shard, &fixture->queue);
    blocks_done(&fixture->shard->blocks);
    assert_int_equal(fixture->shard->blocks.bytes, 0);
    assert_int_equal(fixture->shard->places_bytes, 0);
    free(fixture->queue.frames);
    free(fixture->shard);
    free(fixture);
    return 0;
}

/* `L` is a live frame, `M` one that must stay, `R` a replay; each says its number by its length. */
static void fill(struct fixture *fixture, const char *kinds)
{
    static const char bytes[FRAME_BYTES + ENTRIES_MAX];
    for (uint32_t i = 0; kinds[i]; i++) {
        struct frame frame = blocks_copy(&fixture->shard->blocks, bytes, FRAME_BYTES + i);
        const struct queued_frame entry = {
            .block = frame.block,
            .at = frame.at,
            .len = frame.len,
            .messages = kinds[i] == 'M' ? 0 : 2,
            .kind = kinds[i] == 'L'   ? SEND_LIVE
                    : kinds[i] == 'M' ? SEND_MUST
                                      : SEND_REPLAY,
        };
        queue_push(fixture->shard, &fixture->queue, &entry);
    }
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
    assert_int_equal(queue->bytes, bytes);
    assert_int_equal(fixture->shard->places_bytes, count * sizeof(struct queued_frame));
}

static void the_oldest_live_ones_go_until_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "LLLLL");
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, FRAME_BYTES + 1), 2);
    expect(fixture, (const uint32_t[]){1, 2, 3, 4}, 4);
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, 2 * FRAME_BYTES), 4);
    expect(fixture, (const uint32_t[]){3, 4}, 2);
}

static void what_must_stay_keeps_its_order(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "MLRLML");
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, FRAME_BYTES + 50), 4);
    expect(fixture, (const uint32_t[]){0, 2, 4, 5}, 4);
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, UINT64_MAX), 2);
    expect(fixture, (const uint32_t[]){0, 2, 4}, 3);
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, UINT64_MAX), 0);
    expect(fixture, (const uint32_t[]){0, 2, 4}, 3);
}

/* The circle has wrapped, so that moving entries crosses its end. */
static void it_works_across_the_end_of_the_circle(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "LLL");
    queue_pop(fixture->shard, &fixture->queue);
    queue_pop(fixture->shard, &fixture->queue);
    fill(fixture, "MLM");
    assert_int_equal(fixture->queue.size, 4);
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, UINT64_MAX), 4);
    expect(fixture, (const uint32_t[]){0, 2}, 2);
}

static void dropping_nothing_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, 1000), 0);
    fill(fixture, "LM");
    assert_int_equal(queue_drop_live(fixture->shard, &fixture->queue, 0), 0);
    expect(fixture, (const uint32_t[]){0, 1}, 2);
}

/* Sizes and offsets in a block, and what a send has taken, are numbers of 32 bits. */
static void a_frame_beyond_the_bound_has_no_room(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture, "L");
    assert_null(blocks_try(&fixture->shard->blocks, (size_t)BLOCK_BYTES_MAX + 1));
    assert_null(blocks_try(&fixture->shard->blocks, (size_t)1 << 32));
    expect(fixture, (const uint32_t[]){0}, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_live_ones_go_until_there_is_room, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_must_stay_keeps_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(it_works_across_the_end_of_the_circle, setup, teardown),
        cmocka_unit_test_setup_teardown(dropping_nothing_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_beyond_the_bound_has_no_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
