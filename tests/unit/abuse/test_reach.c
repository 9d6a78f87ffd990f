/* The namespace of the test is the machine's, or it has a gateway, or it has nobody to reach: an
 * address of nobody's may then be refused or not. Only loopback is sure. */
#include "abuse/reach.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static unsigned refusals;

int bench_fail(int err, const char *format, ...)
{
    (void)format;
    refusals++;
    return err;
}

static struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return address;
}

static void test_loopback_is_reached_and_nothing_else(void **state)
{
    (void)state;
    static const char *const others[] = {"192.0.2.1", "0.0.0.0", "128.0.0.1", "126.255.255.255",
                                         "10.0.0.1"};
    const struct sockaddr_in nobody = {0}, first = address_of("127.0.0.1"),
                             last = address_of("127.255.255.255");
    assert_int_equal(reach_check("nobody", &nobody), 0);
    assert_int_equal(reach_check("first", &first), 0);
    assert_int_equal(reach_check("last", &last), 0);
    assert_int_equal(refusals, 0);
    const bool lab = namespace_of_its_own() && !leads_away();
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct sockaddr_in other = address_of(others[i]);
        assert_int_equal(reach_check("other", &other), lab ? 0 : -EPERM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loopback_is_reached_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
