#include "core/bell.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int bell_init(struct bell *bell)
{
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return bell->fd < 0 ? -errno : 0;
}

void bell_done(struct bell *bell)
{
    if (bell->fd >= 0)
        close(bell->fd);
    bell->fd = -1;
}

/* A counter that is full is rung already. */
void bell_ring(const struct bell *bell)
{
    const uint64_t one = 1;
    ssize_t n = write(bell->fd, &one, sizeof one);
    assert(n == sizeof one || errno == EAGAIN);
}

void bell_wait(const struct bell *bell, int64_t timeout_ns)
{
    struct pollfd poll = {.fd = bell->fd, .events = POLLIN};
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    uint64_t rings;
    int ready = ppoll(&poll, 1, timeout_ns < 0 ? NULL : &timeout, NULL);
    assert(ready >= 0 || errno == EINTR);
    ssize_t n = read(bell->fd, &rings, sizeof rings);
    assert(n == sizeof rings || errno == EAGAIN);
}
