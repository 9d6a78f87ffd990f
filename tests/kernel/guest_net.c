/* guest_net: a server as a child, and clients with blocking sockets and patience. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

enum {
    SETTINGS_MAX = 16,
    LINE_MAX = 512,
    START_MS = 30000, /* for a server to start, under emulation */
};

int64_t guest_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void guest_case(struct guest *guest, const char *name, bool ok, const char *format, ...)
{
    va_list arguments;
    printf("case %s | %s | %s | ", guest->engine, name, ok ? "ok" : "failed");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    guest->failed += !ok;
}

/* ---- the server ---- */

static void give_up(const char *what)
{
    fprintf(stderr, "kernel-guest: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool read_line(int fd, char *line, size_t size, int64_t deadline_ms)
{
    for (size_t len = 0; len + 1 < size; len++) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left = deadline_ms - guest_now_ms();
        if (left <= 0 || poll(&wait, 1, (int)left) <= 0 || read(fd, &line[len], 1) != 1)
            return false;
        if (line[len] == '\n') {
            line[len] = '\0';
            return true;
        }
    }
    return false;
}

/* The server prints where it listens, then which engine it has. */
static void read_announcement(struct guest *guest)
{
    char line[LINE_MAX];
    int64_t deadline_ms = guest_now_ms() + START_MS;
    guest->port = 0;
    while (read_line(guest->output, line, sizeof line, deadline_ms)) {
        const char *port = strstr(line, "http://127.0.0.1:");
        if (port)
            guest->port = (uint16_t)strtoul(port + strlen("http://127.0.0.1:"), NULL, 10);
        if (strncmp(line, "engine ", 7) == 0) {
            snprintf(guest->announced, sizeof guest->announced, "%s", line);
            return;
        }
    }
    errno = ETIME;
    give_up("the server did not start");
}

void guest_start(struct guest *guest, const char *const *settings)
{
    char engine[64];
    snprintf(engine, sizeof engine, "engine=%s", guest->engine);
    const char *arguments[8 + 2 * SETTINGS_MAX] = {
        guest->program, "--listen", "127.0.0.1:0", "--shards", "1", "--set", engine};
    size_t count = 7;
    for (; *settings; settings++) {
        assert(count + 2 < sizeof arguments / sizeof *arguments);
        arguments[count++] = "--set";
        arguments[count++] = *settings;
    }
    int ends[2];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (pipe(ends) < 0)
        give_up("pipe");
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    errno = posix_spawn(&guest->pid, guest->program, &actions, NULL,
                        (char *const *)(uintptr_t)arguments, environ);
    if (errno != 0)
        give_up(guest->program);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    guest->output = ends[0];
    guest->ending = false;
    read_announcement(guest);
}

void guest_signal(struct guest *guest)
{
    guest->ending = true;
    kill(guest->pid, SIGTERM);
}

/* A second signal would end it at once, so one that is ending gets none. */
void guest_stop(struct guest *guest)
{
    int status;
    if (!guest->ending)
        guest_signal(guest);
    if (waitpid(guest->pid, &status, 0) != guest->pid)
        give_up("waitpid");
    close(guest->output);
    if (status != 0)
        guest_case(guest, "the server leaves with status 0", false, "wait status %d", status);
}

/* ---- clients ---- */

int guest_dial(const struct guest *guest)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(guest->port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        give_up("connect");
    return fd;
}

int guest_say(const struct guest *guest, const char *text)
{
    int fd = guest_dial(guest);
    guest_send(fd, text, strlen(text));
    return fd;
}

/* What the server no longer takes is its affair: it has closed. */
void guest_send(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0)
            return;
        at += n;
        size -= (size_t)n;
    }
}

/* What comes before `deadline_ms`: a count, 0 for the end in whatever way, -1 for nothing. */
static ssize_t take(int fd, void *buffer, size_t size, int64_t deadline_ms, int flags)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int64_t left = deadline_ms - guest_now_ms();
    if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
        return -1;
    ssize_t n = recv(fd, buffer, size, flags);
    return n < 0 ? 0 : n;
}

/* Looks at what has come, and takes of it what ends with `wanted`. */
bool guest_hear(int fd, const char *wanted, char *buffer, size_t size)
{
    int64_t deadline_ms = guest_now_ms() + PATIENCE_MS;
    size_t len = 0;
    buffer[0] = '\0';
    while (len + 1 < size) {
        size_t before = len;
        ssize_t n = take(fd, buffer + len, size - 1 - len, deadline_ms, MSG_PEEK);
        if (n <= 0)
            return false;
        len += (size_t)n;
        buffer[len] = '\0';
        const char *found = memmem(buffer, len, wanted, strlen(wanted));
        if (found)
            len = (size_t)(found - buffer) + strlen(wanted);
        recv(fd, buffer + before, len - before, MSG_WAITALL);
        buffer[len] = '\0';
        if (found)
            return true;
    }
    return false;
}

int64_t guest_end(int fd, int64_t start_ms)
{
    char buffer[65536];
    ssize_t n;
    do
        n = take(fd, buffer, sizeof buffer, start_ms + PATIENCE_MS, 0);
    while (n > 0);
    return n == 0 ? guest_now_ms() - start_ms : -1;
}

void guest_reset(int fd)
{
    const struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

int guest_stream(const struct guest *guest, const char *channel)
{
    char text[256], buffer[2048];
    snprintf(text, sizeof text, "GET /sse?channel=%s HTTP/1.1\r\nHost: h\r\n\r\n", channel);
    int fd = guest_say(guest, text);
    if (!guest_hear(fd, "\r\n\r\n", buffer, sizeof buffer) || !strstr(buffer, " 200 "))
        give_up("an SSE stream did not begin");
    return fd;
}

int guest_websocket(const struct guest *guest)
{
    char buffer[2048];
    int fd = guest_say(guest, "GET /ws?channel=ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    if (!guest_hear(fd, "\r\n\r\n", buffer, sizeof buffer) || !strstr(buffer, " 101 "))
        give_up("a WebSocket did not begin");
    return fd;
}

void guest_publish(const struct guest *guest, const char *channel, const char *message)
{
    char text[256], answer[2048];
    snprintf(text, sizeof text,
             "POST /publish?channel=%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", channel,
             strlen(message));
    int fd = guest_say(guest, text);
    guest_send(fd, message, strlen(message));
    if (!guest_hear(fd, "\r\n\r\n", answer, sizeof answer))
        give_up("a publish was not answered");
    guest_reset(fd);
}
