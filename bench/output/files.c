#include "output/files.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "core/build_info.h"
#include "output/json.h"

enum {
    FOLDERS_MAX = 100, /* runs of one commit on one day */
    COMMIT_SHORT = 7,
};

/* Runs a program; it reads from `input`, or what the bench reads (-1), and prints to `output`, or
 * where the bench prints (-1). Returns its exit status, or negative errno. */
static int run_program(const char *const argv[], int input, int output)
{
    posix_spawn_file_actions_t actions;
    int status;
    pid_t pid;
    fflush(stdout);
    posix_spawn_file_actions_init(&actions);
    if (input >= 0)
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (output >= 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    int err = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return -err;
    if (waitpid(pid, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* What was built, and not what is checked out now. */
static void read_commit(struct files *files)
{
    const bool known = strlen(build_source) >= BUILD_COMMIT_SIZE;
    snprintf(files->commit, sizeof files->commit, "%.40s", known ? build_source : "unknown");
    files->dirty = known && build_source[BUILD_COMMIT_SIZE] != '\0';
}

int files_init(struct files *files, const char *experiment, const char *results)
{
    char date[16], base[FILES_PATH_MAX - 16];
    time_t now = time(NULL);
    struct tm utc;
    *files = (struct files){0};
    read_commit(files);
    if (results && strcmp(results, FILES_NONE) == 0)
        return 0;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%d", &utc);
    if (!results)
        results = BENCH_SOURCE_ROOT "/runs";
    if (mkdir(results, 0777) < 0 && errno != EEXIST) {
        int err = -errno;
        fprintf(stderr, "ringside-bench: cannot make %s: %s; --results DIR names another place\n",
                results, strerror(-err));
        return err;
    }
    snprintf(base, sizeof base, "%s/%s-%s-%.*s%s", results, date, experiment, COMMIT_SHORT,
             files->commit, files->dirty ? "-dirty" : "");
    for (int i = 1; i < FOLDERS_MAX; i++) {
        if (i == 1)
            snprintf(files->folder, sizeof files->folder, "%s", base);
        else
            snprintf(files->folder, sizeof files->folder, "%s-%d", base, i);
        if (mkdir(files->folder, 0777) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    fprintf(stderr, "ringside-bench: cannot make %s: %s\n", files->folder, strerror(errno));
    return -EEXIST;
}

static int write_json(const json_t *run, const char *path)
{
    if (json_dump_file(run, path, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0)
        return 0;
    fprintf(stderr, "ringside-bench: cannot write %s: %s\n", path, strerror(errno));
    return -EIO;
}

static const char report_program[] = BENCH_REPORTS "/report.py";

/* Likewise report.py; what does not work is said. */
static bool run_report(const char *const argv[], int input, int output)
{
    int status = access(report_program, R_OK) == 0 ? run_program(argv, input, output) : -ENOENT;
    if (status < 0)
        fprintf(stderr, "ringside-bench: no report: %s %s: %s\n", BENCH_PYTHON, report_program,
                strerror(-status));
    else if (status > 0)
        fprintf(stderr,
                "ringside-bench: no report: %s ended with status %d; "
                "`./build.sh deps report` installs what it needs\n",
                report_program, status);
    return status == 0;
}

static void write_report(struct files *files)
{
    const char *const argv[] = {BENCH_PYTHON, "-B", report_program, files->folder, NULL};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC); /* it prints where it wrote */
    files->report = run_report(argv, -1, nowhere);
    if (nowhere >= 0)
        close(nowhere);
}

int files_write(struct files *files, const struct result *result, const char *copy)
{
    char path[FILES_PATH_MAX + 32];
    files->run = json_of_result(result, files->commit, files->dirty);
    bool folder = files->folder[0] != '\0';
    snprintf(path, sizeof path, "%s/run.json", files->folder);
    int err = folder ? write_json(files->run, path) : 0;
    if (err == 0 && copy)
        err = write_json(files->run, copy);
    if (err == 0 && folder)
        write_report(files);
    return err;
}

bool files_print(const struct files *files)
{
    static const char *const argv[] = {BENCH_PYTHON, "-B", report_program, "--text", "-", NULL};
    int run = memfd_create("run.json", MFD_CLOEXEC);
    bool known = run >= 0 && json_dumpfd(files->run, run, 0) == 0 && lseek(run, 0, SEEK_SET) == 0 &&
                 run_report(argv, run, -1);
    if (run >= 0)
        close(run);
    return known;
}

void files_done(struct files *files)
{
    json_decref(files->run);
    files->run = NULL;
}
