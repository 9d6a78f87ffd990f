/* bare_epoll: the loop that everybody writes first: epoll, recv(), send(). A socket is a file
 * descriptor here, so RLIMIT_NOFILE bounds it. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ceiling/bare.h"

enum {
    EVENTS_PER_WAIT = 512,
};

struct loop {
    struct bare *bare;
    int epoll_fd;
    int listen_fd;
    bool coalesce;
    char read_area[BARE_READ_BYTES];
};

/* Sends all of it. A full socket stops the loop until it has room, as in any loop without queues.
 */
static int send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            bytes += sent;
            len -= (size_t)sent;
            continue;
        }
        struct pollfd full = {.fd = fd, .events = POLLOUT};
        if (errno != EAGAIN || poll(&full, 1, BARE_STALL_MS) <= 0)
            return -1;
    }
    return 0;
}

static void drop(struct loop *loop, int fd)
{
    bare_peer_close(loop->bare, (uint32_t)fd);
    close(fd);
}

static void accept_all(struct loop *loop)
{
    for (;;) {
        int fd = accept4(loop->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
        if ((uint32_t)fd >= loop->bare->capacity ||
            epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
            close(fd);
            continue;
        }
        bare_peer_open(loop->bare, (uint32_t)fd);
    }
}

/* From the end, since dropping a receiver moves the last one into its place. */
static void send_to_receivers(struct loop *loop, const char *bytes, size_t len)
{
    struct bare *bare = loop->bare;
    for (uint32_t i = bare->receiver_count; i-- > 0;) {
        int fd = (int)bare->receivers[i];
        if (send_all(fd, bytes, len) == 0)
            continue;
        bare->dropped++;
        shutdown(fd, SHUT_RDWR); /* epoll reports it, and then it is closed */
        bare_peer_close(bare, (uint32_t)fd);
        bare_peer_open(bare, (uint32_t)fd);
    }
}

static void broadcast(struct loop *loop)
{
    struct bare_outbox *outbox = &loop->bare->outbox;
    if (loop->coalesce) {
        send_to_receivers(loop, outbox->bytes, outbox->len);
    } else {
        size_t start = 0;
        for (unsigned i = 0; i < outbox->count; i++) {
            send_to_receivers(loop, outbox->bytes + start, outbox->ends[i] - start);
            start = outbox->ends[i];
        }
    }
    bare_outbox_clear(outbox);
}

static void receive(struct loop *loop, int fd)
{
    struct bare_reply reply;
    ssize_t got = recv(fd, loop->read_area, sizeof loop->read_area, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(loop, fd);
        return;
    }
    bare_input(loop->bare, (uint32_t)fd, loop->read_area, (size_t)got, &reply);
    if (reply.len > 0 && send_all(fd, reply.bytes, reply.len) < 0)
        reply.close = true;
    if (reply.close)
        drop(loop, fd);
    if (loop->bare->outbox.count > 0)
        broadcast(loop);
}

static void turn(struct loop *loop)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, BARE_TURN_MS);
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == loop->listen_fd)
            accept_all(loop);
        else
            receive(loop, events[i].data.fd);
    }
}

int bare_epoll_run(struct bare *bare, int listen_fd, bool coalesce, const volatile bool *stop)
{
    static struct loop loop;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listen_fd};
    loop.bare = bare;
    loop.listen_fd = listen_fd;
    loop.coalesce = coalesce;
    loop.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop.epoll_fd < 0)
        return -errno;
    if (epoll_ctl(loop.epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0) {
        int err = -errno;
        close(loop.epoll_fd);
        return err;
    }
    while (!*stop)
        turn(&loop);
    close(loop.epoll_fd);
    return 0;
}
