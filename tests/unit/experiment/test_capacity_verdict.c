#include "experiment/capacity_verdict.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "experiment/capacity_plan.h"

/* A step of 320,000 that broke at some stage, and nothing that says why. */
static struct capacity_evidence broken(enum capacity_stage stage)
{
    struct capacity_evidence evidence = {
        .stage = stage,
        .transport = "websocket",
        .wanted = 320000,
        .up = 320000,
        .elapsed_s = 60,
        .allowed_s = 60,
    };
    for (int i = 0; i < COUNTER_COUNT; i++)
        evidence.growth.known[i] = true;
    if (stage == STAGE_RAMP)
        evidence.up = 300000;
    if (stage == STAGE_BROADCAST)
        evidence.missing = 1204;
    return evidence;
}

static void assert_cause(const struct capacity_evidence *evidence, const char *expected)
{
    assert_string_equal(capacity_cause_of(evidence)->name, expected);
}

static void test_counters(void **state)
{
    (void)state;
    static const struct {
        enum capacity_stage stage;
        enum capacity_counter counter;
        const char *cause;
    } rows[] = {
        {STAGE_RAMP, COUNTER_REFUSED_TABLE_FULL, "max_connections"},
        {STAGE_RAMP, COUNTER_CLOSED_TABLE_FULL, "max_connections"},
        {STAGE_RAMP, COUNTER_REFUSED_OVERLOADED, "hub"},
        {STAGE_RAMP, COUNTER_ACCEPT_REFUSED, "accept"},
        {STAGE_RAMP, COUNTER_LISTEN_OVERFLOWS, "backlog"},
        {STAGE_RAMP, COUNTER_LISTEN_DROPS, "backlog"},
        {STAGE_RAMP, COUNTER_REQUEST_QUEUE_DROPS, "half open"},
        {STAGE_HOLD, COUNTER_CLOSED_HEARTBEAT, "heartbeat"},
        {STAGE_BROADCAST, COUNTER_MEMORY_PRESSURES, "tcp_mem"},
        {STAGE_BROADCAST, COUNTER_ABORTS_ON_MEMORY, "orphans"},
        {STAGE_BROADCAST, COUNTER_CLOSED_SLOW_READER, "slow readers"},
        {STAGE_BROADCAST, COUNTER_CLOSED_STALLED, "slow readers"},
        {STAGE_BROADCAST, COUNTER_CLOSED_QUEUE_TOTAL, "slow readers"},
        {STAGE_BROADCAST, COUNTER_SOFTNET_DROPS, "packets"},
        {STAGE_BROADCAST, COUNTER_PRUNES, "receive buffers"},
        {STAGE_BROADCAST, COUNTER_RECEIVE_QUEUE_DROPS, "receive buffers"},
        /* An overflow of the backlog says nothing about a broadcast. */
        {STAGE_BROADCAST, COUNTER_LISTEN_OVERFLOWS, "unexplained"},
        {STAGE_BROADCAST, COUNTER_TIMEOUTS, "unexplained"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct capacity_evidence evidence = broken(rows[i].stage);
        evidence.growth.values[rows[i].counter] = 312;
        assert_cause(&evidence, rows[i].cause);
        evidence.growth.known[rows[i].counter] = false; /* what is unknown is no evidence */
        assert_cause(&evidence, "unexplained");
    }
}

static void test_errnos(void **state)
{
    (void)state;
    static const struct {
        int err;
        const char *cause;
    } rows[] = {
        {EMFILE, "nofile"},        {ENFILE, "file-max"},      {EADDRNOTAVAIL, "ports"},
        {EADDRINUSE, "ports"},     {ENOMEM, "kernel memory"}, {ENOBUFS, "kernel memory"},
        {ECONNREFUSED, "refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct capacity_evidence evidence = broken(STAGE_RAMP);
        evidence.errors[rows[i].err] = 80000;
        assert_cause(&evidence, rows[i].cause);
        evidence.errors[rows[i].err] = 3; /* a few that were tried again kept nobody down */
        assert_cause(&evidence, "unexplained");
    }
}

/* Without its publisher a step has no ramp, and a few attempts are all that there were. */
static void test_publisher(void **state)
{
    (void)state;
    char text[VERDICT_TEXT_MAX];
    struct capacity_evidence evidence = broken(STAGE_RAMP);
    evidence.publisher_down = true;
    evidence.errors[EADDRNOTAVAIL] = 4;
    assert_cause(&evidence, "ports");
    capacity_say_what(text, &evidence);
    assert_string_equal(text, "At 320,000, the publisher had no connection");
}

static void test_order(void **state)
{
    (void)state;
    struct capacity_evidence evidence = broken(STAGE_BROADCAST);
    evidence.server_share = evidence.client_share = 0.99;
    assert_cause(&evidence, "server CPU");
    evidence.growth.values[COUNTER_MEMORY_PRESSURES] = 1;
    assert_cause(&evidence, "tcp_mem");
    const struct capacity_cause *next =
        capacity_cause_next(&evidence, capacity_cause_of(&evidence));
    assert_string_equal(next->name, "server CPU");
    next = capacity_cause_next(&evidence, next);
    assert_string_equal(next->name, "client CPU");
    assert_null(capacity_cause_next(&evidence, next));
    evidence.server_ended = true;
    assert_cause(&evidence, "server");
    evidence.memory_low = true;
    assert_cause(&evidence, "memory");
    evidence = broken(STAGE_RAMP);
    evidence.failures[LOAD_FAIL_SHED] = 80000;
    assert_cause(&evidence, "shed");
}

static void test_held_but_slowed(void **state)
{
    (void)state;
    struct capacity_evidence evidence = broken(STAGE_WHOLE);
    evidence.server_share = 1;
    assert_null(capacity_cause_slowed(&evidence, NULL));
    evidence.growth.values[COUNTER_LISTEN_OVERFLOWS] = 2796;
    const struct capacity_cause *cause = capacity_cause_slowed(&evidence, NULL);
    assert_string_equal(cause->name, "backlog");
    assert_null(capacity_cause_slowed(&evidence, cause));
}

static void test_words(void **state)
{
    (void)state;
    char text[VERDICT_TEXT_MAX];
    struct capacity_evidence evidence = broken(STAGE_BROADCAST);
    evidence.growth.values[COUNTER_MEMORY_PRESSURES] = 312;
    evidence.tcp_pages_most = 575801;
    capacity_say_what(text, &evidence);
    assert_string_equal(text, "At 320,000, the broadcast stalled: 1,204 had not got it after 60 s");
    capacity_say_evidence(text, &evidence);
    assert_string_equal(text, "TCP held up to 575801 pages, TCPMemoryPressures +312");

    evidence.closes = 5;
    capacity_say_what(text, &evidence);
    assert_string_equal(text, "At 320,000, 5 connections were lost during the broadcast");
    evidence = broken(STAGE_RAMP);
    evidence.errors[EADDRNOTAVAIL] = 80000;
    evidence.failures[LOAD_FAIL_ADDRESS] = 80000;
    capacity_say_what(text, &evidence);
    assert_string_equal(text, "At 320,000, only 300,000 came up within 60 s");
    capacity_say_evidence(text, &evidence);
    assert_string_equal(text,
                        "connect: EADDRNOTAVAIL 80000 times, clients: address_in_use 80000 times");
    evidence = broken(STAGE_HOLD);
    capacity_say_evidence(text, &evidence);
    assert_string_equal(text, "no counter moved");
}

/* Everything at once stays inside the text. */
static void test_words_are_bounded(void **state)
{
    (void)state;
    char text[VERDICT_TEXT_MAX];
    struct capacity_evidence evidence = broken(STAGE_RAMP);
    for (int i = 0; i < COUNTER_COUNT; i++)
        evidence.growth.values[i] = UINT64_MAX;
    for (int i = 0; i < LOAD_ERRNO_MAX; i++)
        evidence.errors[i] = UINT32_MAX;
    capacity_say_evidence(text, &evidence);
    assert_true(strlen(text) < VERDICT_TEXT_MAX);
    assert_true(strlen(text) > VERDICT_TEXT_MAX / 2);
}

/* Every row can be acted on, and every command has its number. */
static void test_rows(void **state)
{
    (void)state;
    const struct capacity_cause *cause;
    for (unsigned i = 0; (cause = capacity_cause_at(i)); i++) {
        char text[512];
        assert_true(cause->name && cause->fits && cause->says && cause->remedy);
        assert_true(strlen(cause->remedy) > 20);
        capacity_fill(text, sizeof text, cause->remedy, 4000000);
        assert_null(strchr(text, '{'));
        assert_true(strlen(text) < sizeof text - 1);
        if (strstr(cause->remedy, "tuning/tune"))
            assert_non_null(strstr(text, "4000000"));
        assert_true(!cause->slows || cause->setting);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),          cmocka_unit_test(test_errnos),
        cmocka_unit_test(test_publisher),         cmocka_unit_test(test_order),
        cmocka_unit_test(test_held_but_slowed),   cmocka_unit_test(test_words),
        cmocka_unit_test(test_words_are_bounded), cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
