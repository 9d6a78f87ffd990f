#include "measure/http_get.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/http.h"

void http_get_init(struct http_get *get, const struct sockaddr_in *address)
{
    *get = (struct http_get){.address = *address, .fd = -1};
}

void http_get_done(struct http_get *get)
{
    const struct linger reset = {.l_onoff = 1};
    if (get->fd < 0)
        return;
    setsockopt(get->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); /* no TIME_WAIT */
    close(get->fd);
    get->fd = -1;
}

static int connect_now(struct http_get *get)
{
    const struct timeval patience = {.tv_sec = HTTP_GET_PATIENCE_S};
    get->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (get->fd < 0)
        return -errno;
    setsockopt(get->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(get->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(get->fd, (const struct sockaddr *)&get->address, sizeof get->address) == 0)
        return 0;
    int err = -errno;
    http_get_done(get);
    return err;
}

/* Returns the length of the head with `*ret_len` bytes read, some of them the body's. */
static int read_head(int fd, char *buf, size_t size, size_t *ret_len, struct http_response *ret)
{
    size_t len = 0;
    int head = 0;
    while (head == 0 && len < size) {
        ssize_t got = recv(fd, buf + len, size - len, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        len += (size_t)got;
        head = http_response_parse(ret, buf, len, 0, size);
    }
    *ret_len = len;
    return head > 0 ? head : -EPROTO;
}

static int read_answer(int fd, char *body, size_t size)
{
    char head[HTTP_GET_HEAD_MAX];
    struct http_response response = {0};
    size_t len = 0;
    int head_len = read_head(fd, head, sizeof head, &len, &response);
    if (head_len < 0)
        return head_len;
    if (!response.fields.has_content_length)
        return -EPROTO;
    size_t want = response.fields.content_length, have = len - (size_t)head_len;
    if (want >= size || have > want)
        return -EMSGSIZE;
    memcpy(body, head + head_len, have);
    while (have < want) {
        ssize_t got = recv(fd, body + have, want - have, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        have += (size_t)got;
    }
    body[want] = '\0';
    return response.status;
}

static int ask(struct http_get *get, const char *path, char *body, size_t size)
{
    char request[256];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path);
    assert(len > 0 && (size_t)len < sizeof request);
    if (send(get->fd, request, (size_t)len, MSG_NOSIGNAL) != len)
        return -ECONNRESET;
    return read_answer(get->fd, body, size);
}

int http_get(struct http_get *get, const char *path, char *body, size_t size)
{
    assert(size > 0);
    bool kept = get->fd >= 0;
    int err = kept ? 0 : connect_now(get);
    int status = err < 0 ? err : ask(get, path, body, size);
    if (status < 0)
        http_get_done(get);
    /* The server may have ended an idle connection just now. */
    return status == -ECONNRESET && kept ? http_get(get, path, body, size) : status;
}
