#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/settings.h"

int listener_address(struct sockaddr_in *ret, const char *setting, const char *text, char *why,
                     size_t why_size)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (colon && (size_t)(colon - text) < sizeof host && end != colon + 1 && *end == '\0' &&
        port <= 65535) {
        snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
        if (host[0] == '\0' || strcmp(host, "*") == 0)
            snprintf(host, sizeof host, "0.0.0.0");
        if (inet_pton(AF_INET, host, &ret->sin_addr) == 1)
            return 0;
    }
    snprintf(why, why_size, "%s = %s: needs an IPv4 address and a port, as 127.0.0.1:8080", setting,
             text);
    return -EINVAL;
}

static int failed(const struct sockaddr_in *address, char *why, size_t why_size)
{
    int err = -errno;
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    const char *hint = "";
    if (err == -EADDRINUSE)
        hint = "; another program has it: `ss -ltnp` shows which, --listen takes another port";
    else if (err == -EACCES)
        hint = "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
    else if (err == -EADDRNOTAVAIL)
        hint = "; this machine has no such address: `ip addr` lists those it has";
    snprintf(why, why_size, "cannot listen on %s:%u: %s%s", text, ntohs(address->sin_port),
             strerror(-err), hint);
    return err;
}

static int open_socket(const struct sockaddr_in *address, int option)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (option)
        setsockopt(fd, SOL_SOCKET, option, &on, sizeof on);
    /* Accepted sockets inherit it: a message leaves at once, it is we who put together what belongs
     * together. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* With SO_REUSEPORT two servers could share a port without noticing: binding once without it tells.
 */
int listener_claim(struct sockaddr_in *address, char *why, size_t why_size)
{
    int fd = open_socket(address, 0);
    if (fd < 0 || listen(fd, 1) < 0) {
        int err = failed(address, why, why_size);
        if (fd >= 0)
            close(fd);
        return err;
    }
    socklen_t len = sizeof *address;
    getsockname(fd, (struct sockaddr *)address, &len);
    close(fd);
    return 0;
}

static int choose_congestion_control(int fd, const char *name, char *why, size_t why_size)
{
    if (name[0] == '\0' ||
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0)
        return 0;
    int err = -errno;
    snprintf(why, why_size,
             "congestion_control = %s: %s; `sysctl net.ipv4.tcp_available_congestion_control` "
             "lists what this kernel has",
             name, strerror(-err));
    return err;
}

/* What a peer does not take must not pile up in the kernel: neither bytes that cannot leave, nor
 * those that nobody acknowledges, nor the connection itself. */
static int bound_waiting(int fd, const struct settings *settings, char *why, size_t why_size)
{
    int unsent = (int)settings->unsent_bytes_max;
    unsigned patience_ms = (unsigned)settings->stall_timeout_ms;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms) == 0)
        return 0;
    int err = -errno;
    snprintf(why, why_size,
             "the kernel takes neither unsent_bytes_max (TCP_NOTSENT_LOWAT) nor stall_timeout_ms "
             "(TCP_USER_TIMEOUT): %s",
             strerror(-err));
    return err;
}

int listener_open(const struct sockaddr_in *address, const struct settings *settings, char *why,
                  size_t why_size)
{
    int fd = open_socket(address, SO_REUSEPORT);
    int err = fd < 0 ? failed(address, why, why_size)
                     : choose_congestion_control(fd, settings->congestion_control, why, why_size);
    if (err == 0)
        err = bound_waiting(fd, settings, why, why_size);
    if (err == 0 && listen(fd, (int)settings->listen_backlog) < 0)
        err = failed(address, why, why_size);
    if (err == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return err;
}
