/* ringside-ceiling: runs one bare server as a process of its own, so that its CPU time and memory
 * are counted as those of any other server. ringside-bench starts it; by hand:
 *
 *     ringside-ceiling bare-send 127.0.0.1:20001 10000 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/ring.h"
#include "ceiling/bare.h"
#include "ceiling/loop.h"

enum {
    BACKLOG = 4096,
    CONNECTIONS_MAX = 4 * 1024 * 1024,
    DESCRIPTORS_OWN = 16, /* that are not connections: standard streams, epoll, the listener */
};

static volatile bool stop;

static void on_signal(int number)
{
    (void)number;
    stop = true;
}

static int usage(void)
{
    fputs("usage: ringside-ceiling bare-send|bare-coalesce|bare-uring ADDRESS:PORT CONNECTIONS\n"
          "A WebSocket server that broadcasts whatever anybody sends, and does nothing else.\n",
          stderr);
    return 2;
}

static bool parse_address(const char *text, struct sockaddr_in *ret)
{
    char host[INET_ADDRSTRLEN];
    char *end;
    size_t len = strcspn(text, ":");
    if (text[len] != ':' || len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    unsigned long port = strtoul(text + len + 1, &end, 10);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return *end == '\0' && port > 0 && port <= UINT16_MAX &&
           inet_pton(AF_INET, host, &ret->sin_addr) == 1;
}

/* Accepted sockets inherit TCP_NODELAY. */
static int listen_on(const struct sockaddr_in *address)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static uint32_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < CONNECTIONS_MAX ? (uint32_t)limit.rlim_cur : CONNECTIONS_MAX;
}

/* Peers are numbered by descriptor in the epoll loops, by slot in the ring's. */
static int run(enum bare_loop loop, int fd, uint32_t connections)
{
    static struct bare bare;
    uint32_t descriptors = descriptors_raise();
    bool direct = loop == BARE_URING && ring_is_direct();
    if (!direct && connections + DESCRIPTORS_OWN > descriptors) {
        fprintf(stderr,
                "ringside-ceiling: %s needs a descriptor per connection: %u are wanted, "
                "RLIMIT_NOFILE allows %u; raise it with `ulimit -Hn`, or use bare-uring on Linux "
                "6.13\n",
                bare_loop_name(loop), connections, descriptors);
        return -EMFILE;
    }
    int err = bare_init(&bare, connections + DESCRIPTORS_OWN);
    if (err == 0 && loop == BARE_URING)
        err = bare_ring_run(&bare, fd, &stop);
    else if (err == 0)
        err = bare_epoll_run(&bare, fd, loop == BARE_COALESCE, &stop);
    if (bare.dropped > 0)
        fprintf(stderr, "ringside-ceiling: dropped %lu stalled readers\n",
                (unsigned long)bare.dropped);
    bare_done(&bare);
    return err;
}

int main(int argc, char **argv)
{
    enum bare_loop loop;
    struct sockaddr_in address;
    const struct sigaction action = {.sa_handler = on_signal};
    if (argc != 4 || !bare_loop_parse(argv[1], strlen(argv[1]), &loop) ||
        !parse_address(argv[2], &address))
        return usage();
    unsigned long connections = strtoul(argv[3], NULL, 10);
    if (connections == 0 || connections > CONNECTIONS_MAX)
        return usage();
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int fd = listen_on(&address);
    if (fd < 0) {
        fprintf(stderr, "ringside-ceiling: cannot listen on %s: %s\n", argv[2], strerror(-fd));
        return 1;
    }
    int err = run(loop, fd, (uint32_t)connections);
    if (err < 0)
        fprintf(stderr, "ringside-ceiling: %s\n", strerror(-err));
    close(fd);
    return err < 0 ? 1 : 0;
}
