#include "below.h"

#include "measure/fields.c"
#include "measure/process.c"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <arpa/inet.h>

static void put(pid_t pid, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    below_put(path, text);
}

/* Pids that nobody has: what is known of them is in the files. */
enum {
    SERVER = 40000001,
    WORKER = 40000002,
    OTHER = 40000003,
};

enum {
    PATIENCE_MS = 30000,
    GRACE_MS = 50,
};

static const struct process alone = {.pid = SERVER};
static const struct process pair = {.pid = SERVER, .workers = {{.pid = WORKER}}, .worker_count = 1};
static const struct process nobody;

static const char *rollup(char text[128], unsigned kib)
{
    snprintf(text, 128,
             "55cb5eaa9000-7ffc6342b000 ---p 00000000 00:00 0   [rollup]\n"
             "Rss:       %u kB\nPss:      1 kB\nPss_Anon:  2 kB\n",
             kib);
    return text;
}

static void test_resident_memory(void **state)
{
    (void)state;
    char text[128];
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    put(SERVER, "smaps_rollup", rollup(text, 2184));
    put(SERVER, "statm", "765 438 410 5 0 123 0\n");
    put(WORKER, "smaps_rollup", rollup(text, 1000));
    put(WORKER, "statm", "999 62 1 1 0 1 0\n");
    assert_int_equal(process_rss_bytes(&alone), 2184 * 1024);
    assert_int_equal(process_rss_bytes(&pair), 3184 * 1024);
    assert_int_equal(process_rss_bytes_rough(&alone), 438 * page);
    assert_int_equal(process_rss_bytes_rough(&pair), 500 * page);
    put(SERVER, "status", "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t  2500 kB\nVmRSS:\t 2184 kB\n");
    put(WORKER, "status", "Name:\ty\nVmHWM:\t  1500 kB\n");
    assert_int_equal(process_peak_bytes(&alone), 2500 * 1024);
    assert_int_equal(process_peak_bytes(&pair), 4000 * 1024);
    assert_int_equal(process_rss_bytes(&nobody), 0);
    below_clear();
    assert_int_equal(process_rss_bytes(&pair), 0);
    assert_int_equal(process_rss_bytes_rough(&pair), 0);
}

/* The second number of each thread, of the server and of its workers. */
static void test_waits(void **state)
{
    (void)state;
    put(SERVER, "task/40000001/schedstat", "9000 100 1\n");
    put(SERVER, "task/40000009/schedstat", "9000 20 1\n");
    assert_int_equal(process_wait_ns(&alone), 120);
    assert_int_equal(process_wait_ns(&pair), -1);
    put(WORKER, "task/40000002/schedstat", "1 3 1\n");
    assert_int_equal(process_wait_ns(&pair), 123);
    assert_int_equal(process_wait_ns(&nobody), -1);
    assert_int_equal(process_thread_wait_ns(), -1);
    below_put("/proc/thread-self/schedstat", "0 87563 1\n");
    assert_int_equal(process_thread_wait_ns(), 87563);
}

/* A kernel without schedstats, and a thread that ended between two looks. */
static void test_waits_that_are_not_told(void **state)
{
    (void)state;
    put(SERVER, "task/40000001/comm", "server\n");
    assert_int_equal(process_wait_ns(&alone), -1);
    put(SERVER, "task/40000002/schedstat", "0 5 1\n");
    assert_int_equal(process_wait_ns(&alone), 5);
    put(SERVER, "task/40000003/schedstat", "0\n");
    assert_int_equal(process_wait_ns(&alone), 5);
}

/* Twice the same clock is twice its time. */
static void test_cpu_of_all(void **state)
{
    (void)state;
    const struct process self = {
        .pid = getpid(),
        .cpu_clock = CLOCK_PROCESS_CPUTIME_ID,
        .workers = {{getpid(), CLOCK_PROCESS_CPUTIME_ID}, {getpid(), CLOCK_PROCESS_CPUTIME_ID}},
        .worker_count = 2};
    int64_t before_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t cpu_ns = process_cpu_ns(&self);
    int64_t after_ns = clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
    assert_true(before_ns > 0);
    assert_in_range(cpu_ns, 3 * before_ns, 3 * after_ns);
    assert_int_equal(process_cpu_ns(&nobody), 0);
}

/* ---- whose they are ---- */

static struct sockaddr_in address(const char *text, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, text, &address.sin_addr), 1);
    return address;
}

static void put_descriptor(pid_t pid, unsigned fd, const char *target)
{
    char path[64], buf[BELOW_PATH_MAX];
    put(pid, "fd/none", "");
    snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)pid, fd);
    assert_int_equal(symlink(target, below_path(buf, path)), 0);
}

static pid_t adopted(const char *text, uint16_t port)
{
    struct process process;
    struct sockaddr_in where = address(text, port);
    process_adopt(&process, "theirs", &where);
    assert_true(process.foreign);
    assert_string_equal(process.name, "theirs");
    return process.pid;
}

/* Listening on 127.0.0.1:8080 (77), on all addresses at 8081 (78), and a connection of 8080. */
static void test_adopted_by_its_address(void **state)
{
    (void)state;
    below_put("/proc/net/tcp",
              "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
              "timeout inode\n"
              "   0: 0100007F:1F90 0200007F:9999 01 00000000:00000000 00:00000000 00000000     0   "
              "     0 76 1\n"
              "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0   "
              "     0 77 1 0000000034c4b872 100 0 0 10 0\n"
              "   2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0   "
              "     0 78 1 0000000034c4b872 100 0 0 10 0\n");
    put_descriptor(OTHER, 3, "socket:[777]");
    put_descriptor(getpid(), 0, "/dev/null");
    put_descriptor(getpid(), 9, "socket:[77]");
    put_descriptor(getppid(), 4, "socket:[78]");
    assert_int_equal(adopted("127.0.0.1", 8080), getpid());
    assert_int_equal(adopted("127.0.0.1", 8081), getppid());
    assert_int_equal(adopted("127.0.0.2", 8081), getppid());
    assert_int_equal(adopted("127.0.0.2", 8080), 0);
    assert_int_equal(adopted("127.0.0.1", 8082), 0);
}

static void test_nobody_to_adopt(void **state)
{
    (void)state;
    assert_int_equal(adopted("127.0.0.1", 8080), 0);
    below_put("/proc/net/tcp",
              "   1: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0     0        0 77 1\n");
    put_descriptor(OTHER, 3, "socket:[77]"); /* of a process that is gone by now */
    assert_int_equal(adopted("127.0.0.1", 8080), 0);
}

/* A child that waits for its end in a group. */
static pid_t sleeper(pid_t group)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    assert_int_equal(setpgid(pid, group), 0);
    put(pid, "comm", "");
    return pid;
}

static void test_family(void **state)
{
    (void)state;
    pid_t children[PROCESS_WORKERS_MAX + 2];
    struct timespec time;
    unsigned count = 0;
    pid_t leader = children[count++] = sleeper(0);
    struct process process = {.pid = leader};
    pid_t stranger = sleeper(0);
    below_put("/proc/meminfo", "");
    assert_int_equal(process_family(&process), 0);
    pid_t worker = children[count++] = sleeper(leader);
    assert_int_equal(process_family(&process), 1);
    assert_int_equal(process.workers[0].pid, worker);
    assert_int_equal(clock_gettime(process.workers[0].cpu_clock, &time), 0);
    while (count <= PROCESS_WORKERS_MAX)
        children[count++] = sleeper(leader);
    assert_int_equal(process_family(&process), PROCESS_WORKERS_MAX);
    children[count++] = sleeper(leader);
    assert_int_equal(process_family(&process), -ENOSPC);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
    for (unsigned i = 0; i < count; i++)
        kill(children[i], SIGKILL);
    for (unsigned i = 0; i < count; i++)
        waitpid(children[i], NULL, 0);
}

/* ---- their life ---- */

/* Runs a script until it ends or says "ready", then stops it. */
static int run(const char *script, unsigned grace_ms, char *tail, size_t size)
{
    struct process process;
    cpu_set_t cpus;
    char text[256];
    snprintf(text, sizeof text, "%s", script);
    char shell[] = "/bin/sh", option[] = "-c";
    char *const argv[] = {shell, option, text, NULL};
    assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    assert_int_equal(process_start(&process, "sh", argv, &cpus), 0);
    assert_true(process.pid > 0); /* it may have ended already */
    for (unsigned ms = 0; ms < PATIENCE_MS && process_alive(&process); ms += POLL_MS) {
        process_output_tail(&process, tail, size);
        if (strcmp(tail, "ready\n") == 0) {
            assert_true(process_alive(&process));
            break;
        }
        sleep_ms(POLL_MS);
    }
    int status = process_stop(&process, grace_ms);
    assert_int_equal(process.pid, 0);
    assert_false(process_alive(&process));
    process_output_tail(&process, tail, size);
    process_done(&process);
    return status;
}

static void test_what_it_left(void **state)
{
    (void)state;
    char tail[8];
    assert_int_equal(run("echo it went well; echo so", PATIENCE_MS, tail, sizeof tail), 0);
    assert_string_equal(tail, "ell\nso\n");
    int status = run("echo oh >&2; exit 3", PATIENCE_MS, tail, sizeof tail);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    assert_string_equal(tail, "oh\n");
    status = run("kill -KILL $$", PATIENCE_MS, tail, sizeof tail);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_string_equal(tail, "");
}

/* One that goes on is told to end, and one that does not care is killed. */
static void test_stopped(void **state)
{
    (void)state;
    static const char forever[] = "echo ready; while :; do sleep 0.01; done";
    char tail[64], script[128];
    int status = run(forever, PATIENCE_MS, tail, sizeof tail);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    snprintf(script, sizeof script, "trap 'echo bye; exit 0' TERM; %s", forever);
    assert_int_equal(run(script, PATIENCE_MS, tail, sizeof tail), 0);
    assert_string_equal(tail, "ready\nbye\n");
    snprintf(script, sizeof script, "trap '' TERM; %s", forever);
    status = run(script, GRACE_MS, tail, sizeof tail);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_no_such_program(void **state)
{
    (void)state;
    struct process process;
    cpu_set_t cpus;
    char tail[256];
    char path[] = "/nowhere/at/all";
    char *const argv[] = {path, NULL};
    assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    assert_int_equal(process_start(&process, "it", argv, &cpus), 0);
    int status = process_finish(&process, PATIENCE_MS);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 127);
    process_output_tail(&process, tail, sizeof tail);
    assert_string_equal(tail, "cannot run /nowhere/at/all: No such file or directory\n");
    process_done(&process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        below_test(test_resident_memory),
        below_test(test_waits),
        below_test(test_waits_that_are_not_told),
        below_test(test_cpu_of_all),
        below_test(test_adopted_by_its_address),
        below_test(test_nobody_to_adopt),
        below_test(test_family),
        below_test(test_what_it_left),
        below_test(test_stopped),
        below_test(test_no_such_program),
    };
    return cmocka_run_group_tests(tests, below_make, below_remove);
}
