#include "experiment/capacity_plan.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define GIB (UINT64_C(1) << 30)

/* A machine on which nothing but the load generator is short. */
static struct capacity_machine roomy(void)
{
    return (struct capacity_machine){
        .memory_available = 1000 * GIB,
        .memory_total = 1024 * GIB,
        .page_bytes = 4096,
        .tcp_mem = {1000, 2000, 3000},
        .tcp_pages = 500,
        .files_max = UINT64_C(1) << 40,
        .nofile = 1 << 20,
        .table_slots = 32768,
        .somaxconn = 4096,
        .sources = UINT64_C(1) << 38,
        .clients_max = OPTIONS_CLIENTS_MAX,
    };
}

static uint64_t held(const struct capacity_machine *machine, enum bound expected)
{
    struct capacity_plan plan;
    capacity_plan_make(&plan, machine);
    assert_int_equal(plan.least, expected);
    for (int i = 0; i < BOUND_COUNT; i++) {
        assert_true(plan.bounds[i].connections >= plan.bounds[plan.least].connections);
        assert_true(plan.bounds[i].name && plan.bounds[i].why[0] && plan.bounds[i].remedy);
    }
    return plan.bounds[plan.least].connections;
}

static void test_each_bound(void **state)
{
    (void)state;
    struct capacity_machine machine = roomy();
    assert_int_equal(held(&machine, BOUND_CLIENTS), OPTIONS_CLIENTS_MAX);

    machine = roomy();
    machine.sources = 50000;
    assert_int_equal(held(&machine, BOUND_SOURCES), 50000);

    machine = roomy();
    machine.files_max = 100000;
    machine.files_used = 4000;
    assert_int_equal(held(&machine, BOUND_FILES), (100000 - 4000 - FILES_BESIDE) / 2);
    machine.files_exempt = true;
    held(&machine, BOUND_CLIENTS);
}

/* What is bounded fits: the server is started for more than there are subscribers. */
static void test_tables(void **state)
{
    (void)state;
    struct capacity_machine machine = roomy();
    machine.nofile = 300;
    machine.table_slots = 256;
    uint64_t most = held(&machine, BOUND_TABLES);
    uint64_t asked = most + most / BENCH_CONNECTIONS_SHARE + BENCH_CONNECTIONS_SLACK;
    uint64_t there = (300 - DESCRIPTORS_OWN) * (256 - 256 / SERVER_TABLE_SPARE);
    assert_true(most > 0 && asked <= there);
    assert_true(there - asked < 3);
}

/* On a kernel before 6.13. */
static void test_descriptors(void **state)
{
    (void)state;
    struct capacity_machine machine = roomy();
    machine.nofile = 20000;
    machine.table_slots = 0;
    uint64_t most = held(&machine, BOUND_TABLES);
    uint64_t asked = most + most / BENCH_CONNECTIONS_SHARE + BENCH_CONNECTIONS_SLACK;
    assert_true(most > 14000 && asked + asked / 7 + SERVER_DESCRIPTORS_OWN <= 20000);
}

static void test_memory(void **state)
{
    (void)state;
    struct capacity_machine machine = roomy();
    machine.memory_total = 2 * GIB;
    machine.memory_available = 1 * GIB;
    uint64_t most = held(&machine, BOUND_MEMORY);
    assert_true(most * BENCH_BYTES_PER_CONNECTION + RESERVE_LEAST <= GIB);

    machine.memory_available = RESERVE_LEAST - 1; /* less than is kept: nothing fits */
    assert_int_equal(held(&machine, BOUND_MEMORY), 0);

    machine.memory_available = 0; /* unknown is not nothing */
    held(&machine, BOUND_CLIENTS);
}

static void test_forecast(void **state)
{
    (void)state;
    struct capacity_machine machine = roomy();
    struct capacity_plan plan;
    capacity_plan_make(&plan, &machine);
    assert_int_equal(plan.pressure_at, 1500);
    assert_int_equal(plan.stall_at, 2500);
    assert_false(plan.backlog_short);
    machine.tcp_pages = 9999;
    machine.somaxconn = 8;
    capacity_plan_make(&plan, &machine);
    assert_int_equal(plan.stall_at, 0);
    assert_true(plan.backlog_short);
}

static void test_steps(void **state)
{
    (void)state;
    uint32_t steps[PLAN_STEPS_MAX];
    assert_int_equal(capacity_steps(10000, 100000, 2, 0, steps), 5);
    assert_int_equal(steps[3], 80000);
    assert_int_equal(steps[4], 100000);
    assert_int_equal(capacity_steps(10, 30, 0, 10, steps), 3);
    assert_int_equal(steps[2], 30);
    assert_int_equal(capacity_steps(7, 7, 2, 0, steps), 1);
    assert_int_equal(capacity_steps(1, 1000000, 0, 1, steps), 0);
    /* A factor that would stand still goes on by one. */
    assert_int_equal(capacity_steps(1, 5, 1.05, 0, steps), 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(steps[i], i + 1);
}

static void test_fill(void **state)
{
    (void)state;
    char text[32], small[6];
    assert_string_equal(capacity_fill(text, sizeof text, "{n} and {n}", 320000),
                        "320000 and 320000");
    assert_string_equal(capacity_fill(text, sizeof text, "none", 1), "none");
    assert_string_equal(capacity_fill(small, sizeof small, "ab{n}cd", 12345), "ab123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_bound),  cmocka_unit_test(test_tables),
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_forecast),    cmocka_unit_test(test_steps),
        cmocka_unit_test(test_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
