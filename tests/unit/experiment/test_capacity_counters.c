#include "experiment/capacity_counters.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_pairs(void **state)
{
    (void)state;
    struct capacity_counters counters = {0};
    char text[] = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\n"
                  "TcpExt: 7 12 13\n"
                  "IpExt: InNoRoutes ListenOverflows\n"
                  "IpExt: 1 99\n";
    counters_take_pairs(&counters, SOURCE_NETSTAT, "TcpExt", text);
    assert_true(counters.known[COUNTER_LISTEN_OVERFLOWS]);
    assert_int_equal(counters.values[COUNTER_LISTEN_OVERFLOWS], 12);
    assert_int_equal(counters.values[COUNTER_LISTEN_DROPS], 13);
    assert_false(counters.known[COUNTER_MEMORY_PRESSURES]);
}

/* "Tcp" is not "TcpExt", names may outnumber values, MaxConn is -1, and a file may be cut. */
static void test_pairs_odd(void **state)
{
    (void)state;
    struct capacity_counters counters = {0};
    char text[] = "TcpExt: RetransSegs\nTcpExt: 5\n"
                  "Tcp: MaxConn AttemptFails EstabResets RetransSegs\n"
                  "Tcp: -1 4 x\n"
                  "Udp: alone\n";
    counters_take_pairs(&counters, SOURCE_SNMP, "Tcp", text);
    assert_true(counters.known[COUNTER_ATTEMPT_FAILS]);
    assert_int_equal(counters.values[COUNTER_ATTEMPT_FAILS], 4);
    assert_false(counters.known[COUNTER_RESETS]);
    assert_false(counters.known[COUNTER_RETRANSMITS]);
}

static void test_metrics(void **state)
{
    (void)state;
    struct capacity_counters counters = {0};
    counters_take_metrics(&counters, "# TYPE ringside_accepted_total counter\n"
                                     "ringside_accepted_total 31\n"
                                     "ringside_connections_closed_total{reason=\"table_full\"} 3\n"
                                     "ringside_requests_refused_total{reason=\"table_full\"} 4\n");
    assert_int_equal(counters.values[COUNTER_ACCEPTED], 31);
    assert_int_equal(counters.values[COUNTER_CLOSED_TABLE_FULL], 3);
    assert_int_equal(counters.values[COUNTER_REFUSED_TABLE_FULL], 4);
    assert_false(counters.known[COUNTER_ACCEPT_REFUSED]);
}

static void test_growth(void **state)
{
    (void)state;
    struct capacity_counters before = {0}, after = {0}, growth;
    before.known[COUNTER_LISTEN_DROPS] = after.known[COUNTER_LISTEN_DROPS] = true;
    before.values[COUNTER_LISTEN_DROPS] = 10;
    after.values[COUNTER_LISTEN_DROPS] = 15;
    after.known[COUNTER_ACCEPTED] = true; /* the server was not there before */
    before.known[COUNTER_RESETS] = after.known[COUNTER_RESETS] = true;
    before.values[COUNTER_RESETS] = 2; /* went back: nothing is made up */
    counters_growth(&growth, &before, &after);
    assert_int_equal(growth.values[COUNTER_LISTEN_DROPS], 5);
    assert_int_equal(growth.values[COUNTER_RESETS], 0);
    assert_false(growth.known[COUNTER_ACCEPTED]);
    json_t *object = counters_json(&growth);
    assert_int_equal(json_object_size(object), 2);
    assert_int_equal(json_integer_value(json_object_get(object, "ListenDrops")), 5);
    json_decref(object);
}

static void test_names_are_unique(void **state)
{
    (void)state;
    char one[COUNTER_NAME_MAX], other[COUNTER_NAME_MAX];
    for (int i = 0; i < COUNTER_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(counter_name((enum capacity_counter)i, one),
                                    counter_name((enum capacity_counter)j, other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_pairs_odd),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_names_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
