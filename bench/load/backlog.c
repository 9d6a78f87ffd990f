#include "load/backlog.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 of;
};

struct answer {
    struct nlmsghdr head;
    union {
        struct inet_diag_msg socket;
        struct nlmsgerr error;
    };
    char more[512]; /* attributes, which nobody asked for */
};

int backlog_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    return fd < 0 ? -errno : fd;
}

int backlog_waiting(int fd, const struct sockaddr_in *listener)
{
    const struct question question = {
        .head = {.nlmsg_len = sizeof question,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST},
        .of = {.sdiag_family = AF_INET,
               .sdiag_protocol = IPPROTO_TCP,
               .idiag_states = 1U << TCP_LISTEN,
               .id = {.idiag_sport = listener->sin_port,
                      .idiag_src = {listener->sin_addr.s_addr},
                      .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };
    struct answer answer = {0};
    if (send(fd, &question, sizeof question, 0) < 0)
        return -errno;
    ssize_t got = recv(fd, &answer, sizeof answer, 0);
    if (got < 0)
        return -errno;
    if (answer.head.nlmsg_type == NLMSG_ERROR)
        return answer.error.error < 0 ? answer.error.error : -ENOENT;
    if ((size_t)got < sizeof answer.head + sizeof answer.socket)
        return -EIO;
    return answer.socket.idiag_state == TCP_LISTEN ? (int)answer.socket.idiag_rqueue : -ENOENT;
}
