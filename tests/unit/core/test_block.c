/* Where frames lie, and what those that wait for long keep. */
#include "core/block.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    SMALL = 34,
    READERS = 1000,
};

static void a_block_is_as_large_as_what_an_allocator_has(void **state)
{
    (void)state;
    struct blocks blocks = {0};
    blocks_copy(&blocks, "x", 1);
    assert_int_equal(blocks.bytes, 64 * 1024);
    blocks_done(&blocks);
    assert_int_equal(blocks.bytes, 0);
}

/* One small frame of each of many full blocks: together they keep what they are. */
static void a_small_frame_keeps_no_block_for_itself(void **state)
{
    (void)state;
    struct blocks blocks = {0};
    struct frame kept[READERS];
    static char other[60000];
    for (unsigned i = 0; i < READERS; i++) {
        char small[SMALL];
        memset(small, (int)i, sizeof small);
        struct frame frame = blocks_copy(&blocks, small, sizeof small);
        kept[i] = blocks_keep(&blocks, frame);
        block_ref(kept[i].block);
        blocks_copy(&blocks, other, sizeof other);
        assert_true(blocks.bytes <= 3 * 64 * 1024 + (i + 1) * (SMALL + sizeof(struct block)));
    }
    /* Nor one of those that wait: the others have left, and took what they kept along. */
    blocks_done(&blocks);
    assert_int_equal(blocks.bytes, READERS * (SMALL + sizeof(struct block)));
    for (unsigned i = 0; i < READERS; i++) {
        for (unsigned at = 0; at < SMALL; at++)
            assert_int_equal(frame_bytes(kept[i])[at], (char)i);
        block_unref(&blocks, kept[i].block);
    }
    blocks_done(&blocks);
    assert_int_equal(blocks.bytes, 0);
}

static void the_same_frame_is_copied_once(void **state)
{
    (void)state;
    struct blocks blocks = {0};
    struct frame frame = blocks_copy(&blocks, "hello", 5);
    struct frame one = blocks_keep(&blocks, frame);
    assert_ptr_not_equal(one.block, frame.block);
    struct frame two = blocks_keep(&blocks, frame);
    assert_true(same(one, two));
    assert_true(same(one, blocks_keep(&blocks, one)));
    blocks_keep_end(&blocks);
    /* Its bytes may be others by now. */
    struct frame again = blocks_keep(&blocks, frame);
    assert_memory_equal(frame_bytes(again), "hello", 5);
    blocks_done(&blocks);
    assert_int_equal(blocks.bytes, 0);
}

/* From one byte to more than a block: what is kept is at most twice what is charged. */
static void a_frame_of_any_size_keeps_at_most_its_double(void **state)
{
    (void)state;
    static char bytes[2 * BLOCK_BYTES];
    for (size_t len = 1; len <= sizeof bytes; len += 1 + len / 7) {
        struct blocks blocks = {0};
        blocks_copy(&blocks, bytes, 100);
        struct frame frame = blocks_copy(&blocks, bytes, len);
        struct frame kept = blocks_keep(&blocks, frame);
        block_ref(kept.block);
        assert_true(same(kept, blocks_keep(&blocks, kept)));
        blocks_done(&blocks);
        assert_in_range(blocks.bytes, len, 2 * block_keeps(kept.block, kept.len));
        block_unref(&blocks, kept.block);
        assert_int_equal(blocks.bytes, 0);
    }
}

static void most_of_a_block_stays_where_it_is(void **state)
{
    (void)state;
    struct blocks blocks = {0};
    static char large[BLOCK_BYTES / 2 + 1];
    struct frame frame = blocks_copy(&blocks, large, sizeof large);
    assert_true(same(frame, blocks_keep(&blocks, frame)));
    blocks_done(&blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_as_large_as_what_an_allocator_has),
        cmocka_unit_test(a_small_frame_keeps_no_block_for_itself),
        cmocka_unit_test(the_same_frame_is_copied_once),
        cmocka_unit_test(a_frame_of_any_size_keeps_at_most_its_double),
        cmocka_unit_test(most_of_a_block_stays_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
