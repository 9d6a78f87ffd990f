#include "output/json.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What is in a file is read by others: each figure is held against text, with the name and the unit
 * that docs/RESULTS.md gives it. */

static struct result result;
static struct contestant *one;

static int begin(void **state)
{
    (void)state;
    result_init(&result, "fanout");
    result.command = strdup("./build.sh bench fanout");
    one = result_add(&result, "websocket", "depth 8", KIND_TRANSPORT);
    one->connections = 1000;
    return 0;
}

static int end(void **state)
{
    (void)state;
    result_done(&result);
    return 0;
}

static json_t *run_of(void)
{
    json_t *run = json_of_result(&result, "abc", true);
    assert_non_null(run);
    return run;
}

/* A member of the contestant; the caller's, or NULL. */
static json_t *member(unsigned contestant, const char *name)
{
    json_t *run = run_of();
    json_t *list = json_object_get(run, "contestants");
    json_t *found = json_object_get(json_array_get(list, contestant), name);
    json_incref(found);
    json_decref(run);
    return found;
}

static void check_value(json_t *found, const char *wanted)
{
    json_error_t error;
    json_t *value = json_loads(wanted, JSON_DECODE_ANY, &error);
    assert_non_null(value);
    if (!json_equal(found, value))
        fail_msg("%s, wanted %s", json_dumps(found, JSON_ENCODE_ANY), wanted);
    json_decref(value);
}

static void check(const char *name, const char *wanted)
{
    json_t *found = member(0, name);
    assert_non_null(found);
    check_value(found, wanted);
    json_decref(found);
}

static void check_absent(const char *name)
{
    assert_null(member(0, name));
}

/* ---- what is known, and what is not ---- */

static void test_nothing_measured(void **state)
{
    (void)state;
    static const char *const names[] = {"deliveries_per_s",
                                        "ratio",
                                        "tls",
                                        "wire",
                                        "requests",
                                        "connect",
                                        "memory",
                                        "ledger",
                                        "latency",
                                        "reconnect",
                                        "leave",
                                        "knee",
                                        "stall",
                                        "reaped",
                                        "course",
                                        "idle",
                                        "saturated",
                                        "errors",
                                        "counters",
                                        "notes",
                                        "informed",
                                        "version",
                                        "client_bound",
                                        "server_cpu_share",
                                        "handshakes"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_absent(names[i]);
    check("name", "\"websocket\"");
    check("kind", "\"transport\"");
    check("workload", "\"depth 8\"");
    check("connections", "1000");
    check("turns", "[]");
}

static void test_counts(void **state)
{
    (void)state;
    const struct load_ledger before = {.delivered = 100, .lost = 1};
    const struct load_ledger after = {
        .delivered = 107, .lost = 3, .duplicate = 4, .out_of_order = 5, .corrupt = 6};
    contestant_ledger(one, &before, &after);
    one->has_requests = one->has_connect = true;
    one->requests_sent = 50;
    one->requests_answered = 49;
    one->requests_empty = 40;
    one->connect = (struct load_ramp_result){.opened = 998, .failed = 2, .elapsed_ns = 1500000000};
    one->errors[LOAD_FAIL_RESET] = 3;
    one->errors[LOAD_FAIL_SHED] = 1;
    check("ledger", "{\"expected\":9,\"delivered\":7,\"lost\":2,\"duplicate\":4,\"out_of_order\":5,"
                    "\"corrupt\":6}");
    check("requests", "{\"sent\":50,\"answered\":49,\"empty\":40}");
    check("connect", "{\"opened\":998,\"failed\":2,\"elapsed_s\":1.5}");
    json_t *errors = json_pack("{s:i, s:i}", load_failure_name(LOAD_FAIL_RESET), 3,
                               load_failure_name(LOAD_FAIL_SHED), 1);
    char *text = json_dumps(errors, 0);
    check("errors", text);
    free(text);
    json_decref(errors);
}

/* What only one experiment measures comes as it was given. */
static void test_figures_of_an_experiment(void **state)
{
    (void)state;
    check_absent("leave");
    contestant_figure(
        one, "leave",
        json_pack("{s:i, s:o}", "connections", 1000, "elapsed_s", figure_seconds(2000000000)));
    contestant_figure(one, "informed", figure_count(7));
    check("leave", "{\"connections\":1000,\"elapsed_s\":2.0}");
    check("informed", "7");
    contestant_figure(one, "informed", figure_count(8));
    check("informed", "8");
}

/* ---- memory ---- */

static void test_memory(void **state)
{
    (void)state;
    struct memory_growth *memory = one->memory = calloc(1, sizeof *memory);
    assert_non_null(memory);
    *memory = (struct memory_growth){.known = true, .user_bytes = 88500};
    check("memory", "{\"user_bytes_per_connection\":88.5,\"user_bytes\":88500}");
    memory->kernel_known = true;
    memory->slab = (struct slab){
        .caches = {{"TCP", 2000, 5000000}, {"sock_inode_cache", 2000, 1500000}}, .count = 2};
    check("memory", "{\"user_bytes_per_connection\":88.5,\"user_bytes\":88500,"
                    "\"kernel_bytes_per_connection\":6500.0,\"kernel_bytes\":6500000,"
                    "\"kernel_ends\":2,\"slab\":["
                    "{\"cache\":\"TCP\",\"objects\":2000,\"bytes\":5000000},"
                    "{\"cache\":\"sock_inode_cache\",\"objects\":2000,\"bytes\":1500000}]}");
    *memory = (struct memory_growth){.known = true, .user_bytes = -4096}; /* it shrank */
    check("memory", "{\"user_bytes_per_connection\":0.0,\"user_bytes\":0}");
    memory->known = false;
    check_absent("memory");
    memory->known = true;
    one->connections = 0;
    check_absent("memory");
}

/* ---- turns ---- */

/* `second` twice as long, twice as much. */
static struct turn turn_of(unsigned round, unsigned times)
{
    return (struct turn){
        .round = round,
        .start_s = 2.5,
        .server_cpu_ns = times * INT64_C(250000000),
        .load = {.elapsed_ns = times * INT64_C(500000000),
                 .publishes = times * 4,
                 .deliveries = times * UINT64_C(4000),
                 .bytes_in = times * UINT64_C(528000),
                 .bytes_out = times * UINT64_C(2000),
                 .requests = 11,
                 .empty_answers = 10,
                 .client_cpu_ns = times * INT64_C(125000000)},
    };
}

static void test_a_turn(void **state)
{
    (void)state;
    struct turn turn = turn_of(3, 1);
    contestant_turn(one, &turn);
    check("turns", "[{\"round\":3,\"start_s\":2.5,\"elapsed_s\":0.5,\"publishes\":4,"
                   "\"deliveries\":4000,\"down_bytes\":528000,\"up_bytes\":2000,"
                   "\"server_cpu_s\":0.25,\"client_cpu_s\":0.125}]");
    check_absent("server_cpus");
}

static void test_what_a_turn_may_have_too(void **state)
{
    (void)state;
    struct turn turn = turn_of(0, 1);
    turn.p50_ns = 1000;
    turn.p99_ns = 2000;
    turn.strain.known = true;
    turn.strain.server.waited_ns = 62500000;
    turn.strain.client.waited_ns = -1;
    turn.strain.client.steal = 0.25;
    contestant_turn(one, &turn);
    one->has_requests = true;
    json_t *turns = member(0, "turns"), *first = json_array_get(turns, 0);
    check_value(json_object_get(first, "p50_ns"), "1000");
    check_value(json_object_get(first, "p99_ns"), "2000");
    check_value(json_object_get(first, "requests"), "11");
    check_value(json_object_get(first, "empty_answers"), "10");
    check_value(json_object_get(first, "server_waited_s"), "0.0625");
    check_value(json_object_get(first, "client_steal_share"), "0.25");
    assert_null(json_object_get(first, "client_waited_s"));
    assert_null(json_object_get(first, "handshakes"));
    json_decref(turns);
}

/* What its figures are set beside is named, for those who divide. */
static void test_what_a_figure_is_set_beside(void **state)
{
    (void)state;
    struct contestant *bare = result_add(&result, "bare-send", "depth 8", KIND_CEILING);
    one->server_cpus = 2;
    one->ceiling = bare;
    one->payload_bytes = 128;
    one->closes = 3;
    check("server_cpus", "2");
    check("ceiling", "\"bare-send\"");
    check("payload_bytes", "128");
    check("closes", "3");
    json_t *kind = member(1, "kind");
    check_value(kind, "\"ceiling\"");
    json_decref(kind);
    assert_null(member(1, "ceiling"));
}

/* ---- latency ---- */

static void test_latency(void **state)
{
    (void)state;
    one->corrected = histogram_create();
    one->uncorrected = histogram_create();
    check_absent("latency");
    histogram_record_n(one->uncorrected, 100, 99);
    histogram_record_n(one->uncorrected, 500, 1);
    json_t *latency = member(0, "latency");
    assert_null(json_object_get(latency, "corrected"));
    json_t *seen = json_object_get(latency, "uncorrected");
    check_value(json_object_get(seen, "count"), "100");
    check_value(json_object_get(seen, "min_ns"), "100");
    check_value(json_object_get(seen, "max_ns"), "500");
    check_value(json_object_get(seen, "mean_ns"), "104.0");
    json_t *pairs = json_object_get(seen, "percentiles");
    assert_int_equal(json_array_size(pairs), sizeof percents / sizeof percents[0]);
    check_value(json_array_get(pairs, 0), "[0.0, 100]");
    check_value(json_array_get(pairs, 18), "[99.0, 100]");
    check_value(json_array_get(pairs, 19), "[99.3, 500]");
    check_value(json_array_get(pairs, 31), "[100.0, 500]");
    check_value(json_object_get(seen, "buckets"), "[[100, 99], [500, 1]]");
    json_decref(latency);
}

/* ---- the rest ---- */

static void test_the_run(void **state)
{
    (void)state;
    result.started_at = 1793870722; /* 2026-11-05T09:25:22Z */
    result.duration_s = 12.5;
    result.interrupted = true;
    result_note(&result, "%s", "a note");
    struct sample whole = {.t_s = 1.5,
                           .phase = "turns",
                           .contestant = "sse",
                           .connections = 9,
                           .deliveries_per_s = 100.5,
                           .server_cpu = 0.5,
                           .client_cpu = 0.25,
                           .rss_bytes = 4096,
                           .p50_ns = 10,
                           .p99_ns = 20};
    struct sample bare = {.t_s = 2, .phase = "ramp", .connections = 10, .only_connections = true};
    result_sample(&result, &whole);
    result_sample(&result, &bare);
    json_t *run = run_of();
    check_value(json_object_get(run, "experiment"), "\"fanout\"");
    check_value(json_object_get(run, "command"), "\"./build.sh bench fanout\"");
    check_value(json_object_get(run, "started_at"), "\"2026-11-05T09:25:22Z\"");
    check_value(json_object_get(run, "duration_s"), "12.5");
    check_value(json_object_get(run, "interrupted"), "true");
    check_value(json_object_get(run, "notes"), "[\"a note\"]");
    check_value(json_object_get(run, "timeline"),
                "[{\"t_s\":1.5,\"phase\":\"turns\",\"connections\":9,\"deliveries_per_s\":100.5,"
                "\"server_cpu\":0.5,\"client_cpu\":0.25,\"rss_bytes\":4096,\"p50_ns\":10,"
                "\"p99_ns\":20,\"contestant\":\"sse\"},"
                "{\"t_s\":2.0,\"phase\":\"ramp\",\"connections\":10}]");
    json_t *build = json_object_get(run, "build");
    check_value(json_object_get(build, "commit"), "\"abc\"");
    check_value(json_object_get(build, "dirty"), "true");
    assert_null(json_object_get(run, "scenarios"));
    json_decref(run);
}

/* A figure that is no number would make the file unreadable. */
static void test_no_number_is_0(void **state)
{
    (void)state;
    const double none = 0;
    struct sample sample = {
        .phase = "turns", .deliveries_per_s = 1 / none, .server_cpu = none / none};
    result_sample(&result, &sample);
    json_t *run = run_of();
    json_t *first = json_array_get(json_object_get(run, "timeline"), 0);
    check_value(json_object_get(first, "deliveries_per_s"), "0.0");
    check_value(json_object_get(first, "server_cpu"), "0.0");
    char *text = json_dumps(run, 0);
    assert_non_null(text);
    free(text);
    json_decref(run);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_measured),
        TEST(test_counts),
        TEST(test_figures_of_an_experiment),
        TEST(test_memory),
        TEST(test_a_turn),
        TEST(test_what_a_turn_may_have_too),
        TEST(test_what_a_figure_is_set_beside),
        TEST(test_latency),
        TEST(test_the_run),
        TEST(test_no_number_is_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
