#include "claims/scenario.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    FITS = 100000,
};

static char why[1024];

#define HEAD  "[scenario]\ntitle = T\nexperiment = hold\nseconds = 9\n"
#define CLAIM "[claim a]\nclaim = C\nvalue = 1\nholds = true\n"

/* NULL when it was refused; `why` then says for what. */
static struct scenario *read_text(const char *text)
{
    char path[] = "/tmp/test-scenario-XXXXXX";
    struct scenario *scenario = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int err = scenario_read(&scenario, path, FITS, why, sizeof why);
    unlink(path);
    assert_true((err == 0) == (scenario != NULL));
    if (err < 0)
        assert_non_null(strstr(why, path));
    return scenario;
}

static void refused(const char *text, const char *reason)
{
    assert_null(read_text(text));
    if (!strstr(why, reason))
        fail_msg("'%s' is not in '%s'", reason, why);
}

static void test_a_whole_file(void **state)
{
    (void)state;
    struct scenario *scenario = read_text("; a comment\n"
                                          "[scenario]\n"
                                          "title = What it costs\n"
                                          "about = One line\n"
                                          "    and another\n"
                                          "experiment = hold\n"
                                          "seconds = 30\n"
                                          "[options]\n"
                                          "connections = 20\n"
                                          "set = a=1\n"
                                          "set = b=2\n"
                                          "tls =\n"
                                          "[claim one]\n"
                                          "claim = It holds\n"
                                          "source = somebody\n"
                                          "value = .x\n"
                                          "    | .y; 1\n"
                                          "holds = . > 1\n");
    assert_non_null(scenario);
    assert_string_equal(scenario->about, "One line and another");
    assert_int_equal(scenario->seconds, 30);
    assert_int_equal(scenario->option_count, 4);
    assert_string_equal(scenario->options[0], "--connections=20");
    assert_string_equal(scenario->options[1], "--set=a=1");
    assert_string_equal(scenario->options[2], "--set=b=2");
    assert_string_equal(scenario->options[3], "--tls");
    assert_int_equal(scenario->claim_count, 1);
    assert_string_equal(scenario->claims[0].name, "one");
    assert_string_equal(scenario->claims[0].value, ".x | .y; 1");
    scenario_free(scenario);
}

static void test_the_name_is_that_of_the_file(void **state)
{
    (void)state;
    struct scenario scenario = {0};
    name_of(&scenario, "a.b/own.ini");
    assert_string_equal(scenario.name, "own");
    name_of(&scenario, "plain");
    assert_string_equal(scenario.name, "plain");
}

static void test_shares_of_the_machine(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t wanted; /* 0: not well formed */
    } rows[] = {
        {"25 % of fits", 25000},
        {"25% of fits", 25000},
        {"0.3 % of fits", 300},
        {"0.001 % of fits", 1},
        {"50 % of fits, at most 9000", 9000},
        {"5 % of fits, at most 9000", 5000},
        {"150 % of fits", 0},
        {"-1 % of fits", 0},
        {"half of fits", 0},
        {"5 % of fits at most 9", 0},
        {"5 % of fits, at most ", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t got;
        assert_true(share_of_fits(rows[i].value, FITS, &got));
        assert_int_equal(got, rows[i].wanted);
    }
    uint64_t got;
    assert_false(share_of_fits("2000", FITS, &got));
    refused(HEAD "[options]\nconnections = half of fits\n" CLAIM,
            "'half of fits' is not of the form '25 % of fits, at most 100000'");
}

static void test_streams(void **state)
{
    (void)state;
    struct scenario *scenario = read_text(HEAD "[stream full]\ntransport = sse\n"
                                               "subscribers = 1 % of fits\n"
                                               "[stream delta]\nrate = 3\n" CLAIM);
    assert_non_null(scenario);
    assert_int_equal(scenario->option_count, 2);
    assert_string_equal(scenario->options[0], "--stream=name=full transport=sse subscribers=1000");
    assert_string_equal(scenario->options[1], "--stream=name=delta rate=3");
    scenario_free(scenario);
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    refused("[scenario]\ntitle = T\n", "no experiment in [scenario]");
    refused("[scenario]\nexperiment = hold\n", "no title in [scenario]");
    refused("[scenario]\ntitle = T\nexperiment = hold\n" CLAIM, "no seconds in [scenario]");
    refused("[scenario]\nseconds = 0\n", ":2: seconds: needs a whole number from 1 to 3600");
    refused("[scenario]\nseconds = soon\n", "not 'soon'");
    refused(HEAD, "there is no [claim NAME]");
    refused(HEAD "[claim a]\nclaim = C\nvalue = 1\n", "no holds in [claim a]");
    refused(HEAD "[claim a]\nclaim = C\nholds = 1\n", "no value in [claim a]");
    refused(HEAD "colour = red\n" CLAIM, ":5: there is no 'colour' in [scenario]");
    refused(HEAD "[claim a]\nverdict = yes\n", "there is no 'verdict' in [claim]");
    refused(HEAD "[extra]\na = b\n", "there is no section [extra]");
    refused("[scenario]\ntitle\n", ":2: not a line of the form name = value");
}

static void test_a_missing_file(void **state)
{
    (void)state;
    struct scenario *scenario;
    assert_int_equal(scenario_read(&scenario, "/nonexistent/x.ini", FITS, why, sizeof why),
                     -ENOENT);
    assert_non_null(strstr(why, "cannot read /nonexistent/x.ini: No such file"));
}

static void test_bounds(void **state)
{
    (void)state;
    char text[16384] = HEAD "[options]\n";
    for (int i = 0; i < SCENARIO_OPTIONS_MAX + 1; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "set = a=%d\n", i);
    refused(text, "at most 32 options");
    snprintf(text, sizeof text, "%s", HEAD);
    for (int i = 0; i < SCENARIO_CLAIMS_MAX + 1; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "[claim %d]\nclaim = C\nvalue = 1\nholds = true\n", i);
    refused(text, "at most 12 claims");
    snprintf(text, sizeof text, "[scenario]\n");
    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "about = %0100d\n", i);
    refused(text, "about is longer than 2047 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_file),
        cmocka_unit_test(test_the_name_is_that_of_the_file),
        cmocka_unit_test(test_shares_of_the_machine),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_a_missing_file),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
