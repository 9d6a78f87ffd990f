#include "udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carrier/quic.h"

enum {
    BUFFER_BYTES = 4 << 20, /* of the kernel, each way: a burst for all peers of a shard */
    LONG_HEADER = 0x80,
    LONG_ID_AT = 6, /* behind the first byte, the version and a length */
    SHORT_ID_AT = 1,
    TAG_AT = 1, /* in the ID */
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

static int attach(int fd, struct sock_filter *code, size_t count)
{
    const struct sock_fprog program = {(unsigned short)count, code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

int udp_route(int fd, unsigned count)
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
    return attach(fd, code, sizeof code / sizeof code[0]) < 0 ? -errno : 0;
}

int udp_route_apart(int fd, unsigned count, uint16_t tag)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, LONG_HEADER, 0, 7),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, LONG_ID_AT),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, LONG_ID_AT - 1),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, QUIC_CID_BYTES, 0, 9),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, LONG_ID_AT + TAG_AT),
        BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SHORT_ID_AT),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, SHORT_ID_AT + TAG_AT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, tag, 0, 2),
        BPF_STMT(BPF_MISC | BPF_TXA, 0),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_MISC | BPF_TXA, 0),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    return attach(fd, code, sizeof code / sizeof code[0]) < 0 ? -errno : 0;
}

/* One socket alone is in no group that a program could choose from, until it was in one of two. */
static int group_of_one(const struct listen_address *address)
{
    int fd = open_one(address, false);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

int udp_open_quic(int *ret, unsigned count, const struct listen_address *address, bool joins,
                  char *why, size_t why_size)
{
    unsigned opened = 0;
    int err = 0;
    for (; opened < count && err >= 0; opened++) {
        err = open_one(address, opened == 0 && !joins);
        ret[opened] = err;
    }
    if (err >= 0 && count == 1 && !joins)
        err = group_of_one(address);
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

static int open_row(int *ret, uint16_t *ret_ports, unsigned count, unsigned port)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned wanted = port == 0 ? 0 : port + i;
        int fd = wanted > UINT16_MAX ? -ERANGE : open_any((uint16_t)wanted, &ret_ports[i]);
        ret[i] = fd;
        if (fd >= 0)
            continue;
        while (i-- > 0)
            close(ret[i]);
        return fd;
    }
    return 0;
}

int udp_open_rtc(int *ret, uint16_t *ret_ports, unsigned count, uint16_t port, bool joins,
                 char *why, size_t why_size)
{
    int err = open_row(ret, ret_ports, count, port);
    if (err == -EADDRINUSE && joins && port != 0)
        err = open_row(ret, ret_ports, count, port + count);
    if (err < 0)
        snprintf(why, why_size,
                 "rtc_port = %u: of the %u UDP ports from there on one cannot be had: %s; `ss "
                 "-lunp` shows which program has it, rtc_port takes others",
                 port, joins ? 2 * count : count, strerror(-err));
    return err;
}
