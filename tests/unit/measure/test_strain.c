#include "below.h"

#include <stdint.h>

#include "measure/clock.h"

/* The clock and the ticks of a machine that stands still. */
static int64_t now_here_ns;

static long sysconf_here(int name)
{
    (void)name;
    return 100;
}

#define clock_now_ns() now_here_ns
#define sysconf        sysconf_here
#include "measure/fields.c"
#include "measure/strain.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The server's own clock and its waits: test_process.c has those. */
static int64_t process_here_ns, waited_here_ns, client_here_ns;

int64_t process_cpu_ns(const struct process *process)
{
    (void)process;
    return process_here_ns;
}

int64_t process_wait_ns(const struct process *process)
{
    (void)process;
    return waited_here_ns;
}

int64_t process_thread_wait_ns(void)
{
    return client_here_ns;
}

static const struct process pinned = {.pid = 7}, found = {.pid = 7, .foreign = true};

/* user nice system idle iowait irq softirq steal guest guest_nice */
#define REST "intr 6059054 0 0\nctxt 1\n"
static const char stat_before[] = "cpu  9 9 9 9 9 9 9 9 0 0\n"
                                  "cpu0 100 0 50 800 20 5 20 5 7 0\n"
                                  "cpu1 100 0 50 800 20 5 20 5 0 0\n"
                                  "cpu2 100 0 50 800 20 5 20 5 0 0\n"
                                  "cpu10 9 9 9 9 9 9 9 9 0 0\n" REST;
/* CPU 0: of 100 ticks 8 idle, 2 of iowait, 10 of softirq, 5 stolen; CPU 1: 50 idle, 25 of softirq,
 * 15 stolen; CPU 2: the server's second, all idle. */
static const char stat_after[] = "cpu  359 9 144 2576 71 24 104 44 9 0\n"
                                 "cpu0 145 0 80 808 22 5 30 10 9 0\n"
                                 "cpu1 105 0 55 850 20 5 45 20 0 0\n"
                                 "cpu2 100 0 50 900 20 5 20 5 0 0\n"
                                 "cpu10 999 9 9 9 9 9 9 9 0 0\n" REST;

/* ksoftirqd/0 ran for 30 ms in the second; ksoftirqd/2 for 1. */
static void put_daemons(int64_t zeroth_ns, int64_t second_ns)
{
    char text[64];
    below_put("/proc/14/comm", "ksoftirqd/0\n");
    below_put("/proc/24/comm", "ksoftirqd/2\n");
    below_put("/proc/30/comm", "kworker/0:1\n");
    snprintf(text, sizeof text, "%ld 77 5\n", (long)zeroth_ns);
    below_put("/proc/14/schedstat", text);
    snprintf(text, sizeof text, "%ld 77 5\n", (long)second_ns);
    below_put("/proc/24/schedstat", text);
}

static struct strain second_of(const struct process *server, const char *server_cpus,
                               const char *client_cpus)
{
    struct strain_mark mark;
    struct strain strain;
    now_here_ns = 5000000000;
    process_here_ns = 1000000000;
    waited_here_ns = client_here_ns = 0;
    put_daemons(400000000, 900000000);
    below_put("/proc/stat", stat_before);
    strain_begin(&mark, server, server_cpus, client_cpus);
    now_here_ns += 1000000000;
    process_here_ns += 800000000;
    waited_here_ns += 70000000;
    client_here_ns += 20000000;
    put_daemons(430000000, 901000000);
    below_put("/proc/stat", stat_after);
    strain_end(&mark, &strain);
    assert_true(strain.known);
    assert_int_equal(strain.elapsed_ns, 1000000000);
    return strain;
}

static bool near(double value, double wanted)
{
    return value > wanted - 1e-9 && value < wanted + 1e-9;
}

static void test_one_cpu_each(void **state)
{
    (void)state;
    struct strain strain = second_of(&pinned, "0", "1");
    assert_int_equal(strain.cost.process_ns, 800000000);
    assert_int_equal(strain.cost.softirqd_ns, 30000000);
    /* A second less 10 ticks of idle and iowait and 5 stolen. */
    assert_int_equal(strain.cost.core_ns, 850000000);
    assert_int_equal(strain_charged_ns(&strain.cost), 850000000);
    assert_int_equal(strain_others_ns(&strain.cost), 20000000);
    assert_int_equal(strain.server.waited_ns, 70000000);
    assert_int_equal(strain.client.waited_ns, 20000000);
    assert_true(near(strain.server.softirq, 0.10) && near(strain.server.steal, 0.05));
    assert_true(near(strain.client.softirq, 0.25) && near(strain.client.steal, 0.15));
}

/* CPU 10 is not CPU 1, nor is the line of all of them one. */
static void test_several_cpus(void **state)
{
    (void)state;
    struct strain strain = second_of(&pinned, "0,2", "1");
    assert_int_equal(strain.cost.softirqd_ns, 31000000);
    assert_int_equal(strain.cost.core_ns, 850000000);
    assert_true(near(strain.server.softirq, 0.05) && near(strain.server.steal, 0.025));
    strain = second_of(&pinned, "0", "1-2");
    assert_true(near(strain.client.softirq, 0.125) && near(strain.client.steal, 0.075));
}

/* CPUs that it has not for itself are not charged to it. */
static void test_shared_cpus(void **state)
{
    (void)state;
    assert_int_equal(second_of(&pinned, "0-1", "1").cost.core_ns, -1);
    assert_int_equal(second_of(&found, "0", "1").cost.core_ns, -1);
    struct strain strain = second_of(&pinned, "0", "0");
    assert_int_equal(strain.cost.core_ns, -1);
    assert_int_equal(strain_charged_ns(&strain.cost), 800000000);
    assert_int_equal(strain_others_ns(&strain.cost), -1);
}

/* Of CPU 1 there is no ksoftirqd here, as in a container. */
static void test_no_softirqd(void **state)
{
    (void)state;
    struct strain strain = second_of(&pinned, "1", "0");
    assert_int_equal(strain.cost.softirqd_ns, -1);
    assert_int_equal(strain.cost.core_ns, 350000000);
    assert_int_equal(strain_own_ns(&strain.cost), 800000000);
    assert_int_equal(strain_others_ns(&strain.cost), -1);
}

static void test_no_such_cpu(void **state)
{
    (void)state;
    struct strain strain = second_of(&pinned, "5", "6");
    assert_int_equal(strain.cost.core_ns, -1);
    assert_true(strain.server.softirq < 0 && strain.server.steal < 0);
    assert_true(strain.client.softirq < 0 && strain.client.steal < 0);
    strain = second_of(&pinned, "none", "1");
    assert_int_equal(strain.cost.core_ns, -1);
    assert_int_equal(strain.cost.softirqd_ns, -1);
}

static void test_nothing_is_told(void **state)
{
    (void)state;
    struct strain_mark mark;
    struct strain strain;
    waited_here_ns = client_here_ns = -1;
    strain_begin(&mark, &pinned, "0", "1");
    strain_end(&mark, &strain);
    assert_true(strain.known);
    assert_int_equal(strain.server.waited_ns, -1);
    assert_int_equal(strain.client.waited_ns, -1);
    assert_int_equal(strain.cost.core_ns, -1);
    assert_int_equal(strain.cost.softirqd_ns, -1);
    assert_true(strain.server.softirq < 0 && strain.client.steal < 0);
}

/* A thread that has ended took its waits with it. Shares of no time are none. */
static void test_shorter_than_a_tick(void **state)
{
    (void)state;
    struct strain_mark mark;
    struct strain strain;
    below_put("/proc/stat", stat_before);
    put_daemons(0, 0);
    waited_here_ns = 500;
    client_here_ns = 600;
    now_here_ns = 0;
    strain_begin(&mark, &pinned, "0", "1");
    waited_here_ns = 499;
    now_here_ns = 4000000;
    strain_end(&mark, &strain);
    assert_int_equal(strain.server.waited_ns, -1);
    assert_int_equal(strain.client.waited_ns, 0);
    assert_true(strain.server.softirq == 0 && strain.server.steal == 0);
    assert_int_equal(strain.cost.core_ns, 4000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        below_test(test_one_cpu_each), /* first: the daemons are looked for once */
        below_test(test_several_cpus),    below_test(test_shared_cpus),
        below_test(test_no_softirqd),     below_test(test_no_such_cpu),
        below_test(test_nothing_is_told), below_test(test_shorter_than_a_tick),
    };
    return cmocka_run_group_tests(tests, below_make, below_remove);
}
