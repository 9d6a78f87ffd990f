#include "experiment/caller.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "experiment/way.h"

enum {
    ANSWER_MAX = 4096,
    REQUEST_MAX = 1024, /* over TLS */
    STATUS_AT = 9,      /* "HTTP/1.1 200" */
};

static int receive(int fd, unsigned char *bytes, size_t size)
{
    ssize_t got = recv(fd, bytes, size, 0);
    return got > 0 ? (int)got : got == 0 ? -ECONNRESET : -errno;
}

static int say(int fd, const unsigned char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return sent < 0 ? -errno : -EIO;
        bytes += sent;
        len -= (size_t)sent;
    }
    return 0;
}

/* ---- TLS ---- */

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

static int secure(struct caller *caller, const struct caller_tls *tls)
{
    struct tls_handshake *handshake = tls_handshake_take(tls->handshakes);
    assert(handshake);
    tls_handshake_client(handshake, tls->client, BENCH_TLS_NAME, NULL);
    int err = shake_hands(caller->fd, handshake);
    if (err == 0)
        tls_handshake_keys(handshake, &caller->keys);
    caller->secure = err == 0;
    tls_handshake_give(tls->handshakes, handshake);
    return err;
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
        if (record.len > 0) /* else a ticket */
            memcpy(text + text_len, record.bytes, record.len);
        text_len += record.len;
        at += (size_t)size;
    }
    return (int)text_len;
}

/* ---- a call ---- */

int caller_connect(struct caller *caller, const struct sockaddr_in *address,
                   const struct caller_tls *tls, int patience_s)
{
    const struct linger reset = {.l_onoff = 1};
    const struct timeval patience = {.tv_sec = patience_s};
    *caller = (struct caller){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (caller->fd < 0)
        return -errno;
    setsockopt(caller->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(caller->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(caller->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(caller->fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return -errno;
    return tls ? secure(caller, tls) : 0;
}

void caller_hang_up(struct caller *caller)
{
    if (caller->fd >= 0)
        close(caller->fd);
    caller->fd = -1;
    if (caller->secure)
        tls_keys_wipe(&caller->keys);
    caller->secure = false;
}

int caller_say(struct caller *caller, const void *bytes, size_t len)
{
    unsigned char record[REQUEST_MAX];
    if (!caller->secure)
        return say(caller->fd, bytes, len);
    struct tls_direction *out = &caller->keys.out;
    assert(len + tls_record_overhead(out) <= sizeof record);
    memcpy(record + tls_record_head(out), bytes, len);
    return say(caller->fd, record,
               tls_record_seal_in_place(out, TLS_APPLICATION_DATA, record, len));
}

int caller_answered(struct caller *caller)
{
    unsigned char bytes[ANSWER_MAX];
    char text[2 * ANSWER_MAX];
    size_t len = 0;
    while (len + ANSWER_MAX < sizeof text) {
        int got = receive(caller->fd, bytes, sizeof bytes);
        if (got > 0 && caller->secure)
            got = open_records(&caller->keys, bytes, (size_t)got, text + len);
        else if (got > 0)
            memcpy(text + len, bytes, (size_t)got);
        if (got < 0)
            return got;
        len += (size_t)got;
        text[len] = '\0';
        if (strstr(text, "\r\n\r\n"))
            return len > STATUS_AT ? (int)strtol(text + STATUS_AT, NULL, 10) : -EPROTO;
    }
    return -EPROTO;
}
