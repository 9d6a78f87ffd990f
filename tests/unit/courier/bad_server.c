#include "bad_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REQUEST_MAX = 8192,
    DRIP_MS = 20,
    MUTE_LOOK_MS = 50,
};

struct bad_server {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_uint connections;
    atomic_bool stopping;
};

struct visit {
    struct bad_server *server;
    int fd;
};

struct bytes {
    char at[REQUEST_MAX];
    size_t len;
};

/* A whole request with its body. Returns false when the client has gone. */
static bool request_read(int fd, struct bytes *bytes, const char **ret_body)
{
    bytes->len = 0;
    for (;;) {
        ssize_t got = recv(fd, bytes->at + bytes->len, sizeof bytes->at - 1 - bytes->len, 0);
        if (got <= 0)
            return false;
        bytes->len += (size_t)got;
        bytes->at[bytes->len] = '\0';
        char *end = strstr(bytes->at, "\r\n\r\n");
        const char *length = strstr(bytes->at, "Content-Length: ");
        if (!end || !length)
            continue;
        *ret_body = end + 4;
        if (strlen(*ret_body) >= (size_t)strtol(length + 16, NULL, 10))
            return true;
    }
}

static bool say(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) >= 0;
}

static void say_without_end(const struct visit *visit, const char *text, int pause_ms)
{
    while (!atomic_load(&visit->server->stopping) && say(visit->fd, text))
        if (pause_ms > 0)
            poll(NULL, 0, pause_ms);
}

static bool asks(const struct bytes *bytes, const char *path)
{
    const char *at = bytes->at + strlen("POST ");
    return strncmp(at, path, strlen(path)) == 0 && at[strlen(path)] == ' ';
}

/* Returns whether the connection goes on. */
static bool answer(const struct visit *visit, const struct bytes *request, const char *body)
{
    static const char open_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    char text[REQUEST_MAX + 128];
    int fd = visit->fd;
    if (asks(request, "/ok"))
        return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    if (asks(request, "/away"))
        return say(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    if (asks(request, "/later"))
        return say(fd, "HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    if (asks(request, "/echo")) {
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
        return say(fd, text);
    }
    if (asks(request, "/garbage"))
        say(fd, "this is no HTTP, not even nearly\r\n\r\n");
    if (asks(request, "/cut"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok");
    if (asks(request, "/reset")) {
        const struct linger now = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    if (asks(request, "/endless") && say(fd, open_head))
        say_without_end(visit, "and on and on and on and on and on ", 0);
    if (asks(request, "/drip") && say(fd, open_head))
        say_without_end(visit, ".", DRIP_MS);
    if (asks(request, "/head") && say(fd, "HTTP/1.1 200 OK\r\n"))
        say_without_end(visit, "X-More: and on and on and on and on\r\n", 0);
    if (asks(request, "/mute"))
        while (!atomic_load(&visit->server->stopping))
            poll(NULL, 0, MUTE_LOOK_MS);
    return false;
}

static void *visited(void *context)
{
    struct visit *visit = context;
    static _Thread_local struct bytes request;
    const char *body;
    while (request_read(visit->fd, &request, &body) && answer(visit, &request, body))
        ;
    close(visit->fd);
    atomic_fetch_sub(&visit->server->connections, 1);
    free(visit);
    return NULL;
}

static void *accept_all(void *context)
{
    struct bad_server *server = context;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct visit *visit = malloc(sizeof *visit);
        assert(visit);
        *visit = (struct visit){server, fd};
        atomic_fetch_add(&server->connections, 1);
        pthread_t thread;
        int err = pthread_create(&thread, NULL, visited, visit);
        assert(err == 0);
        pthread_detach(thread);
    }
}

struct bad_server *bad_server_start(void)
{
    struct bad_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert(server);
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    int err = bind(server->fd, (struct sockaddr *)&address, sizeof address);
    assert(err == 0);
    err = listen(server->fd, 64);
    assert(err == 0);
    getsockname(server->fd, (struct sockaddr *)&address, &len);
    server->port = ntohs(address.sin_port);
    err = pthread_create(&server->thread, NULL, accept_all, server);
    assert(err == 0);
    return server;
}

uint16_t bad_server_port(const struct bad_server *server)
{
    return server->port;
}

/* Its clients have gone, or go with what they are told. */
void bad_server_stop(struct bad_server *server)
{
    atomic_store(&server->stopping, true);
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    while (atomic_load(&server->connections) > 0)
        poll(NULL, 0, 1);
    free(server);
}
