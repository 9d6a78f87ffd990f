#include "experiment/cells.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "measure/clock.h"

static struct result result;
static struct contestant *one;
static struct table table;

static int begin(void **state)
{
    (void)state;
    result_init(&result, "test");
    one = result_add(&result, "websocket", "depth 1", KIND_TRANSPORT);
    memset(&table, 0, sizeof table);
    table_row(&table);
    return 0;
}

static int end(void **state)
{
    (void)state;
    result_done(&result);
    return 0;
}

/* One second of 20,000 deliveries on a CPU each, of which the sides used so much. */
static void run_for(double server_share, double client_share)
{
    const struct turn turn = {
        .server_cpu_ns = (int64_t)(server_share * NS_PER_S),
        .load = {.elapsed_ns = NS_PER_S,
                 .deliveries = 20000,
                 .client_cpu_ns = (int64_t)(client_share * NS_PER_S)},
    };
    one->server_cpus = 1;
    contestant_turn(one, &turn);
}

static void check(unsigned column, const char *wanted)
{
    assert_string_equal(table.cells[0][column], wanted);
}

/* A rate that is the clients' limit is a bound for the server, and never called its own. */
static void test_the_clients_limit(void **state)
{
    (void)state;
    run_for(0.5, 0.99);
    cell_rate(&table, one);
    cell_saturated(&table, one);
    cells_shares(&table, one);
    check(0, ">=20.0k");
    check(1, "client-bound");
    check(2, "50 %");
    check(3, "99 %");
}

static void test_the_servers_limit(void **state)
{
    (void)state;
    run_for(0.99, 0.5);
    cell_rate(&table, one);
    cell_saturated(&table, one);
    cell_cpu(&table, one);
    check(0, "20.0k");
    check(1, "server");
    check(2, "49.5 us");
}

static void test_both_and_neither(void **state)
{
    (void)state;
    run_for(0.98, 0.99);
    cell_rate(&table, one);
    cell_saturated(&table, one);
    check(0, "20.0k");
    check(1, "both");
    result_done(&result);
    begin(NULL);
    run_for(0.5, 0.5);
    cell_saturated(&table, one);
    check(0, "neither");
}

/* Of a server elsewhere nobody knows whether it was at its limit. */
static void test_unknown(void **state)
{
    (void)state;
    run_for(0, 0.99);
    one->server_cpus = 0;
    cell_rate(&table, one);
    cell_cpu(&table, one);
    cells_shares(&table, one);
    cell_memory(&table, one);
    check(0, "20.0k");
    check(1, "unknown");
    check(2, "unknown");
    check(4, "unknown");
}

static void test_ledger(void **state)
{
    (void)state;
    one->ledger = (struct load_ledger){
        .delivered = 9, .lost = 1, .duplicate = 20, .out_of_order = 300, .corrupt = 4000};
    cell_ledger(&table, one);
    cell_faults(&table, one);
    check(0, "1, 20, 300, 4000");
    check(1, "4321");
}

static void test_memory(void **state)
{
    (void)state;
    one->memory = calloc(1, sizeof *one->memory);
    assert_non_null(one->memory);
    one->memory->known = true;
    one->memory->user_bytes = 88500;
    one->connections = 1000;
    cell_memory(&table, one);
    cell_memory(&table, NULL);
    check(0, "88 B");
    check(1, "unknown");
}

/* A workload has a line of its own where it begins. */
static void test_workloads(void **state)
{
    (void)state;
    const char *last = "";
    row_workload(&table, one, &last);
    row_workload(&table, one, &last);
    assert_int_equal(table.rows, 2);
    assert_string_equal(table.cells[1][0], "depth 1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_clients_limit),
        TEST(test_the_servers_limit),
        TEST(test_both_and_neither),
        TEST(test_unknown),
        TEST(test_ledger),
        TEST(test_memory),
        TEST(test_workloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
