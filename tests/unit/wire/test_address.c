#include <arpa/inet.h>

#include "wire/address.h"
#include "wire_test.h"

static struct in6_addr ipv6_of(const char *text)
{
    struct in6_addr address;
    assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
    return address;
}

static void test_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *is;
    } good[] = {
        {"192.0.2.7", "::ffff:192.0.2.7"},
        {"0.0.0.0", "::ffff:0.0.0.0"},
        {"255.255.255.255", "::ffff:255.255.255.255"},
        {"2001:db8::7", "2001:db8::7"},
        {"2001:DB8:0:0:0:0:0:7", "2001:db8::7"},
        {"::", "::"},
        {"::ffff:192.0.2.7", "::ffff:192.0.2.7"},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct in6_addr address, is = ipv6_of(good[i].is);
        assert_true(address_read(&address, span_from(good[i].text)));
        assert_memory_equal(&address, &is, sizeof is);
    }
}

static void test_read_refused(void **state)
{
    (void)state;
    static const struct span bad[] = {
        SPAN_INIT(""),
        SPAN_INIT("192.0.2"),
        SPAN_INIT("192.0.2.7.1"),
        SPAN_INIT("192.0.2.07"),
        SPAN_INIT("192.0.2.256"),
        SPAN_INIT(" 192.0.2.7"),
        SPAN_INIT("192.0.2.7 "),
        SPAN_INIT("192.0.2.7\0"),
        SPAN_INIT("192.0.2.7:80"),
        SPAN_INIT("0x7f.1"),
        SPAN_INIT("[::1]"),
        SPAN_INIT("::1%lo"),
        SPAN_INIT("1:2:3:4:5:6:7:8:9"),
        SPAN_INIT("1::2::3"),
        SPAN_INIT("12345::"),
        SPAN_INIT("0000:0000:0000:0000:0000:0000:255.255.255.2555"),
        SPAN_INIT("localhost"),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct in6_addr address = in6addr_any;
        assert_false(address_read(&address, bad[i]));
        assert_memory_equal(&address, &in6addr_any, sizeof address);
    }
}

static void test_port(void **state)
{
    (void)state;
    assert_true(address_port(SPAN("0")));
    assert_true(address_port(SPAN("65535")));
    static const char *const bad[] = {"",   "65536", "00", "080", "+1",
                                      "-1", " 1",    "1 ", "x",   "99999999999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(address_port(span_from(bad[i])));
}

/* An IPv6 network of a household is one; each IPv4 address is one, however it is written. */
static void test_keys(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"},
        {"::ffff:192.0.2.7", "64:ff9b::192.0.2.7"},
        {"::", "::1"},
    };
    static const char *const different[][2] = {
        {"2001:db8:1:2::1", "2001:db8:1:3::1"},
        {"::ffff:192.0.2.7", "::ffff:192.0.2.8"},
        {"::ffff:0.0.0.1", "::1"},
        {"::ffff:0.0.0.0", "::"},
        {"64:ff9b:1::192.0.2.7", "::ffff:192.0.2.7"},
    };
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        struct in6_addr a = ipv6_of(same[i][0]), b = ipv6_of(same[i][1]);
        assert_int_equal(address_key(&a), address_key(&b));
        assert_int_not_equal(address_key(&a), 0);
    }
    for (size_t i = 0; i < COUNT_OF(different); i++) {
        struct in6_addr a = ipv6_of(different[i][0]), b = ipv6_of(different[i][1]);
        assert_int_not_equal(address_key(&a), address_key(&b));
    }
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *range, *inside, *outside;
    } table[] = {
        {"10.0.0.0/8", "::ffff:10.255.0.1", "::ffff:11.0.0.0"},
        {"192.0.2.128/25", "::ffff:192.0.2.255", "::ffff:192.0.2.127"},
        {"192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.6"},
        {"192.0.2.7/32", "::ffff:192.0.2.7", "::ffff:192.0.2.6"},
        {"0.0.0.0/0", "::ffff:1.2.3.4", "2001:db8::"},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
        {"2001:db8::8/125", "2001:db8::f", "2001:db8::7"},
        {"::1", "::1", "::2"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct address_range range;
        struct in6_addr inside = ipv6_of(table[i].inside), outside = ipv6_of(table[i].outside);
        assert_true(address_range_read(&range, span_from(table[i].range)));
        assert_true(address_in_range(&inside, &range));
        assert_false(address_in_range(&outside, &range));
    }
    struct address_range all;
    struct in6_addr any = ipv6_of("2001:db8::");
    assert_true(address_range_read(&all, SPAN("::/0")));
    assert_true(address_in_range(&any, &all));
    static const char *const bad[] = {"",           "10.0.0.0/33", "10.0.0.0/",    "10.0.0.0/08",
                                      "10.0.0.1/8", "::/129",      "2001:db8::/8", "/8",
                                      "10/8",       "::1/-1",      "10.0.0.0/8 "};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(address_range_read(&all, span_from(bad[i])));
}

static void test_of_socket(void **state)
{
    (void)state;
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000207)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_addr = ipv6_of("2001:db8::7")};
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct in6_addr is = ipv6_of("::ffff:192.0.2.7");
    struct in6_addr found = address_of((const struct sockaddr *)&ipv4);
    assert_memory_equal(&found, &is, sizeof is);
    found = address_of((const struct sockaddr *)&ipv6);
    assert_memory_equal(&found, &ipv6.sin6_addr, sizeof is);
    found = address_of(&other);
    assert_memory_equal(&found, &in6addr_any, sizeof is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),   cmocka_unit_test(test_read_refused),
        cmocka_unit_test(test_port),   cmocka_unit_test(test_keys),
        cmocka_unit_test(test_ranges), cmocka_unit_test(test_of_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
