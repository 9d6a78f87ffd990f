/* The kernel's own text, and what is none. */
#include "phantom/softnet.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static int parse(const char *text, struct softnet *ret, int cpu, int other)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)cpu, &cpus);
    CPU_SET((size_t)other, &cpus);
    return softnet_parse(ret, text, &cpus);
}

static void test_the_cpus_that_are_asked_for(void **state)
{
    (void)state;
    static const char text[] = "15b79757 00000007 00000010 00000000 00000000 00000000 00000000 "
                               "00000000 00000000 03627137 00000000 00000000 00000000 00000003 "
                               "00000002\n"
                               "0494bc19 000000ff 00000004 00000000 00000000 00000000 00000000 "
                               "00000000 00000000 00000000 00000000 00000000 00000001 00000100 "
                               "00000010\n"
                               "0494bc19 00000001 00000004 00000000 00000000 00000000 00000000 "
                               "00000000 00000000 00000000 00000000 00000000 00000004 00000000 "
                               "00000009\n";
    struct softnet softnet;
    assert_int_equal(parse(text, &softnet, 0, 0), 0);
    assert_int_equal(softnet.dropped, 7);
    assert_int_equal(softnet.waiting, 5);
    assert_int_equal(parse(text, &softnet, 0, 4), 0); /* CPUs may be missing between them */
    assert_int_equal(softnet.dropped, 8);
    assert_int_equal(softnet.waiting, 9);
    assert_int_equal(parse(text, &softnet, 3, 3), 0);
    assert_int_equal(softnet.dropped + softnet.waiting, 0);
}

static void test_what_an_old_kernel_says(void **state)
{
    (void)state;
    struct softnet softnet;
    assert_int_equal(parse("00000001 00000002 00000000 00000000\n", &softnet, 0, 0), -EPROTO);
    assert_int_equal(parse("nothing\n", &softnet, 0, 0), -EPROTO);
    assert_int_equal(parse("", &softnet, 0, 0), 0);
}

static void test_this_kernel(void **state)
{
    (void)state;
    struct softnet softnet;
    cpu_set_t cpus;
    int fd = softnet_open();
    if (fd < 0)
        skip();
    assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    assert_int_equal(softnet_read(fd, &cpus, &softnet), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cpus_that_are_asked_for),
        cmocka_unit_test(test_what_an_old_kernel_says),
        cmocka_unit_test(test_this_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
