#include "output/result.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct usage usage(double used, double waited, double steal)
{
    return (struct usage){used, waited, steal, 0, -1};
}

static enum saturated judged(struct usage server, struct usage client)
{
    return saturated_by(&server, &client);
}

static void test_saturated_by_what_was_asked_for(void **state)
{
    (void)state;
    assert_int_equal(judged(usage(0.97, 0, 0), usage(0.50, 0, 0)), SATURATED_SERVER);
    assert_int_equal(judged(usage(0.50, 0, 0), usage(0.97, 0, 0)), SATURATED_CLIENT);
    assert_int_equal(judged(usage(0.92, 0, 0), usage(0.97, 0, 0)), SATURATED_BOTH);
    assert_int_equal(judged(usage(0.92, 0, 0), usage(0.50, 0, 0)), SATURATED_NEITHER);
    assert_int_equal(judged(usage(0.40, 0, 0), usage(0.60, 0.38, 0)), SATURATED_CLIENT);
    assert_int_equal(judged(usage(0.40, 0.30, 0.28), usage(0.60, 0, 0)), SATURATED_SERVER);
}

/* Four messages a second to so many that the clients need all of their CPU for 75 ms each: in the
 * turn as a whole nobody is at a limit. */
static void test_a_rate_is_judged_over_its_bursts(void **state)
{
    (void)state;
    struct turn paced = {.server_cpu_ns = 100000000,
                         .load = {.elapsed_ns = 1000000000,
                                  .client_cpu_ns = 310000000,
                                  .burst_ns = 300000000,
                                  .burst_cpu_ns = 295000000}};
    assert_int_equal(turn_saturated(&paced, 1), SATURATED_CLIENT);
    paced.server_cpu_ns = 320000000; /* more than fits into them: it also did other things */
    assert_int_equal(turn_saturated(&paced, 1), SATURATED_BOTH);
    paced.load.burst_cpu_ns = 100000000;
    assert_int_equal(turn_saturated(&paced, 1), SATURATED_SERVER);
    assert_int_equal(turn_saturated(&paced, 4), SATURATED_NEITHER);
    paced.load.burst_ns = paced.load.burst_cpu_ns = 0; /* a closed loop */
    assert_int_equal(turn_saturated(&paced, 1), SATURATED_NEITHER);
}

static void test_unknown_is_not_asked_for(void **state)
{
    (void)state;
    struct usage unknown = {-1, -1, -1, -1, -1}, half_known = {0.5, -1, -1, -1, -1};
    assert_true(usage_asked(&unknown) == 0);
    assert_true(usage_asked(&half_known) == 0.5);
    struct usage more_than_all = usage(0.9, 0.4, 0.1);
    assert_true(usage_asked(&more_than_all) == 1);
}

static struct turn turn(double server_share, double client_share)
{
    return (struct turn){
        .server_cpu_ns = (int64_t)(server_share * NS_PER_S),
        .load = {.elapsed_ns = NS_PER_S,
                 .deliveries = 100,
                 .client_cpu_ns = (int64_t)(client_share * NS_PER_S)},
        .strain = {.known = true,
                   .elapsed_ns = NS_PER_S,
                   .server = {.waited_ns = 0},
                   .client = {.waited_ns = 0}},
    };
}

/* What the kernel's thread did is the server's; what is left of its core was somebody else's. */
static void test_a_server_is_charged_with_its_core(void **state)
{
    (void)state;
    struct turn one = turn(0, 0.5);
    one.strain.server.waited_ns = NS_PER_S / 4;
    one.strain.cost = (struct strain_cost){
        .process_ns = 600000000, .softirqd_ns = 200000000, .core_ns = 900000000};
    one.server_cpu_ns = strain_charged_ns(&one.strain.cost);
    assert_int_equal(one.server_cpu_ns, 900000000);
    assert_int_equal(strain_own_ns(&one.strain.cost), 800000000);
    struct usage server = turn_server_usage(&one, 1);
    assert_true(server.used > 0.899 && server.used < 0.901);
    assert_true(server.others > 0.099 && server.others < 0.101);
    assert_true(usage_asked(&server) == server.used); /* who it waited for is in it */

    struct strain_cost shared = {.process_ns = 600000000, .softirqd_ns = -1, .core_ns = -1};
    assert_int_equal(strain_charged_ns(&shared), 600000000);
    assert_int_equal(strain_own_ns(&shared), 600000000);
    assert_int_equal(strain_others_ns(&shared), -1);
}

static void test_a_try_can_be_forgotten(void **state)
{
    (void)state;
    struct result result;
    result_init(&result, "test");
    struct contestant *contestant = result_add(&result, "one", "", KIND_TRANSPORT);
    contestant->corrected = histogram_create();
    contestant->uncorrected = histogram_create();
    struct turn first = turn(0.2, 0.3);
    contestant_turn(contestant, &first);
    histogram_record(contestant->corrected, 5);
    contestant->ledger.lost = 3;
    contestant_forget_turns(contestant);
    assert_int_equal(contestant->turn_count, 0);
    assert_int_equal(histogram_count(contestant->corrected), 0);
    assert_int_equal(result_ledger_faults(&result), 0);
    result_done(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saturated_by_what_was_asked_for),
        cmocka_unit_test(test_a_rate_is_judged_over_its_bursts),
        cmocka_unit_test(test_unknown_is_not_asked_for),
        cmocka_unit_test(test_a_server_is_charged_with_its_core),
        cmocka_unit_test(test_a_try_can_be_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
