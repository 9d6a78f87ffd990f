#include "experiment/vanish.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PATIENCE_S = 5,
    ANSWER_MAX = 2048,
};

struct vanish {
    int *fds;
    uint32_t count;
};

static const char *const requests[VANISH_COUNT] = {
    [VANISH_WEBSOCKET] = "GET /ws?channel=bench-vanished HTTP/1.1\r\nHost: bench\r\n"
                         "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: cmluZ3NpZGUgbG9hZCBrZQ==\r\n\r\n",
    [VANISH_SSE] = "GET /sse?channel=bench-vanished HTTP/1.1\r\nHost: bench\r\n\r\n",
    [VANISH_HALF_HEAD] = "GET /sse?channel=bench-vanished HTTP/1.1\r\nHost: be",
};

static enum vanish_kind kind_of(uint32_t index)
{
    return (enum vanish_kind)(index % VANISH_COUNT);
}

/* Reads until the end of the answer's head. */
static int answered(int fd)
{
    char text[ANSWER_MAX];
    size_t len = 0;
    while (len + 1 < sizeof text) {
        ssize_t got = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (got <= 0)
            return got == 0 ? -ECONNRESET : -errno;
        len += (size_t)got;
        text[len] = '\0';
        if (strstr(text, "\r\n\r\n"))
            return 0;
    }
    return -EPROTO;
}

static int open_one(int *ret, const struct sockaddr_in *address, enum vanish_kind kind)
{
    const struct linger reset = {.l_onoff = 1};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    size_t len = strlen(requests[kind]);
    int fd = *ret = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return -errno;
    if (send(fd, requests[kind], len, MSG_NOSIGNAL) != (ssize_t)len)
        return -EIO;
    return kind == VANISH_HALF_HEAD ? 0 : answered(fd);
}

int vanish_open(struct vanish **ret, const struct sockaddr_in *address, uint32_t count)
{
    struct vanish *vanish = calloc(1, sizeof *vanish);
    assert(vanish);
    vanish->fds = malloc(count * sizeof *vanish->fds);
    assert(vanish->fds);
    int err = 0;
    while (err == 0 && vanish->count < count) {
        enum vanish_kind kind = kind_of(vanish->count);
        err = open_one(&vanish->fds[vanish->count++], address, kind);
    }
    if (err == 0)
        *ret = vanish;
    else
        vanish_free(vanish);
    return err;
}

uint32_t vanish_of(const struct vanish *vanish, enum vanish_kind kind)
{
    return (vanish->count + VANISH_COUNT - 1 - (uint32_t)kind) / VANISH_COUNT;
}

int vanish_silence(struct vanish *vanish)
{
    struct sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog program = {.len = 1, .filter = drop_all};
    for (uint32_t i = 0; i < vanish->count; i++)
        if (setsockopt(vanish->fds[i], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
            return -errno;
    return 0;
}

void vanish_end(struct vanish *vanish)
{
    for (uint32_t i = 0; i < vanish->count; i++) {
        if (vanish->fds[i] >= 0)
            close(vanish->fds[i]);
        vanish->fds[i] = -1;
    }
}

void vanish_free(struct vanish *vanish)
{
    if (!vanish)
        return;
    vanish_end(vanish);
    free(vanish->fds);
    free(vanish);
}
