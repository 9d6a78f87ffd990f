/* ringside-bench: chooses the experiment, and cleans up after it on every way out. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/build_info.h"
#include "experiment/bench.h"
#include "experiment/capacity_plan.h"
#include "experiment/socketless.h"
#include "measure/clock.h"
#include "output/json.h"
#include "output/machine.h"
#include "output/programs.h"
#include "output/viewer.h"

enum {
    STATUS_OK,
    STATUS_FAILED, /* something did not work; the sentence says what */
    STATUS_LEDGER, /* the run is complete, and its ledger is not clean */
    STATUS_INTERRUPTED = 130,
    COMMAND_MAX = 2048,
};

static const struct experiment *const experiments[] = {
#define EXPERIMENT_ROW(name) &experiment_##name,
    BENCH_EXPERIMENTS(EXPERIMENT_ROW)
#undef EXPERIMENT_ROW
};
#define EXPERIMENT_COUNT (sizeof experiments / sizeof experiments[0])

/* ---- signals ---- */

static volatile sig_atomic_t interrupts;

bool bench_interrupted(void)
{
    return interrupts > 0;
}

/* The first asks the experiment to end, so that its result can be written; the second ends at once.
 */
static void on_signal(int number)
{
    (void)number;
    if (++interrupts < 2)
        return;
    viewer_leave();
    process_kill_all(SIGKILL);
    _exit(STATUS_INTERRUPTED);
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

int bench_fail(int err, const char *format, ...)
{
    va_list arguments;
    viewer_clear();
    fputs("ringside-bench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return err;
}

/* ---- help ---- */

static void usage(FILE *file)
{
    fputs("Measures realtime transports on this machine, each figure beside what a bare loop "
          "reaches.\n\n"
          "usage: ringside-bench EXPERIMENT [options]\n"
          "       ringside-bench diff A B, and others that read what runs left\n\n",
          file);
    for (size_t i = 0; i < EXPERIMENT_COUNT; i++)
        fprintf(file, "  %-12s %s\n", experiments[i]->name, experiments[i]->use.summary);
    fputs("\nOf several runs, and of recorded ones, each by its folder or its run.json:\n\n", file);
    programs_list(file);
    fputs("\n  ringside-bench EXPERIMENT --help   its options, with their defaults explained\n\n"
          "  ringside-bench --about              what was built, this machine, and how many\n"
          "                                      connections it holds, as JSON\n\n"
          "It starts ringside-server itself, pinned to its own CPU, and ends it afterwards. Each "
          "run\n"
          "leaves runs/<date>-<experiment>-<commit>/ with run.json and report.html.\n"
          "Start with `ringside-bench compare`. docs/METHOD.md says how it measures.\n\n"
          "Exit status: 0 when every message reached everybody once, in order and as it was\n"
          "published; 2 when the ledger says otherwise, or the server ended connections unasked;\n"
          "130 when interrupted; 1 for anything that did not work.\n",
          file);
}

static const struct experiment *experiment_named(const char *name)
{
    for (size_t i = 0; i < EXPERIMENT_COUNT; i++)
        if (strcmp(experiments[i]->name, name) == 0)
            return experiments[i];
    return NULL;
}

/* ---- a run ---- */

/* How many arguments say only where the result goes, from the first of them on. */
static int places(int argc, char **argv, int at)
{
    static const char *const names[] = {"--results", "--json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(argv[at], names[i], len) == 0 && argv[at][len] == '=')
            return 1;
        if (strcmp(argv[at], names[i]) == 0 && at + 1 < argc)
            return 2;
    }
    return 0;
}

/* The command line that does this run again from the root of the repository, in a namespace such as
 * the one that it runs in. */
static char *command_line(int argc, char **argv)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_=./,:+@%";
    char text[COMMAND_MAX];
    const char *lab = getenv("RINGSIDE_LAB"); /* set by tuning/tune lab */
    size_t len = (size_t)snprintf(text, sizeof text, "%s%s./build.sh bench", lab ? lab : "",
                                  lab ? " -- " : "");
    for (int i = 1; i < argc && len < sizeof text; i++) {
        int skipped = places(argc, argv, i);
        if (skipped > 0) {
            i += skipped - 1;
            continue;
        }
        bool quote = argv[i][strspn(argv[i], plain)] != '\0';
        len += (size_t)snprintf(text + len, sizeof text - len, quote ? " '%s'" : " %s", argv[i]);
    }
    return strdup(text);
}

static void find_folder(char folder[BENCH_PATH_MAX])
{
    ssize_t len = readlink("/proc/self/exe", folder, BENCH_PATH_MAX - 1);
    folder[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
}

static int pin(const char *cpus)
{
    cpu_set_t set;
    if (cpus_parse(&set, cpus) < 0 || sched_setaffinity(0, sizeof set, &set) < 0)
        return bench_fail(-EINVAL, "these CPUs cannot be used: %s", cpus);
    return 0;
}

static void settle_options(struct options *options)
{
    cpu_set_t set;
    if (options->shards == 0)
        options->shards =
            cpus_parse(&set, options->server_cpus) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int stop_servers(struct bench *bench)
{
    int err = 0;
    for (unsigned i = 0; i < bench->path_count; i++) {
        int stopped = bench_path_stop(bench, &bench->paths[i]);
        err = err ? err : stopped;
    }
    for (unsigned i = 0; i < bench->server_count; i++) {
        int stopped = bench_server_stop(&bench->servers[i]);
        err = err ? err : stopped;
    }
    return err;
}

static int status_of(const struct bench *bench, int err)
{
    uint64_t faults = result_ledger_faults(&bench->result);
    uint64_t closes = result_closes(&bench->result);
    if (bench->result.interrupted)
        return STATUS_INTERRUPTED;
    if (err < 0)
        return STATUS_FAILED;
    if (faults > 0)
        bench_fail(-EIO,
                   "the ledger is not clean: %lu messages were lost, doubled, out of order or "
                   "corrupt",
                   (unsigned long)faults);
    if (closes > 0)
        bench_fail(-EIO, "%lu connections were ended by the server without being asked",
                   (unsigned long)closes);
    return faults > 0 || closes > 0 ? STATUS_LEDGER : STATUS_OK;
}

/* A run that failed before anything was measured leaves no folder. */
static int run_experiment(struct bench *bench, const struct experiment *experiment)
{
    const struct options *options = bench->options;
    bench->result.machine = machine_read(options->server_cpus, options->client_cpus);
    int err = pin(options->client_cpus);
    if (err < 0)
        return STATUS_FAILED;
    err = socketless_begin(bench);
    if (err == 0)
        err = experiment->run(bench);
    viewer_end();
    int stopped = stop_servers(bench);
    bench_tls_done(bench);
    socketless_end(bench);
    err = err ? err : stopped;
    bench->result.interrupted = bench_interrupted();
    bench->result.duration_s = (double)(clock_now_ns() - bench->result.started_ns) / NS_PER_S;
    if (err < 0 && !bench->result.interrupted)
        return STATUS_FAILED;
    if (bench->result.contestant_count == 0) {
        puts("Interrupted before anything was measured.");
        return STATUS_INTERRUPTED;
    }
    json_decref(bench->result.settings);
    bench->result.settings = options_json(options, &experiment->use);
    int written = files_init(&bench->files, experiment->name, options->results);
    if (written == 0)
        written = files_write(&bench->files, &bench->result, options->json, !options->brief);
    if (written < 0)
        return STATUS_FAILED;
    return status_of(bench, err);
}

/* What a session of several runs has to know before the first: as JSON. */
static int about(void)
{
    struct capacity_machine machine;
    struct capacity_plan plan;
    struct options options;
    struct files files;
    const struct result nothing = {0};
    options_default(&options);
    files_init(&files, "", FILES_NONE);
    capacity_machine_read(&machine);
    capacity_plan_make(&plan, &machine);
    json_t *known =
        json_pack("{s:o, s:o, s:I}", "build", json_of_build(&nothing, files.commit, files.dirty),
                  "machine", machine_read(options.server_cpus, options.client_cpus), "fits",
                  (json_int_t)plan.bounds[plan.least].connections);
    int err = json_dumpf(known, stdout, JSON_INDENT(1));
    json_decref(known);
    return err == 0 ? STATUS_OK : STATUS_FAILED;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static struct options options;
    const struct experiment *experiment = argc > 1 ? experiment_named(argv[1]) : NULL;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                     strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return STATUS_OK;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("ringside-bench %s (%s)\n", build_version, build_source);
        return STATUS_OK;
    }
    if (argc > 1 && strcmp(argv[1], "--about") == 0)
        return about();
    if (!experiment) {
        if (argc > 1 && programs_become(argv) < 0)
            return STATUS_FAILED;
        if (argc > 1)
            fprintf(stderr, "ringside-bench: there is no experiment '%s'\n\n", argv[1]);
        usage(stderr);
        return STATUS_FAILED;
    }
    char *command = command_line(argc, argv);
    options_default(&options);
    experiment->defaults(&options);
    options_parse(&options, &experiment->use, experiment->name, argc - 1, argv + 1);
    settle_options(&options);
    if (experiment->settle)
        experiment->settle(&options);

    handle_signals();
    atexit(process_stop_all);
    bench.options = &options;
    find_folder(bench.folder);
    result_init(&bench.result, experiment->name);
    bench.result.command = command;
    watch_init(&bench);
    int status = run_experiment(&bench, experiment);
    result_done(&bench.result);
    return status;
}
