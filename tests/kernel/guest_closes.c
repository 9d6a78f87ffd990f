/* guest_closes: every way in which the server ends a connection, and when the client sees it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "guest.h"

enum {
    ROUNDS_MAX = 10,
    SLOW_ROUNDS = 3,   /* of a way that has to wait for a deadline of the server */
    DEADLINE_MS = 200, /* each deadline of the server */
    WHEEL_MS = 100,    /* how often it looks for those that are over */
    LATE_MS = 500,     /* a kernel that keeps a closed file takes a second at least; emulation of a
                      machine that does other things as well takes its part */
    BACKLOG_BYTES = 8 << 20, /* more than a socket and its reader's queue take */
};

/* Opens a connection and says or does what makes the server end it; returns the connection. What it
 * has to hear first goes into `heard`. */
struct way {
    const char *name;
    const char *text;   /* what the client says */
    const char *answer; /* with what the server answers it */
    void (*then)(const struct guest *guest, int fd);
    int delay_ms; /* of the server, by its settings */
};

static void half_close(const struct guest *guest, int fd)
{
    (void)guest;
    shutdown(fd, SHUT_WR);
}

static void news(const struct guest *guest, int fd)
{
    (void)fd;
    guest_publish(guest, "news", "hello");
}

/* A frame of a client, with a mask of zeros. */
static void frame(int fd, unsigned char head, const void *payload, unsigned char size)
{
    unsigned char bytes[6 + 125] = {head, 0x80 | size};
    memcpy(bytes + 6, payload, size);
    guest_send(fd, bytes, 6u + size);
}

static void say_goodbye(const struct guest *guest, int fd)
{
    char buffer[16];
    (void)guest;
    frame(fd, 0x88, "\x03\xe8", 2);
    guest_hear(fd, "\x88\x02\x03\xe8", buffer, sizeof buffer);
}

static void send_no_mask(const struct guest *guest, int fd)
{
    (void)guest;
    guest_send(fd, "\x81\x01x", 3);
}

static void send_no_utf8(const struct guest *guest, int fd)
{
    (void)guest;
    frame(fd, 0x81, "\xff", 1);
}

#define UPGRADE                                                                                    \
    "GET /ws?channel=ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"      \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static const struct way ways[] = {
    {"Connection: close", "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", " 200 ",
     NULL, 0},
    {"HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n", " 200 ", NULL, 0},
    {"the client's FIN", "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", " 200 ", half_close, 0},
    {"a path that there is not", "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
     " 404 ", NULL, 0},
    {"a malformed request", "NONSENSE\r\n\r\n", " 400 ", NULL, 0},
    {"a long poll that is answered",
     "GET /longpoll?channel=news&timeout=20 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
     " 200 ", news, 0},
    {"WebSocket: close handshake", UPGRADE, " 101 ", say_goodbye, 0},
    {"WebSocket: a frame without a mask", UPGRADE, " 101 ", send_no_mask, 0},
    {"WebSocket: text that is not UTF-8", UPGRADE, " 101 ", send_no_utf8, 0},
    {"half a request, at its deadline", "GET /hea", " 408 ", NULL, DEADLINE_MS + WHEEL_MS},
    {"an idle connection, at its deadline", "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", " 200 ",
     NULL, DEADLINE_MS + WHEEL_MS},
};

/* One connection, from its first byte to its end: the milliseconds from the last thing that the
 * client did, less what the server waits by its settings; -1 for never. */
static int64_t run_once(const struct guest *guest, const struct way *way)
{
    char buffer[4096];
    int fd = guest_say(guest, way->text);
    int64_t start_ms = guest_now_ms();
    bool answered_last = way->then == news || strcmp(way->answer, " 408 ") == 0;
    if (!answered_last && !guest_hear(fd, "\r\n\r\n", buffer, sizeof buffer))
        buffer[0] = '\0';
    if (way->then) {
        start_ms = guest_now_ms();
        way->then(guest, fd);
    }
    if (answered_last && !guest_hear(fd, "\r\n\r\n", buffer, sizeof buffer))
        buffer[0] = '\0';
    int64_t end_ms = strstr(buffer, way->answer) ? guest_end(fd, start_ms) : -1;
    guest_reset(fd);
    if (end_ms < 0)
        return -1;
    return end_ms > way->delay_ms ? end_ms - way->delay_ms : 0;
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void tell(struct guest *guest, const char *name, bool older, int64_t *ms, int rounds)
{
    char title[128];
    snprintf(title, sizeof title, "end: %s%s", name, older ? ", beside older ones" : "");
    if (ms[rounds - 1] < 0) {
        guest_case(guest, title, false, "never");
        return;
    }
    qsort(ms, (size_t)rounds, sizeof *ms, by_size);
    int64_t median = ms[rounds / 2];
    guest_case(guest, title, median <= LATE_MS, "%d ms", (int)median);
}

static void run_way(struct guest *guest, const struct way *way, bool older)
{
    int64_t ms[ROUNDS_MAX];
    int rounds = way->delay_ms > 0 ? SLOW_ROUNDS : ROUNDS_MAX, done = 0;
    do
        ms[done] = run_once(guest, way);
    while (ms[done++] >= 0 && done < rounds);
    tell(guest, way->name, older, ms, done);
}

/* A reader that does not read is disconnected, and sees so when it reads again. */
static void run_slow_reader(struct guest *guest, bool older)
{
    static char piece[65536];
    char text[128], answer[2048];
    int64_t ms[1];
    int reader = guest_stream(guest, "slow");
    memset(piece, 'x', sizeof piece);
    for (size_t sent = 0; sent < BACKLOG_BYTES; sent += sizeof piece) {
        snprintf(text, sizeof text,
                 "POST /publish?channel=slow HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
                 sizeof piece);
        int fd = guest_say(guest, text);
        guest_send(fd, piece, sizeof piece);
        guest_hear(fd, "\r\n\r\n", answer, sizeof answer);
        guest_reset(fd);
    }
    ms[0] = guest_end(reader, guest_now_ms());
    guest_reset(reader);
    tell(guest, "a reader that does not read", older, ms, 1);
}

/* Above its limit the server says 503 and ends. */
static void run_full(struct guest *guest, bool older)
{
    static const struct way full = {"one connection too many",
                                    "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n", " 503 ", NULL, 0};
    const char *const settings[] = {"max_connections=6", NULL};
    int held[6], parked = older ? OLDER_COUNT : 0;
    guest_start(guest, settings);
    for (int i = 0; i < 6; i++)
        held[i] = i < parked ? guest_stream(guest, "older") : guest_stream(guest, "held");
    run_way(guest, &full, older);
    for (int i = 0; i < 6; i++)
        guest_reset(held[i]);
    guest_stop(guest);
}

/* At the end of a server everybody is sent away within its time. */
static void run_drain(struct guest *guest, bool older)
{
    static const char *const settings[] = {"drain_ms=300", NULL};
    enum {
        DRAIN_MS = 300 + WHEEL_MS
    };
    char buffer[256];
    int held[1 + OLDER_COUNT], count = 0;
    guest_start(guest, settings);
    for (int i = 0; older && i < OLDER_COUNT; i++)
        held[count++] = guest_stream(guest, "older");
    held[count++] = guest_stream(guest, "held");
    int websocket = guest_websocket(guest);
    int64_t start_ms = guest_now_ms(), ms[1] = {0};
    guest_signal(guest);
    for (int i = 0; i < count && ms[0] >= 0; i++)
        ms[0] = guest_end(held[i], start_ms);
    guest_hear(websocket, "\x03\xe9", buffer, sizeof buffer);
    frame(websocket, 0x88, "\x03\xe9", 2);
    int64_t last_ms = guest_end(websocket, start_ms);
    ms[0] = ms[0] < 0 || last_ms < ms[0] ? ms[0] : last_ms;
    for (int i = 0; i < count; i++)
        guest_reset(held[i]);
    guest_reset(websocket);
    guest_stop(guest);
    if (ms[0] >= 0)
        ms[0] = ms[0] > DRAIN_MS ? ms[0] - DRAIN_MS : 0;
    tell(guest, "the end of the server", older, ms, 1);
}

void guest_closes(struct guest *guest, bool older)
{
    char setting[2][64];
    snprintf(setting[0], sizeof setting[0], "head_timeout_ms=%d", DEADLINE_MS);
    snprintf(setting[1], sizeof setting[1], "idle_timeout_ms=%d", DEADLINE_MS);
    const char *const settings[] = {setting[0], setting[1], "queue_bytes_max=131072", NULL};
    int parked[OLDER_COUNT];
    guest_start(guest, settings);
    for (int i = 0; older && i < OLDER_COUNT; i++)
        parked[i] = guest_stream(guest, "older");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        run_way(guest, &ways[i], older);
    run_slow_reader(guest, older);
    for (int i = 0; older && i < OLDER_COUNT; i++)
        guest_reset(parked[i]);
    guest_stop(guest);
    run_full(guest, older);
    run_drain(guest, older);
}
