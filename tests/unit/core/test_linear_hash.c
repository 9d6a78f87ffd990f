/* A table that grows a bucket at a time, against an array of what is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/linear_hash.c"

enum {
    ENTRIES = 20000,
    ROUNDS = 200000,
    STEP_MAX = 5000, /* bytes: a segment */
};

struct entry {
    struct linear_node node;
    bool in;
};

static struct entry entries[ENTRIES];

static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool finds(const struct linear_hash *table, const struct entry *entry)
{
    struct linear_node *node = linear_hash_first(table, entry->node.hash);
    while (node && node != &entry->node)
        node = node->next;
    return node;
}

static void each_is_found(const struct linear_hash *table)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(finds(table, &entries[i]), entries[i].in);
}

static void change(struct linear_hash *table, struct entry *entry)
{
    if (entry->in)
        linear_hash_remove(table, &entry->node);
    else
        assert_int_equal(linear_hash_add(table, &entry->node), 0);
    entry->in = !entry->in;
}

static void any_order(void **state)
{
    (void)state;
    struct linear_hash table = {0};
    uint64_t random = 7, count = 0;
    for (unsigned i = 0; i < ENTRIES; i++) /* some have the same */
        entries[i] = (struct entry){.node.hash = (uint32_t)mix(&random) & 0xfffff};
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct entry *entry = &entries[mix(&random) % ENTRIES];
        count = entry->in ? count - 1 : count + 1;
        change(&table, entry);
        assert_int_equal(table.count, count);
        if (i % 20000 == 0)
            each_is_found(&table);
    }
    for (unsigned i = 0; i < ENTRIES; i++)
        if (entries[i].in)
            change(&table, &entries[i]);
    assert_int_equal(table.count, 0);
    assert_null(table.segments);
    assert_int_equal(linear_hash_bytes(&table), 0);
}

static void grows_and_shrinks_in_small_steps(void **state)
{
    (void)state;
    struct linear_hash table = {0};
    uint64_t random = 8;
    size_t before = 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        entries[i] = (struct entry){.node.hash = (uint32_t)mix(&random)};
        change(&table, &entries[i]);
        assert_in_range(linear_hash_bytes(&table) - before, 0, STEP_MAX);
        before = linear_hash_bytes(&table);
    }
    assert_in_range(before, ENTRIES * sizeof(void *), ENTRIES * sizeof(void *) + STEP_MAX);
    each_is_found(&table);
    for (unsigned i = 0; i < ENTRIES - 100; i++)
        change(&table, &entries[i]);
    assert_in_range(linear_hash_bytes(&table), 0, STEP_MAX);
    each_is_found(&table);
    for (unsigned i = ENTRIES - 100; i < ENTRIES; i++)
        change(&table, &entries[i]);
}

static void one_hash_for_all_is_a_chain(void **state)
{
    (void)state;
    struct linear_hash table = {0};
    for (unsigned i = 0; i < 100; i++) {
        entries[i] = (struct entry){.node.hash = 42};
        change(&table, &entries[i]);
    }
    for (unsigned i = 0; i < 100; i++)
        assert_true(finds(&table, &entries[i]));
    for (unsigned i = 0; i < 100; i++)
        change(&table, &entries[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),
        cmocka_unit_test(grows_and_shrinks_in_small_steps),
        cmocka_unit_test(one_hash_for_all_is_a_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
