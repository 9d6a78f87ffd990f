#include "claims/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "claims/progress.h"
#include "measure/clock.h"

enum {
    ARGUMENTS_MAX = SCENARIO_OPTIONS_MAX + 16,
    OUTPUT_MAX = 16 * 1024,
};
/* This very program, also when its file has been replaced meanwhile. */
static const char SELF[] = "/proc/self/exe";

/* ---- its command line ---- */

/* The command that does the run alone, as it can be pasted: without what only the caller needs. */
static void note_command(struct attempt *attempt, const struct scenario *scenario)
{
    size_t size = sizeof attempt->command;
    size_t len =
        (size_t)snprintf(attempt->command, size, "./build.sh bench %s", scenario->experiment);
    for (unsigned i = 0; i < scenario->option_count && len < size; i++) {
        const char *option = scenario->options[i];
        bool plain = strpbrk(option, " '\"$&;|<>()*?") == NULL;
        len +=
            (size_t)snprintf(attempt->command + len, size - len, plain ? " %s" : " '%s'", option);
    }
}

struct arguments {
    char *list[ARGUMENTS_MAX];
    unsigned count;
    char texts[ARGUMENTS_MAX][64];
};

static void add(struct arguments *arguments, const char *text)
{
    arguments->list[arguments->count++] = (char *)text;
}

/* The caller's CPUs and server come first, so that a scenario may set others. */
static void arguments_make(struct arguments *ret, const struct bench *bench,
                           const struct scenario *scenario, const char *json)
{
    const struct options *options = bench->options;
    *ret = (struct arguments){0};
    add(ret, SELF);
    add(ret, scenario->experiment);
    add(ret, "--results");
    add(ret, FILES_NONE);
    add(ret, "--json");
    add(ret, json);
    add(ret, "--server-cpus");
    add(ret, options->server_cpus);
    add(ret, "--client-cpus");
    add(ret, options->client_cpus);
    if (options->server) {
        add(ret, "--server");
        add(ret, options->server);
    }
    for (unsigned i = 0; i < scenario->option_count; i++)
        add(ret, scenario->options[i]);
}

/* ---- while it runs ---- */

/* Returns 0 when it has ended by itself, -ETIME or -EINTR. */
static int wait_for(const struct scenario *scenario, struct progress *progress,
                    struct process *process)
{
    const int64_t end_ns = clock_now_ns() + (int64_t)scenario->seconds * NS_PER_S;
    while (!progress_wait(progress, process)) {
        if (bench_interrupted())
            return -EINTR;
        if (clock_now_ns() > end_ns)
            return -ETIME;
    }
    return 0;
}

/* ---- what became of it ---- */

/* The last sentence of the bench in what it wrote, without its name. */
static void last_sentence(const struct process *process, char *ret, size_t size)
{
    static const char name[] = "ringside-bench";
    char *text = calloc(1, OUTPUT_MAX + 1);
    struct stat stat;
    *ret = '\0';
    if (!text || fstat(process->output_fd, &stat) < 0) {
        free(text);
        return;
    }
    off_t from = stat.st_size > OUTPUT_MAX ? stat.st_size - OUTPUT_MAX : 0;
    if (pread(process->output_fd, text, OUTPUT_MAX, from) <= 0)
        *text = '\0';
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (strncmp(line, name, sizeof name - 1) == 0) {
            char *colon = strstr(line, ": ");
            snprintf(ret, size, "%s", colon ? colon + 2 : line);
        }
    free(text);
}

static void explain(struct attempt *attempt, const struct process *process, int status)
{
    if (WIFSIGNALED(status)) {
        snprintf(attempt->why, sizeof attempt->why, "its run was ended by signal %d",
                 WTERMSIG(status));
        return;
    }
    last_sentence(process, attempt->why, sizeof attempt->why);
    if (attempt->why[0] == '\0')
        snprintf(attempt->why, sizeof attempt->why, "its run ended with status %d",
                 WEXITSTATUS(status));
}

static void take_run(struct attempt *attempt, const struct scenario *scenario,
                     const struct process *process, const char *json, int err, int status)
{
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    json_error_t fault;
    attempt->run = err == 0 && clean ? json_load_file(json, 0, &fault) : NULL;
    if (attempt->run)
        return;
    if (err == -ETIME)
        snprintf(attempt->why, sizeof attempt->why, "it took longer than %u s", scenario->seconds);
    else if (err == -EINTR)
        snprintf(attempt->why, sizeof attempt->why, "interrupted");
    else
        explain(attempt, process, status);
}

int attempt_run(struct bench *bench, const struct scenario *scenario, struct progress *progress,
                struct attempt *ret)
{
    char json[] = "/tmp/ringside-claims-XXXXXX";
    struct arguments arguments;
    struct process process;
    cpu_set_t cpus, both;
    *ret = (struct attempt){0};
    note_command(ret, scenario);
    int fd = mkostemp(json, O_CLOEXEC);
    if (fd < 0)
        return bench_fail(-errno, "cannot make %s: %s", json, strerror(errno));
    close(fd);
    if (cpus_parse(&both, bench->options->server_cpus) < 0 ||
        cpus_parse(&cpus, bench->options->client_cpus) < 0)
        return bench_fail(-EINVAL, "the CPUs cannot be used");
    CPU_OR(&both, &both, &cpus);
    arguments_make(&arguments, bench, scenario, json);
    int64_t began_ns = clock_now_ns();
    int err = process_start(&process, "ringside-bench", arguments.list, &both);
    progress_started(progress);
    if (err < 0) {
        snprintf(ret->why, sizeof ret->why, "it cannot be started: %s", strerror(-err));
        unlink(json);
        return 0;
    }
    err = wait_for(scenario, progress, &process);
    int status = process_stop(&process, ATTEMPT_GRACE_MS);
    ret->elapsed_s = (double)(clock_now_ns() - began_ns) / NS_PER_S;
    take_run(ret, scenario, &process, json, err, status);
    process_done(&process);
    unlink(json);
    return err == -EINTR ? err : 0;
}

void attempt_done(struct attempt *attempt)
{
    json_decref(attempt->run);
    attempt->run = NULL;
}
