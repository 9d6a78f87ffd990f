#include "experiment/vanish.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "experiment/caller.h"

struct vanish {
    int *fds;
    uint32_t count;
    const struct tls_client *tls;      /* NULL: plain */
    struct tls_handshakes *handshakes; /* one, with tls */
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

static int open_one(const struct vanish *vanish, int *ret, const struct sockaddr_in *address,
                    enum vanish_kind kind)
{
    const struct caller_tls tls = {vanish->tls, vanish->handshakes};
    struct caller caller;
    int err = caller_connect(&caller, address, vanish->tls ? &tls : NULL, CALLER_PATIENCE_S);
    if (err == 0)
        err = caller_say(&caller, requests[kind], strlen(requests[kind]));
    if (err == 0 && kind != VANISH_HALF_HEAD)
        err = caller_answered(&caller);
    *ret = caller.fd;
    if (caller.secure)
        tls_keys_wipe(&caller.keys);
    return err < 0 ? err : 0;
}

/* ---- all of them ---- */

int vanish_open(struct vanish **ret, const struct sockaddr_in *address,
                const struct tls_client *tls, uint32_t count)
{
    struct vanish *vanish = calloc(1, sizeof *vanish);
    assert(vanish);
    vanish->fds = malloc(count * sizeof *vanish->fds);
    assert(vanish->fds);
    vanish->tls = tls;
    vanish->handshakes = tls ? tls_handshakes_create(1) : NULL;
    int err = tls && !vanish->handshakes ? -ENOMEM : 0;
    while (err == 0 && vanish->count < count) {
        enum vanish_kind kind = kind_of(vanish->count);
        err = open_one(vanish, &vanish->fds[vanish->count++], address, kind);
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
    tls_handshakes_free(vanish->handshakes);
    free(vanish->fds);
    free(vanish);
}
