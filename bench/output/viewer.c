#include "output/viewer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NUMBER_MAX = 16,
    DECIMAL = 10,
};

/* Names the descriptor that a run is left. */
static const char VARIABLE[] = "RINGSIDE_BENCH_VIEWER";

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int viewer_open(struct viewer *viewer)
{
    int fds[2];
    char number[NUMBER_MAX];
    *viewer = (struct viewer){-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    *viewer = (struct viewer){fds[0], fds[1]};
    snprintf(number, sizeof number, "%d", viewer->run_fd);
    if (fcntl(viewer->run_fd, F_SETFD, 0) < 0 || setenv(VARIABLE, number, true) < 0) {
        int err = -errno;
        viewer_close(viewer);
        return err;
    }
    return 0;
}

void viewer_started(struct viewer *viewer)
{
    unsetenv(VARIABLE);
    close_one(&viewer->run_fd);
}

bool viewer_take(struct viewer *viewer, struct view_state *ret)
{
    struct view_state state;
    bool taken = false;
    while (viewer->fd >= 0 &&
           recv(viewer->fd, &state, sizeof state, MSG_DONTWAIT) == sizeof state) {
        *ret = state;
        taken = true;
    }
    return taken;
}

void viewer_close(struct viewer *viewer)
{
    close_one(&viewer->fd);
    close_one(&viewer->run_fd);
}

/* The servers of the run are not to have it. */
int viewer_inherited(void)
{
    const char *text = getenv(VARIABLE);
    char *end;
    long fd = text ? strtol(text, &end, DECIMAL) : -1;
    if (!text || *text == '\0' || *end || fd < 0 || fd > INT_MAX ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    unsetenv(VARIABLE);
    return (int)fd;
}

void viewer_show(int fd, const struct view_state *state)
{
    send(fd, state, sizeof *state, MSG_DONTWAIT | MSG_NOSIGNAL);
}
