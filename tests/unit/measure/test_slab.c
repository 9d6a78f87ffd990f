#include "below.h"

#include <stdbool.h>
#include <time.h>

/* What the kernel says after each sleep, one after the other; the last stays. */
static const char *const *next_texts;
static unsigned sleeps;

static int nanosleep_here(const struct timespec *time, struct timespec *left)
{
    (void)time;
    (void)left;
    sleeps++;
    if (next_texts && *next_texts)
        below_put("/proc/slabinfo", *next_texts++);
    return 0;
}

static long sysconf_here(int name)
{
    (void)name;
    return 4096;
}

#define nanosleep nanosleep_here
#define sysconf   sysconf_here
#include "measure/slab.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define HEADS                                                                                      \
    "slabinfo - version: 2.1\n"                                                                    \
    "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables"  \
    " <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n"
#define ROW(name, active, total, size, per_slab, pages)                                            \
    name " " #active " " #total " " #size " " #per_slab " " #pages                                 \
         " : tunables 0 0 0 : slabdata 12 12 0\n"

/* A thousand connections come: two sockets, with their inodes, and some other program's objects. */
static const char before_text[] = HEADS ROW("TCPv6", 104, 156, 2496, 13, 8)
    ROW("TCP", 109, 156, 2368, 13, 8) ROW("sock_inode_cache", 257, 380, 832, 19, 4)
        ROW("kmalloc-64", 2452, 2624, 64, 64, 1) ROW("dentry", 280869, 282282, 192, 21, 1);
static const char after_text[] =
    HEADS ROW("TCPv6", 100, 156, 2496, 13, 8) ROW("TCP", 2109, 2210, 2368, 13, 8)
        ROW("sock_inode_cache", 2257, 2280, 832, 19, 4) ROW("kmalloc-64", 2460, 2624, 64, 64, 1)
            ROW("dentry", 282869, 284000, 192, 21, 1) ROW("request_sock_TCP", 960, 960, 320, 12, 1);

static void read_text(struct slab *ret, const char *text)
{
    below_put("/proc/slabinfo", text);
    assert_int_equal(slab_read(ret), 0);
}

static void check_cache(const struct slab_cache *cache, const char *name, int64_t objects,
                        int64_t bytes)
{
    assert_non_null(cache);
    assert_string_equal(cache->name, name);
    assert_int_equal(cache->objects, objects);
    assert_int_equal(cache->bytes, bytes);
}

/* Objects in use, each with its share of the pages: 8 pages for 13 of TCP. */
static void test_read(void **state)
{
    (void)state;
    static struct slab slab;
    read_text(&slab, before_text);
    assert_int_equal(slab.count, 5);
    check_cache(&slab.caches[1], "TCP", 109, 109 * 8 * 4096 / 13);
    check_cache(slab_find(&slab, "sock_inode_cache"), "sock_inode_cache", 257, 257 * 4 * 4096 / 19);
    check_cache(slab_find(&slab, "kmalloc-64"), "kmalloc-64", 2452, 2452 * 64);
    assert_null(slab_find(&slab, "TCPv"));
}

static void test_growth(void **state)
{
    (void)state;
    static struct slab before, after, growth;
    read_text(&before, before_text);
    read_text(&after, after_text);
    slab_growth(&growth, &before, &after);
    /* The largest first; what shrank, or grew by less than 64 KiB, is not there. */
    assert_int_equal(growth.count, 4);
    check_cache(&growth.caches[0], "TCP", 2000, 2109 * 8 * 4096 / 13 - 109 * 8 * 4096 / 13);
    check_cache(&growth.caches[1], "sock_inode_cache", 2000,
                2257 * 4 * 4096 / 19 - 257 * 4 * 4096 / 19);
    check_cache(&growth.caches[2], "dentry", 2000,
                (int64_t)282869 * 4096 / 21 - (int64_t)280869 * 4096 / 21);
    /* A cache that was not there before has grown by all that it has. */
    check_cache(&growth.caches[3], "request_sock_TCP", 960, 960 * 4096 / 12);
    slab_growth(&growth, &after, &after);
    assert_int_equal(growth.count, 0);
}

static void test_the_bound_of_growth(void **state)
{
    (void)state;
    static struct slab before, after, growth;
    read_text(&before, HEADS ROW("a", 64, 64, 4096, 1, 1) ROW("b", 64, 64, 4096, 1, 1));
    read_text(&after, HEADS ROW("a", 80, 80, 4096, 1, 1) ROW("b", 79, 79, 4096, 1, 1));
    slab_growth(&growth, &before, &after);
    assert_int_equal(growth.count, 1);
    check_cache(&growth.caches[0], "a", 16, 64 * 1024);
}

static void test_unknown(void **state)
{
    (void)state;
    static struct slab slab;
    assert_int_equal(slab_read(&slab), -ENOENT);
    below_put("/proc/slabinfo", HEADS);
    assert_int_equal(slab_read(&slab), -EACCES);
    below_put("/proc/slabinfo", HEADS "TCP x 156 2368 13 8 :\nTCP 1 156 2368 0 8 :\nTCP 1 2\n");
    assert_int_equal(slab_read(&slab), -EACCES);
}

static void test_bounds(void **state)
{
    (void)state;
    static struct slab slab;
    static char text[(SLAB_CACHES_MAX + 8) * 64];
    size_t len = 0;
    for (unsigned i = 0; i < SLAB_CACHES_MAX + 3; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "cache-%u 1 1 64 64 1 :\n", i);
    read_text(&slab, text);
    assert_int_equal(slab.count, SLAB_CACHES_MAX);
    assert_string_equal(slab.caches[SLAB_CACHES_MAX - 1].name, "cache-511");
    read_text(&slab, "a_name_that_has_far_more_than_forty_characters_in_it 1 1 64 64 1 :\n");
    assert_int_equal(strlen(slab.caches[0].name), SLAB_NAME_MAX - 1);
}

#define MANY ROW("TCP", 3000, 3000, 4096, 1, 1)
#define SOME ROW("TCP", 2936, 2936, 4096, 1, 1) /* 256 KiB less */
#define LESS ROW("TCP", 2935, 2935, 4096, 1, 1)

static void test_calm(void **state)
{
    (void)state;
    static struct slab many, some, less;
    read_text(&many, MANY);
    read_text(&some, SOME);
    read_text(&less, LESS);
    assert_true(slab_calm(&many, &some) && slab_calm(&some, &many));
    assert_false(slab_calm(&many, &less) || slab_calm(&less, &many));
}

/* It reads until two readings in a row are alike. */
static void test_read_calm(void **state)
{
    (void)state;
    static const char *const texts[] = {LESS, MANY, SOME, NULL};
    static struct slab slab;
    sleeps = 0;
    next_texts = texts;
    below_put("/proc/slabinfo", MANY);
    assert_int_equal(slab_read_calm(&slab, 10000), 0);
    assert_int_equal(sleeps, 3);
    check_cache(&slab.caches[0], "TCP", 2936, (int64_t)2936 * 4096);
}

static void test_patience(void **state)
{
    (void)state;
    static const char *const texts[] = {LESS, MANY, LESS, MANY, LESS, MANY, NULL};
    static struct slab slab;
    sleeps = 0;
    next_texts = texts;
    below_put("/proc/slabinfo", MANY);
    assert_int_equal(slab_read_calm(&slab, 300), 0);
    assert_int_equal(sleeps, 2);
    check_cache(&slab.caches[0], "TCP", 3000, (int64_t)3000 * 4096);
    below_clear();
    assert_int_equal(slab_read_calm(&slab, 300), -ENOENT);
}

static void test_total(void **state)
{
    (void)state;
    assert_int_equal(slab_total_bytes(), 0);
    below_put("/proc/meminfo", "MemTotal: 8 kB\nSlab:             375488 kB\nSReclaimable: 1 kB\n");
    assert_int_equal(slab_total_bytes(), 375488 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        below_test(test_read),      below_test(test_growth),   below_test(test_the_bound_of_growth),
        below_test(test_unknown),   below_test(test_bounds),   below_test(test_calm),
        below_test(test_read_calm), below_test(test_patience), below_test(test_total),
    };
    return cmocka_run_group_tests(tests, below_make, below_remove);
}
