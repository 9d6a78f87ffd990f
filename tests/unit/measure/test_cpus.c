#include "measure/cpus.h"

#include <stdint.h>
#include <string.h>

static cpu_set_t allowed_here;

static int sched_getaffinity_here(pid_t pid, size_t size, cpu_set_t *ret)
{
    (void)pid;
    (void)size;
    *ret = allowed_here;
    return 0;
}

#define sched_getaffinity sched_getaffinity_here
#include "measure/cpus.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The CPUs up to 63 of a list. */
static uint64_t parsed(const char *text)
{
    cpu_set_t set;
    uint64_t bits = 0;
    assert_int_equal(cpus_parse(&set, text), 0);
    for (unsigned cpu = 0; cpu < 64; cpu++)
        bits |= (uint64_t)(CPU_ISSET(cpu, &set) != 0) << cpu;
    assert_int_equal(CPU_COUNT(&set), __builtin_popcountll(bits));
    return bits;
}

static void test_lists(void **state)
{
    (void)state;
    assert_true(parsed("0") == 1);
    assert_true(parsed("3,1") == 10);
    assert_true(parsed("0,2-5") == 0x3d);
    assert_true(parsed("7-7,7") == 0x80);
    assert_true(parsed("0-63") == UINT64_MAX);
}

static void test_what_is_no_list(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",    ",",    "0,",  "a",    "1-",  "-1",
                                        "3-2", "1-2-", "0 1", "1024", "0;1", "0-1024"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cpu_set_t set;
        memset(&set, 0x5a, sizeof set);
        const cpu_set_t before = set;
        assert_int_equal(cpus_parse(&set, wrong[i]), -EINVAL);
        assert_true(CPU_EQUAL(&set, &before));
    }
    cpu_set_t last;
    assert_int_equal(cpus_parse(&last, "1023"), 0);
    assert_true(CPU_ISSET(1023, &last));
}

static void test_allowed(void **state)
{
    (void)state;
    cpu_set_t set;
    cpus_parse(&allowed_here, "2-3,9");
    cpus_parse(&set, "3,9");
    assert_true(cpus_allowed(&set));
    cpus_parse(&set, "3-4");
    assert_false(cpus_allowed(&set));
}

static void check_default(const char *allowed, const char *server, const char *client)
{
    char got_server[CPUS_TEXT_MAX], got_client[CPUS_TEXT_MAX];
    cpus_parse(&allowed_here, allowed);
    cpus_default(got_server, got_client);
    assert_string_equal(got_server, server);
    assert_string_equal(got_client, client);
}

static void test_one_for_each_side(void **state)
{
    (void)state;
    check_default("0-7", "0", "1");
    check_default("5,12", "5", "12");
    check_default("6", "6", "6");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_what_is_no_list),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_one_for_each_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
