#include "below.h"

#include "measure/memory.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const char meminfo[] = "MemTotal:       24684092 kB\n"
                              "MemFree:        11111111 kB\n"
                              "MemAvailable:   23002560 kB\n"
                              "SwapTotal:             0 kB\n";

/* UDP has a `mem` too, and the second file is that of IPv6. */
static const char sockstat[] = "sockets: used 23\n"
                               "TCP: inuse 5 orphan 17 tw 11021 alloc 6 mem 98\n"
                               "UDP: inuse 1 mem 4\n"
                               "FRAG: inuse 0 memory 0\n";

static void test_meminfo(void **state)
{
    (void)state;
    below_put("/proc/meminfo", meminfo);
    assert_true(memory_total_bytes() == UINT64_C(24684092) * 1024);
    assert_true(memory_available_bytes() == UINT64_C(23002560) * 1024);
}

static void test_sockstat(void **state)
{
    (void)state;
    below_put("/proc/net/sockstat", sockstat);
    assert_int_equal(memory_tcp_pages(), 98);
    assert_int_equal(memory_tcp_orphans(), 17);
}

static void test_unknown_is_0(void **state)
{
    (void)state;
    assert_int_equal(memory_total_bytes(), 0);
    assert_int_equal(memory_available_bytes(), 0);
    assert_int_equal(memory_tcp_pages(), 0);
    below_put("/proc/meminfo", "MemTotal:       24684092 kB\n");
    below_put("/proc/net/sockstat", "UDP: inuse 1 mem 4\nTCP: inuse 5 mem\n");
    assert_int_equal(memory_available_bytes(), 0);
    assert_int_equal(memory_tcp_pages(), 0);
    assert_int_equal(memory_tcp_orphans(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        below_test(test_meminfo),
        below_test(test_sockstat),
        below_test(test_unknown_is_0),
    };
    return cmocka_run_group_tests(tests, below_make, below_remove);
}
