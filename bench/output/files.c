#include "output/files.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "output/places.h"
#include "core/build_info.h"
#include "output/json.h"

enum {
    FOLDERS_MAX = 100, /* runs of one commit on one day */
    COMMIT_SHORT = 7,
};

/* Runs a program that reads from `input` and prints where the bench does. Returns its exit status,
 * or negative errno. */
static int run_program(const char *const argv[], int input)
{
    posix_spawn_file_actions_t actions;
    int status;
    pid_t pid;
    fflush(stdout);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
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
        results = "runs";
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

static const char finish_program[] = "report/finish.py";

/* Python makes run.json of what was measured, the page, and what is printed. */
static int run_finish(const struct files *files, int measured, const char *copy, bool text)
{
    char finish[PLACES_PATH_MAX];
    const char *argv[10] = {BENCH_PYTHON, places_path(finish_program, finish)};
    unsigned n = 2;
    if (text)
        argv[n++] = "--text";
    if (files->folder[0]) {
        argv[n++] = "-o";
        argv[n++] = files->folder;
    }
    if (copy) {
        argv[n++] = "--json";
        argv[n++] = copy;
    }
    return access(finish, R_OK) == 0 ? run_program(argv, measured) : -ENOENT;
}

int files_write(const struct files *files, const struct result *result, const char *copy, bool text)
{
    char path[FILES_PATH_MAX + 32], finish[PLACES_PATH_MAX];
    json_t *run = json_of_result(result, files->commit, files->dirty);
    int measured = memfd_create("measured.json", MFD_CLOEXEC);
    int err = measured < 0 || json_dumpfd(run, measured, JSON_REAL_PRECISION(12)) < 0 ? -EIO : 0;
    if (err == 0)
        lseek(measured, 0, SEEK_SET);
    int status = err == 0 ? run_finish(files, measured, copy, text) : err;
    if (measured >= 0)
        close(measured);
    if (status != 0) {
        snprintf(path, sizeof path, "%s/measured.json", files->folder);
        err = files->folder[0] ? write_json(run, path) : copy ? write_json(run, copy) : -EIO;
        fprintf(stderr,
                "ringside-bench: no run.json: %s %s: %s; `./build.sh deps report` installs what it "
                "needs%s\n",
                BENCH_PYTHON, places_path(finish_program, finish),
                status < 0 ? strerror(-status) : "failed",
                err == 0 ? ", and it makes one of what was measured, which is kept" : "");
        err = -EIO;
    }
    json_decref(run);
    return err;
}
