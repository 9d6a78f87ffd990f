#include "listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/settings.h"
#include "wire/address.h"

enum {
    TAKEN_TRIES = 10,
    TAKEN_PAUSE_MS = 50,
};

/* Returns the value of a port's digits, or -1. */
static long port_read(const char *text)
{
    char *end;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    bool right = text[0] >= '0' && text[0] <= '9' && *end == '\0' && port <= UINT16_MAX;
    return right ? (long)port : -1;
}

static bool ipv4_read(struct listen_address *ret, const char *host, uint16_t port)
{
    if (host[0] == '\0' || strcmp(host, "*") == 0)
        host = "0.0.0.0";
    ret->ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    ret->size = sizeof ret->ipv4;
    return inet_pton(AF_INET, host, &ret->ipv4.sin_addr) == 1;
}

/* getaddrinfo also reads the interface of a link-local address, as fe80::1%eth0. */
static bool ipv6_read(struct listen_address *ret, const char *host, uint16_t port)
{
    const struct addrinfo wanted = {
        .ai_flags = AI_NUMERICHOST, .ai_family = AF_INET6, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(host, NULL, &wanted, &found) != 0)
        return false;
    memcpy(&ret->ipv6, found->ai_addr, sizeof ret->ipv6);
    ret->ipv6.sin6_port = htons(port);
    ret->size = sizeof ret->ipv6;
    freeaddrinfo(found);
    return true;
}

/* The colon before the port, or NULL. */
static const char *port_find(const char *text)
{
    if (text[0] != '[')
        return strrchr(text, ':');
    const char *end = strchr(text, ']');
    return end && end[1] == ':' ? end + 1 : NULL;
}

/* What is wrong with a text that is no address, and what would be right. */
static const char *address_hint(const char *host, bool brackets, bool port)
{
    if (host[0] != '[' && !brackets && strchr(host, ':'))
        return "an IPv6 address goes in brackets, as [::1]:8080";
    if (!port)
        return "needs an address and a port from 0 to 65535, as 127.0.0.1:8080 or [::1]:8080";
    if (brackets)
        return "there is no IPv6 address in the brackets; [::1]:8080 has one";
    return "needs an address in digits, as 127.0.0.1:8080 or [::1]:8080; names are not looked up";
}

int listener_address(struct listen_address *ret, const char *setting, const char *text, char *why,
                     size_t why_size)
{
    char host[LISTENER_NAME_MAX] = "";
    const char *colon = port_find(text);
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    bool brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    long port = colon ? port_read(colon + 1) : -1;
    if (len < sizeof host)
        snprintf(host, sizeof host, "%.*s", (int)(brackets ? len - 2 : len), text + brackets);
    *ret = (struct listen_address){0};
    if (len < sizeof host && port >= 0 &&
        (brackets ? ipv6_read : ipv4_read)(ret, host, (uint16_t)port))
        return 0;
    snprintf(why, why_size, "%s = %s: %s", setting, text, address_hint(host, brackets, port >= 0));
    return -EINVAL;
}

void listener_name(const struct listen_address *address, char ret[LISTENER_NAME_MAX])
{
    char host[LISTENER_NAME_MAX - sizeof "[]:65535" + 1], port[sizeof "65535"];
    int err = getnameinfo(&address->any, address->size, host, sizeof host, port, sizeof port,
                          NI_NUMERICHOST | NI_NUMERICSERV);
    assert(err == 0);
    bool ipv6 = address->any.sa_family == AF_INET6;
    int len = snprintf(ret, LISTENER_NAME_MAX, ipv6 ? "[%s]:%s" : "%s:%s", host, port);
    assert(len < LISTENER_NAME_MAX);
}

bool listener_is_loopback(const struct listen_address *address)
{
    static const struct address_range ranges[] = {
        {.address = {.s6_addr = {[10] = 0xff, 0xff, 127}}, .bits = 104},
        {.address = IN6ADDR_LOOPBACK_INIT, .bits = 128},
    };
    const struct in6_addr at = address_of(&address->any);
    return address_in_range(&at, &ranges[0]) || address_in_range(&at, &ranges[1]);
}

static const char *failure_hint(int err)
{
    switch (err) {
    case -EADDRINUSE:
        return "; another program has it: `ss -ltnp` shows which, --listen takes another port";
    case -EACCES:
        return "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case -EADDRNOTAVAIL:
        return "; this machine has no such address: `ip addr` lists those it has";
    case -EAFNOSUPPORT:
        return "; this kernel has no IPv6: listen on an IPv4 address, as 0.0.0.0:8080";
    case -EINVAL:
        return "; a link-local address needs its interface, as [fe80::1%eth0]:8080";
    default:
        return "";
    }
}

static int failed(const struct listen_address *address, char *why, size_t why_size)
{
    int err = -errno;
    char name[LISTENER_NAME_MAX];
    listener_name(address, name);
    snprintf(why, why_size, "cannot listen on %s: %s%s", name, strerror(-err), failure_hint(err));
    return err;
}

static int open_socket(const struct listen_address *address, int option)
{
    int family = address->any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1, off = 0;
    /* [::] takes IPv4 as well, whatever net.ipv6.bindv6only says: there is one plain port, which
     * both kinds of clients come to. To the other addresses it means nothing. */
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (option)
        setsockopt(fd, SOL_SOCKET, option, &on, sizeof on);
    /* Accepted sockets inherit it: a message leaves at once, it is we who put together what belongs
     * together. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, &address->any, address->size) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
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

/* Set also where it is 0, as a predecessor may have had another. */
static int defer_accept(int fd, const struct settings *settings, char *why, size_t why_size)
{
    int seconds = (int)settings->defer_accept_s;
    if (setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0)
        return 0;
    int err = -errno;
    snprintf(why, why_size, "the kernel does not take defer_accept_s (TCP_DEFER_ACCEPT): %s",
             strerror(-err));
    return err;
}

static int apply_settings(int fd, const struct settings *settings, char *why, size_t why_size)
{
    int err = choose_congestion_control(fd, settings->congestion_control, why, why_size);
    if (err == 0)
        err = bound_waiting(fd, settings, why, why_size);
    return err == 0 ? defer_accept(fd, settings, why, why_size) : err;
}

/* With SO_REUSEPORT from the start, two servers could share a port without noticing. So the first
 * socket is bound and listens without it, which fails where anybody listens already, and only then
 * lets the others join. */
static int let_join(int fd, struct listen_address *address)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
                   getsockname(fd, &address->any, &address->size) == 0
               ? 0
               : -1;
}

static int try_open(struct listen_address *address, bool first, const struct settings *settings,
                    char *why, size_t why_size)
{
    int fd = open_socket(address, first ? 0 : SO_REUSEPORT);
    int err = fd < 0 ? failed(address, why, why_size) : apply_settings(fd, settings, why, why_size);
    if (err == 0 && (listen(fd, address->backlog) < 0 || (first && let_join(fd, address) < 0)))
        err = failed(address, why, why_size);
    if (err == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return err;
}

/* The kernel closes the sockets of a ring only some time after the process that had it was killed,
 * so who takes its place at once may still find them. */
int listener_open(struct listen_address *address, bool first, const struct settings *settings,
                  char *why, size_t why_size)
{
    const struct timespec pause = {.tv_nsec = TAKEN_PAUSE_MS * 1000000L};
    int fd = try_open(address, first, settings, why, why_size);
    for (int tries = 1; fd == -EADDRINUSE && first && tries < TAKEN_TRIES; tries++) {
        nanosleep(&pause, NULL);
        fd = try_open(address, first, settings, why, why_size);
    }
    return fd;
}

static bool is_same(const struct listen_address *wanted, const struct listen_address *got)
{
    const struct in6_addr at = address_of(&wanted->any), is = address_of(&got->any);
    const struct sockaddr_in *ipv4[] = {&wanted->ipv4, &got->ipv4};
    /* A port is at the same place in both families. */
    return wanted->any.sa_family == got->any.sa_family && memcmp(&at, &is, sizeof at) == 0 &&
           (ipv4[0]->sin_port == 0 || ipv4[0]->sin_port == ipv4[1]->sin_port);
}

int listener_adopt(int fd, struct listen_address *address, const struct settings *settings)
{
    struct listen_address got = {.size = sizeof got.ipv6, .backlog = address->backlog};
    char why[256];
    int on = 1;
    if (getsockname(fd, &got.any, &got.size) < 0)
        return -errno;
    if (!is_same(address, &got))
        return -EADDRNOTAVAIL;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        listen(fd, address->backlog) < 0)
        return -errno;
    int err = apply_settings(fd, settings, why, sizeof why);
    if (err == 0)
        *address = got;
    return err;
}
