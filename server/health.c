#include "health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "listener.h"

enum {
    PATIENCE_S = 5, /* for each of connect, send and receive */
    ANSWER_MAX = 512,
};

static int fail(const char *what, int err)
{
    fprintf(stderr, "ringside-server: health: %s%s%s\n", what, err ? ": " : "",
            err ? strerror(err) : "");
    return 1;
}

/* Where /healthz is asked for: the operator's listener has it always. */
static const char *where(const struct settings *settings)
{
    if (settings->admin_listen[0] != '\0')
        return settings->admin_listen;
    bool plain = settings->listen[0] != '\0' && !settings->proxy_protocol;
    return plain && settings->health_public ? settings->listen : NULL;
}

/* Connected to what listens there; that of all addresses is reached at the loopback one. Returns
 * the socket or negative errno. */
static int dial(const struct listen_address *address)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, &address->any, address->size) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

/* Returns the length of the beginning of the answer, or negative errno. */
static ssize_t ask(int fd, char answer[ANSWER_MAX])
{
    static const char request[] =
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    size_t len = 0;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        return -errno;
    while (len < ANSWER_MAX) {
        ssize_t got = recv(fd, answer + len, ANSWER_MAX - len, 0);
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

int health_ask(const struct settings *settings)
{
    static const char good[] = "HTTP/1.1 200 ";
    char why[512], answer[ANSWER_MAX + 1] = "";
    struct listen_address address;
    const char *listen = where(settings);
    if (!listen)
        return fail("set admin_listen: /healthz is at no port that can be asked", 0);
    if (listener_address(&address, "listen", listen, why, sizeof why) < 0)
        return fail(why, 0);
    int fd = dial(&address);
    if (fd < 0)
        return fail(listen, -fd);
    ssize_t len = ask(fd, answer);
    close(fd);
    if (len < 0)
        return fail(listen, (int)-len);
    if ((size_t)len >= sizeof good - 1 && memcmp(answer, good, sizeof good - 1) == 0)
        return 0;
    fprintf(stderr, "ringside-server: health: %s answers %.*s\n", listen,
            (int)strcspn(answer, "\r\n"), answer);
    return 1;
}
