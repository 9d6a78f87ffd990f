#include "claims/judge.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct judge *judge;
static struct scenario scenario = {.name = "own", .path = "own.ini", .claim_count = 1};

static int setup(void **state)
{
    (void)state;
    char why[512];
    json_t *run =
        json_loads("{\"contestants\": ["
                   "  {\"name\": \"poll\", \"workload\": \"rtt 10\", \"client_bound\": true},"
                   "  {\"name\": \"sse\", \"client_bound\": false, \"latency\": {\"corrected\":"
                   "     {\"percentiles\": [[50, 2000000], [99, 9000000]]}},"
                   "   \"turns\": [{\"deliveries\": 3}, {\"deliveries\": 4}]}]}",
                   0, NULL);
    assert_non_null(run);
    assert_int_equal(judge_create(&judge, PRELUDE, why, sizeof why), 0);
    assert_int_equal(judge_take(judge, run), 0);
    json_decref(run);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    judge_free(judge);
    return 0;
}

static void check(const char *value, const char *measured, const char *holds, const char *depends,
                  const char *wanted_measured, const char *wanted_verdict)
{
    struct scenario_claim *claim = &scenario.claims[0];
    *claim = (struct scenario_claim){.name = "c", .claim = "C", .source = "S"};
    snprintf(claim->value, sizeof claim->value, "%s", value);
    snprintf(claim->measured, sizeof claim->measured, "%s", measured);
    snprintf(claim->holds, sizeof claim->holds, "%s", holds);
    snprintf(claim->depends, sizeof claim->depends, "%s", depends);
    json_t *verdict = judge_claim(judge, &scenario, claim);
    assert_string_equal(json_string_value(json_object_get(verdict, "measured")), wanted_measured);
    assert_string_equal(json_string_value(json_object_get(verdict, "verdict")), wanted_verdict);
    assert_string_equal(json_string_value(json_object_get(verdict, "claim")), "C");
    assert_string_equal(json_string_value(json_object_get(verdict, "source")), "S");
    assert_string_equal(json_string_value(json_object_get(verdict, "scenario")), "own");
    json_decref(verdict);
}

static void test_verdicts(void **state)
{
    (void)state;
    const char *p50 = "of(\"sse\") | latency(50) / 1e6";
    check(p50, "\"\\(.) ms\"", ". < 3", "", "2 ms", "holds");
    check(p50, "", ". > 3", "", "2", "fails");
    check(p50, "", ". > 3", ". > 1", "2", "depends");
    check(p50, "", ". > 3", ". > 5", "2", "fails");
    check("of(\"sse\") | sum_of(.deliveries)", "", ". == 7", "", "7", "holds");
    check("1", "\"of \\($run.contestants | length)\"", "true", "", "of 2", "holds");
}

static void test_what_cannot_be_said_is_not_measured(void **state)
{
    (void)state;
    check(".nothing", "", "true", "", "the run has no such figure", "not measured");
    check("empty", "", "true", "", "the run has no such figure", "not measured");
    check("of(\"nobody\")", "", "true", "", "the run has no nobody", "not measured");
    check("of(\"sse\"; \"x\")", "", "true", "", "the run has no sse under \"x\"", "not measured");
    check("of(\"poll\") | latency(50)", "", "true", "", "poll has no latency", "not measured");
    check("of(\"sse\") | latency(42)", "", "true", "", "sse has no p42", "not measured");
    check("of(\"poll\") | servers | 1", "", "true", "",
          "the clients were the bottleneck of poll: the figure would not be the server's",
          "not measured");
    check("1", "error(\"no words\")", "true", "", "no words", "not measured");
    check("1", "", "error(\"no bound\")", "", "no bound", "not measured");
    check("of(\"sse\") | servers | 1", "", "true", "", "1", "holds");
}

static void test_numbers(void **state)
{
    (void)state;
    check("[0.01234, 1.2345, 12.345, 123.4, 12345, 0] | map(digits)", "", "true", "",
          "[0.0123,1.23,12.3,123,12345,0]", "holds");
    check("[7, 999, 1000, 1234567] | map(grouped)", "", "true", "",
          "[\"7\",\"999\",\"1,000\",\"1,234,567\"]", "holds");
    check("[850, 12345, 4560000, 1200000000] | map(time)", "", "true", "",
          "[\"850 ns\",\"12.3 µs\",\"4.56 ms\",\"1.2 s\"]", "holds");
    check("[99.7, 8580, 25e6] | map(bytes)", "", "true", "",
          "[\"99.7 bytes\",\"8.58 KB\",\"25 MB\"]", "holds");
    check("0.9804 | percent", "", "true", "", "\"98 %\"", "holds");
    check("[1, 5] | map(between(2; 5))", "", "true", "", "[false,true]", "holds");
}

static void test_what_is_not_jq_is_said(void **state)
{
    (void)state;
    char why[1024];
    scenario.claims[0] =
        (struct scenario_claim){.name = "c", .value = "of(", .holds = "true", .claim = "C"};
    assert_int_equal(judge_check(judge, &scenario, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "own.ini: value of [claim c] is not jq: "));
    snprintf(scenario.claims[0].value, SCENARIO_TEXT_MAX, "unheard_of(1)");
    assert_int_equal(judge_check(judge, &scenario, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "unheard_of"));
    snprintf(scenario.claims[0].value, SCENARIO_TEXT_MAX, "of(\"x\")");
    assert_int_equal(judge_check(judge, &scenario, why, sizeof why), 0);
}

static void test_definitions_that_cannot_be_read(void **state)
{
    (void)state;
    char why[512];
    struct judge *none;
    assert_int_equal(judge_create(&none, "/nonexistent/claims.jq", why, sizeof why), -ENOENT);
    assert_non_null(strstr(why, "cannot read /nonexistent/claims.jq"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_what_cannot_be_said_is_not_measured),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_what_is_not_jq_is_said),
        cmocka_unit_test(test_definitions_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
