#include <arpa/inet.h>

#include "wire/forwarded.h"
#include "wire_test.h"

#define FOUND_MAX 4

/* What is read one after the other, from the end; NULL: nothing more, "": no address. */
struct row {
    struct span value;
    const char *found[FOUND_MAX];
};

static void check(const struct row *row, enum forwarded_form form)
{
    struct span value = row->value;
    for (size_t i = 0; i < FOUND_MAX; i++) {
        struct in6_addr address, expected;
        const char *next = row->found[i];
        int result = forwarded_last(&value, form, &address);
        if (!next || next[0] == '\0') {
            assert_int_equal(result, next ? -1 : 0);
            return;
        }
        assert_int_equal(result, 1);
        assert_int_equal(inet_pton(AF_INET6, next, &expected), 1);
        assert_memory_equal(&address, &expected, sizeof expected);
    }
}

static void test_for(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT(""), {NULL}},
        {SPAN_INIT(" , ,"), {NULL}},
        {SPAN_INIT("192.0.2.7"), {"::ffff:192.0.2.7", NULL}},
        {SPAN_INIT("192.0.2.7:4711"), {"::ffff:192.0.2.7", NULL}},
        {SPAN_INIT("2001:db8::7"), {"2001:db8::7", NULL}},
        {SPAN_INIT("[2001:db8::7]"), {"2001:db8::7", NULL}},
        {SPAN_INIT("[2001:db8::7]:4711"), {"2001:db8::7", NULL}},
        {SPAN_INIT("203.0.113.5, 2001:db8::7 ,192.0.2.43:4711"),
         {"::ffff:192.0.2.43", "2001:db8::7", "::ffff:203.0.113.5", NULL}},
        {SPAN_INIT("unknown"), {""}},
        {SPAN_INIT("unknown, 192.0.2.7"), {"::ffff:192.0.2.7", ""}},
        {SPAN_INIT("\", 192.0.2.7"), {"::ffff:192.0.2.7", ""}},
        {SPAN_INIT("192.0.2.7:"), {""}},
        {SPAN_INIT("192.0.2.7:65536"), {""}},
        {SPAN_INIT(":4711"), {""}},
        {SPAN_INIT("[192.0.2.7]"), {""}},
        {SPAN_INIT("[2001:db8::7"), {""}},
        {SPAN_INIT("[2001:db8::7]4711"), {""}},
        {SPAN_INIT("[]"), {""}},
        {SPAN_INIT("192.0.2.7 192.0.2.8"), {""}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i], FORWARDED_FOR);
}

static void test_rfc(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SPAN_INIT(""), {NULL}},
        {SPAN_INIT("for=192.0.2.7"), {"::ffff:192.0.2.7", NULL}},
        {SPAN_INIT("For=\"192.0.2.7:4711\""), {"::ffff:192.0.2.7", NULL}},
        {SPAN_INIT("FOR=\"[2001:db8:cafe::17]:4711\""), {"2001:db8:cafe::17", NULL}},
        {SPAN_INIT("for=\"[2001:db8::7]\";proto=https;by=203.0.113.43"), {"2001:db8::7", NULL}},
        {SPAN_INIT("proto=http; for=192.0.2.60 ;by=\"a;for=1.1.1.1\""),
         {"::ffff:192.0.2.60", NULL}},
        {SPAN_INIT("for=192.0.2.43, for=\"[2001:db8::7]:_x1\""),
         {"2001:db8::7", "::ffff:192.0.2.43", NULL}},
        {SPAN_INIT("for=198.51.100.17;by=\"x, for=1.1.1.1\""), {"::ffff:198.51.100.17", NULL}},
        /* Whatever a client has said does not reach into what its proxy adds. */
        {SPAN_INIT("for=\", for=192.0.2.7"), {"::ffff:192.0.2.7", ""}},
        {SPAN_INIT("for=\"\\\", for=192.0.2.7"), {"::ffff:192.0.2.7", ""}},
        {SPAN_INIT("x, for=192.0.2.7"), {"::ffff:192.0.2.7", ""}},
        {SPAN_INIT("for=unknown"), {""}},
        {SPAN_INIT("for=_hidden"), {""}},
        {SPAN_INIT("for=2001:db8::7"), {""}},
        {SPAN_INIT("for=\"[2001:db8::7]:_\""), {""}},
        {SPAN_INIT("for=\"192.0.2.7"), {""}},
        {SPAN_INIT("for=\"192.0.2.\\7\""), {""}},
        {SPAN_INIT("for=192.0.2.7;for=192.0.2.8"), {""}},
        {SPAN_INIT("by=\";for=192.0.2.7"), {""}},
        {SPAN_INIT("for="), {""}},
        {SPAN_INIT("by=192.0.2.7"), {""}},
        {SPAN_INIT("192.0.2.7"), {""}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i], FORWARDED_RFC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_for), cmocka_unit_test(test_rfc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
