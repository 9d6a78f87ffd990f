/* An arena against a model: blocks of any sizes in any order, each with a pattern of its own. And
 * its pages: what is there, and what is given back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/arena.c"

enum {
    STEPS = 20000,
    BLOCKS = 64,
    LARGE = 8216, /* as the library's */
    SMALL = 128,
    HEAD = 400, /* is touched of a large one */
};

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % bound;
}

static unsigned pages_of(struct arena *arena)
{
    unsigned char there[ARENA_BYTES / PAGE_BYTES];
    unsigned count = 0;
    assert_int_equal(mincore(arena, ARENA_BYTES, there), 0);
    for (unsigned i = 0; i < sizeof there; i++)
        count += there[i] & 1;
    return count;
}

struct live {
    unsigned char *at;
    size_t size;
    unsigned char pattern;
};

static void check(const struct live *block)
{
    for (size_t i = 0; i < block->size; i++)
        assert_int_equal(block->at[i], block->pattern);
}

static void blocks_do_not_overlap(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,    64,   80,   112,   240,   1040,
                                   2048, 2500, 4240, LARGE, 12184, 13000};
    struct arenas arenas = {0};
    struct arena *arena = arena_get(&arenas);
    struct live live[BLOCKS] = {{0}};
    unsigned full = 0;
    random_state = 7;
    for (unsigned step = 0; step < STEPS; step++) {
        struct live *block = &live[random_below(BLOCKS)];
        if (block->at) {
            check(block);
            arena_give(arena, block->at);
            block->at = NULL;
        } else {
            block->size = sizes[random_below(sizeof sizes / sizeof sizes[0])];
            block->at = arena_take(arena, block->size, false);
            full += !block->at;
            if (!block->at)
                continue;
            assert_int_equal((uintptr_t)block->at % 16, 0);
            assert_true(arena_has(arena, block->at));
            assert_true(arena_has(arena, block->at + block->size - 1));
            assert_true(arena_block_bytes(block->at) >= block->size);
            block->pattern = (unsigned char)step;
            memset(block->at, block->pattern, block->size);
        }
        if (step % 100 == 0)
            arena_trim(arena);
    }
    assert_true(full > 0 && full < STEPS / 2);
    arenas_done(&arenas);
}

static void a_head_costs_a_page_which_small_blocks_share(void **state)
{
    (void)state;
    struct arenas arenas = {0};
    struct arena *arena = arena_get(&arenas);
    assert_non_null(arena_take(arena, 3 * PAGE_BYTES - 1024, true));
    for (unsigned i = 0; i < ARENA_CELLS; i++) {
        unsigned char *block = arena_take(arena, LARGE, false);
        memset(block, 1, HEAD);
    }
    assert_null(arena_take(arena, LARGE, false));
    unsigned pages = pages_of(arena);
    assert_true(pages <= ARENA_CELLS + 3);
    for (unsigned i = 0; i < ARENA_CELLS * 2000 / SMALL; i++)
        memset(arena_take(arena, SMALL, false), 1, SMALL);
    assert_int_equal(pages_of(arena), pages);
    arenas_done(&arenas);
}

static void cells_without_blocks_are_given_back(void **state)
{
    (void)state;
    struct arenas arenas = {0};
    struct arena *arena = arena_get(&arenas);
    unsigned char *blocks[ARENA_CELLS];
    unsigned before = pages_of(arena);
    for (unsigned i = 0; i < ARENA_CELLS; i++) {
        blocks[i] = arena_take(arena, LARGE, false);
        memset(blocks[i], 1, LARGE);
    }
    for (unsigned i = 2; i < ARENA_CELLS; i++)
        arena_give(arena, blocks[i]);
    arena_trim(arena);
    assert_int_equal(pages_of(arena), before + 2 * 3);
    assert_int_equal(blocks[1][LARGE - 1], 1);
    assert_ptr_equal(arena_take(arena, LARGE, false), blocks[2]); /* the lowest */
    assert_int_equal(blocks[2][0], 0);
    arenas_done(&arenas);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct arenas arenas = {0};
    struct arena *arena = arena_get(&arenas);
    assert_null(arena_take(arena, ARENA_LARGE_MAX + 1, false));
    assert_null(arena_take(arena, SIZE_MAX, false));
    assert_null(arena_take(arena, ARENA_LARGE_MAX, true));
    assert_non_null(arena_take(arena, ARENA_LARGE_MAX, false));
    unsigned count = 0;
    while (arena_take(arena, SMALL, false))
        count++;
    assert_true(count > ARENA_CELLS * 2000 / SMALL);
    arenas_done(&arenas);
}

static void the_last_few_that_come_back_are_warm(void **state)
{
    (void)state;
    struct arenas arenas = {0};
    enum {
        MANY = ARENA_REGION + 1
    };
    struct arena *all[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        all[i] = arena_get(&arenas);
        memset(arena_take(all[i], LARGE, false), 1, LARGE);
        for (unsigned j = 0; j < i; j++)
            assert_false(arena_has(all[j], all[i]));
    }
    assert_int_equal(arenas.region_count, 2);
    arena_put(&arenas, NULL);
    for (unsigned i = 0; i < MANY; i++)
        arena_put(&arenas, all[i]);
    unsigned warm = 0;
    for (unsigned i = 0; i < MANY; i++)
        warm += pages_of(all[i]) > 0;
    assert_int_equal(warm, ARENAS_WARM);
    struct arena *again = arena_get(&arenas);
    assert_true(pages_of(again) > 0);
    assert_non_null(arena_take(again, LARGE, false));
    arenas_done(&arenas);
}

/* One whose next owner needs less. */
static void what_an_owner_has_left_is_given_back(void **state)
{
    (void)state;
    struct arenas arenas = {0};
    struct arena *arena = arena_get(&arenas);
    for (unsigned i = 0; i < ARENA_CELLS; i++)
        memset(arena_take(arena, LARGE, false), 1, LARGE);
    arena_put(&arenas, arena);
    assert_ptr_equal(arena_get(&arenas), arena);
    unsigned char *kept = arena_take(arena, LARGE, false);
    assert_true(pages_of(arena) > 3 * ARENA_CELLS - 1);
    arena_trim(arena);
    assert_int_equal(pages_of(arena), 1 + 3);
    assert_int_equal(kept[LARGE - 1], 1);
    unsigned char *next = arena_take(arena, LARGE, false);
    assert_int_equal(next[0], 0);
    arenas_done(&arenas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_do_not_overlap),
        cmocka_unit_test(a_head_costs_a_page_which_small_blocks_share),
        cmocka_unit_test(cells_without_blocks_are_given_back),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(the_last_few_that_come_back_are_warm),
        cmocka_unit_test(what_an_owner_has_left_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
