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
        assert_true(blocks.bytes < 5 * 64 * 1024);
    }
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

static void a_large_frame_stays_where_it_is(void **state)
{
    (void)state;
    struct blocks blocks = {0};
    static char large[BLOCK_KEPT_MAX + 1];
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
        cmocka_unit_test(a_large_frame_stays_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
