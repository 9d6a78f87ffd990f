#include "experiment/vanish.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "experiment/way.h"
#include "tls/handshake.h"

enum {
    PATIENCE_S = 5,
    ANSWER_MAX = 4096,
    REQUEST_MAX = 1024,
};

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

/* ---- one connection ---- */

static int receive(int fd, unsigned char *bytes, size_t size)
{
    ssize_t got = recv(fd, bytes, size, 0);
    return got > 0 ? (int)got : got == 0 ? -ECONNRESET : -errno;
}

static int say(int fd, const void *bytes, size_t len)
{
    return send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -EIO;
}

/* Takes the handshake to its end. Returns 0 or negative errno. */
static int shake_hands(int fd, struct tls_handshake *handshake)
{
    unsigned char in[ANSWER_MAX], out[ANSWER_MAX];
    size_t len = 0, at = 0;
    for (;;) {
        int err = 0;
        switch (tls_handshake_advance(handshake, in, len, &at)) {
        case TLS_HAS_OUTPUT:
            err = say(fd, out, tls_handshake_output(handshake, out, sizeof out));
            break;
        case TLS_WANTS_INPUT:
            err = receive(fd, in, sizeof in);
            len = err > 0 ? (size_t)err : 0;
            at = 0;
            break;
        case TLS_DONE:
            return at == len ? 0 : -EPROTO; /* a server waits to be asked */
        case TLS_FAILED:
            return -EPROTO;
        }
        if (err < 0)
            return err;
    }
}

static int secure(const struct vanish *vanish, int fd, struct tls_keys *ret)
{
    uint8_t seed[TLS_SEED_SIZE];
    struct tls_handshake *handshake = tls_handshake_take(vanish->handshakes);
    ssize_t got = getrandom(seed, sizeof seed, 0);
    assert(handshake && got == sizeof seed);
    tls_handshake_client(handshake, vanish->tls, BENCH_TLS_NAME, NULL, seed);
    int err = shake_hands(fd, handshake);
    if (err == 0)
        tls_handshake_keys(handshake, ret);
    tls_handshake_give(vanish->handshakes, handshake);
    return err;
}

static int ask(int fd, struct tls_keys *keys, const char *request)
{
    unsigned char record[REQUEST_MAX];
    const size_t len = strlen(request);
    if (!keys)
        return say(fd, request, len);
    const size_t head = tls_record_head(&keys->out);
    assert(len + tls_record_overhead(&keys->out) <= sizeof record);
    memcpy(record + head, request, len);
    return say(fd, record, tls_record_seal_in_place(&keys->out, TLS_APPLICATION_DATA, record, len));
}

/* Opens the records that are there in whole, which makes of them one text. Returns its length, or
 * -EPROTO. */
static int open_records(struct tls_keys *keys, unsigned char *bytes, size_t len, char *text)
{
    size_t at = 0, text_len = 0;
    while (at < len) {
        struct tls_record record;
        int size = tls_record_open(&keys->in, bytes + at, len - at, &record);
        if (size <= 0)
            return -EPROTO; /* an answer's head is sent in whole, and is small */
        memcpy(text + text_len, record.bytes, record.len);
        text_len += record.len;
        at += (size_t)size;
    }
    return (int)text_len;
}

/* Reads until the end of the answer's head. */
static int answered(int fd, struct tls_keys *keys)
{
    unsigned char bytes[ANSWER_MAX];
    char text[2 * ANSWER_MAX];
    size_t len = 0;
    while (len + ANSWER_MAX < sizeof text) {
        int got = receive(fd, bytes, sizeof bytes);
        if (got > 0 && keys)
            got = open_records(keys, bytes, (size_t)got, text + len);
        else if (got > 0)
            memcpy(text + len, bytes, (size_t)got);
        if (got < 0)
            return got;
        len += (size_t)got;
        text[len] = '\0';
        if (strstr(text, "\r\n\r\n"))
            return 0;
    }
    return -EPROTO;
}

static int open_one(const struct vanish *vanish, int *ret, const struct sockaddr_in *address,
                    enum vanish_kind kind)
{
    const struct linger reset = {.l_onoff = 1};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct tls_keys keys, *with = vanish->tls ? &keys : NULL;
    int fd = *ret = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return -errno;
    int err = with ? secure(vanish, fd, with) : 0;
    if (err == 0)
        err = ask(fd, with, requests[kind]);
    if (err == 0 && kind != VANISH_HALF_HEAD)
        err = answered(fd, with);
    if (with)
        tls_keys_wipe(with);
    return err;
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
