#include "output/viewer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "output/places.h"

enum {
    ARGUMENTS_MAX = 12,
    ANSWER_S = 1, /* unless the terminal takes nothing */
    LEAVE_STEPS = 1000,
    LEAVE_STEP_NS = 1000000,
};

static const char script[] = "report/viewer.py";

static struct {
    pid_t pid; /* 0: there is none */
    int fd;
} viewer = {.fd = -1};

bool viewer_has_terminal(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

/* In the child. */
static void become(int fd, const cpu_set_t *cpus, const char *const *arguments)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTOU};
    const struct sched_param batch = {0};
    char path[PLACES_PATH_MAX];
    const char *argv[ARGUMENTS_MAX] = {BENCH_PYTHON, places_path(script, path)};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    for (size_t i = 2; *arguments && i + 1 < ARGUMENTS_MAX; i++)
        argv[i] = *arguments++;
    sched_setaffinity(0, sizeof *cpus, cpus);
    sched_setscheduler(0, SCHED_BATCH, &batch);
    dup2(fd, STDIN_FILENO);
    setenv("PYTHONCOERCECLOCALE", "0", 1); /* the terminal's locale counts */
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

/* The shell gets its cursor while the run is stopped. */
static void on_stop(int number)
{
    (void)number;
    int err = errno;
    viewer_clear();
    raise(SIGSTOP);
    errno = err;
}

int viewer_begin(const cpu_set_t *cpus, const char *const *arguments)
{
    const struct timeval patience = {.tv_sec = ANSWER_S};
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    fflush(stdout);
    setvbuf(stdout, NULL, _IOLBF, 0); /* what both print is in order */
    pid_t pid = fork();
    if (pid == 0)
        become(fds[1], cpus, arguments);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return -EAGAIN;
    }
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    viewer.pid = pid;
    viewer.fd = fds[0];
    sigaction(SIGTSTP, &stop, NULL);
    atexit(viewer_end);
    return 0;
}

void viewer_tell(json_t *message)
{
    char text[VIEWER_MESSAGE_MAX];
    size_t len = json_dumpb(message, text, sizeof text, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(message);
    if (len <= sizeof text)
        send(viewer.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void viewer_clear(void)
{
    static const char nothing[] = "{}";
    char answer;
    while (viewer.pid > 0 && recv(viewer.fd, &answer, sizeof answer, MSG_DONTWAIT) > 0)
        continue; /* one that was late */
    if (viewer.pid > 0 && send(viewer.fd, nothing, sizeof nothing - 1, MSG_NOSIGNAL) > 0)
        recv(viewer.fd, &answer, sizeof answer, 0);
}

void viewer_leave(void)
{
    const struct timespec pause = {.tv_nsec = LEAVE_STEP_NS};
    if (viewer.pid <= 0)
        return;
    shutdown(viewer.fd, SHUT_RDWR);
    for (int i = 0; i < LEAVE_STEPS && waitpid(viewer.pid, NULL, WNOHANG) == 0; i++)
        nanosleep(&pause, NULL);
}

void viewer_end(void)
{
    if (viewer.pid <= 0)
        return;
    shutdown(viewer.fd, SHUT_RDWR);
    while (waitpid(viewer.pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(viewer.fd);
    viewer.pid = 0;
    viewer.fd = -1;
}
