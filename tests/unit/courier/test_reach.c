/* Which addresses, hosts and ports may be posted to. */
#include "courier/reach.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define PORTS "80 443 1024-65535"

static struct in6_addr address(const char *text)
{
    struct in6_addr ret;
    assert_true(address_read(&ret, span_from(text)));
    return ret;
}

static void test_special(void **state)
{
    (void)state;
    static const char *const special[] = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.1.1",
        "198.19.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001::1",
        "2001:db8::1",
        "fec0::1",
        "::7f00:1",
        "100::1",
    };
    static const char *const open[] = {
        "1.1.1.1",     "9.255.255.255", "11.0.0.0",   "100.63.255.255",       "100.128.0.0",
        "126.0.0.1",   "128.0.0.1",     "172.15.0.1", "172.32.0.1",           "192.167.255.255",
        "198.17.0.1",  "223.255.255.1", "2600::1",    "2606:4700:4700::1111", "2001:4860::8888",
        "2001:200::1",
    };
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        struct in6_addr one = address(special[i]);
        if (!reach_is_special(&one))
            fail_msg("%s is taken for one that everybody can reach", special[i]);
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        struct in6_addr one = address(open[i]);
        if (reach_is_special(&one))
            fail_msg("%s is taken for a private one", open[i]);
    }
}

static bool allows(const struct reach *reach, const char *where, const char *host, bool tls)
{
    struct in6_addr one = address(where);
    return reach_allows(reach, &one, span_from(host), tls);
}

static void test_what_is_named(void **state)
{
    (void)state;
    struct reach reach;
    char why[256] = "";
    assert_int_equal(
        reach_read(&reach, "10.1.0.0/16  Hooks.internal ::1", PORTS, false, why, sizeof why), 0);
    assert_true(allows(&reach, "10.1.2.3", "x", false));
    assert_false(allows(&reach, "10.2.2.3", "x", true));
    assert_true(allows(&reach, "10.2.2.3", "hooks.INTERNAL", false));
    assert_false(allows(&reach, "10.2.2.3", "hooks.internal.example", true));
    assert_true(allows(&reach, "::1", "[::1]", false));
    assert_false(allows(&reach, "127.0.0.1", "127.0.0.1", true));
    assert_true(allows(&reach, "1.1.1.1", "x", true));
    assert_false(allows(&reach, "1.1.1.1", "x", false));
    assert_int_equal(reach_read(&reach, "", PORTS, true, why, sizeof why), 0);
    assert_true(allows(&reach, "1.1.1.1", "x", false));
    assert_false(allows(&reach, "10.1.2.3", "x", false));
}

static void test_ports(void **state)
{
    (void)state;
    struct reach reach;
    char why[256];
    assert_int_equal(reach_read(&reach, "", "80 8000-8001", false, why, sizeof why), 0);
    assert_true(reach_allows_port(&reach, 80));
    assert_true(reach_allows_port(&reach, 8001));
    assert_false(reach_allows_port(&reach, 8002));
    assert_false(reach_allows_port(&reach, 81));
    assert_false(reach_allows_port(&reach, 0));
}

static void test_bad_lists(void **state)
{
    (void)state;
    static const char *const hosts[] = {"10.0.0.1/8", "300.1.1.1", "a b!", "10.0.0", "x/24"};
    static const char *const ports[] = {"0", "65536", "9-8", "x", "80-", "-80", "80,443", "1-2-3"};
    struct reach reach;
    char why[256];
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_int_equal(reach_read(&reach, hosts[i], PORTS, false, why, sizeof why), -EINVAL);
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
        assert_int_equal(reach_read(&reach, "", ports[i], false, why, sizeof why), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_what_is_named),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_bad_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
