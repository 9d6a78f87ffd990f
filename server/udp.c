#include "udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 4 << 20, /* of the kernel, each way: a burst for all peers of a shard */
    LONG_HEADER = 0x80,
    LONG_ID_AT = 6, /* behind the first byte, the version and a length */
    SHORT_ID_AT = 1,
};

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

/* RFC 9000 section 14: packets are not cut on their way. Buffers are as large as the system lets
 * them be. */
static int options_set(int fd, int family)
{
    set(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
    set(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
    if (family == AF_INET6 && (set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) < 0 ||
                               set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) < 0))
        return -1;
    return set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
}

/* The first is bound by itself, which fails where anybody else is, and then lets the others join.
 */
static int open_one(const struct listen_address *address, bool first)
{
    int family = address->any.sa_family;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int err = options_set(fd, family);
    if (err == 0 && !first)
        err = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err == 0)
        err = bind(fd, &address->any, address->size);
    if (err == 0 && first)
        err = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (err == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

/* The byte of the destination's ID, modulo the number of sockets. A packet that is too short for it
 * is for the first. A sandbox may refuse it: then shards hand on by lane what they are not meant to
 * have got. */
static void route(int fd, unsigned count)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, LONG_HEADER, 0, 2),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, LONG_ID_AT),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SHORT_ID_AT),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    const struct sock_fprog program = {sizeof code / sizeof code[0], code};
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

int udp_open_quic(int *ret, unsigned count, const struct listen_address *address, char *why,
                  size_t why_size)
{
    unsigned opened = 0;
    int err = 0;
    for (; opened < count && err >= 0; opened++) {
        err = open_one(address, opened == 0);
        ret[opened] = err;
    }
    /* One socket is in no group that a program could choose from. */
    if (err >= 0 && count > 1)
        route(ret[0], count);
    if (err >= 0)
        return 0;
    for (unsigned i = 0; i < opened; i++)
        if (ret[i] >= 0)
            close(ret[i]);
    char name[LISTENER_NAME_MAX];
    listener_name(address, name);
    snprintf(why, why_size,
             "http3 = on: the UDP port of %s cannot be had: %s; `ss -lunp` shows which program has "
             "it, tls_listen takes another port",
             name, strerror(-err));
    return err;
}

/* Both families, or the one that this machine has. */
static int open_any(uint16_t port, uint16_t *ret_port)
{
    struct listen_address address = {
        .size = sizeof address.ipv6,
        .ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)},
    };
    int fd = open_one(&address, true);
    if (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) {
        address = (struct listen_address){
            .size = sizeof address.ipv4,
            .ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)},
        };
        fd = open_one(&address, true);
    }
    if (fd >= 0 && getsockname(fd, &address.any, &address.size) == 0)
        *ret_port = ntohs(address.ipv4.sin_port); /* at the same place in either */
    return fd;
}

int udp_open_rtc(int *ret, uint16_t *ret_ports, unsigned count, uint16_t port, char *why,
                 size_t why_size)
{
    for (unsigned i = 0; i < count; i++) {
        uint16_t wanted = port == 0 ? 0 : (uint16_t)(port + i);
        int fd = port != 0 && wanted < port ? -ERANGE : open_any(wanted, &ret_ports[i]);
        if (fd >= 0) {
            ret[i] = fd;
            continue;
        }
        while (i-- > 0)
            close(ret[i]);
        snprintf(why, why_size,
                 "rtc_port = %u: the UDP port %u cannot be had: %s; `ss -lunp` shows which program "
                 "has it, rtc_port takes others",
                 port, wanted, strerror(-fd));
        return fd;
    }
    return 0;
}
