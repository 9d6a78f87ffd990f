/* guest: what the checks on another kernel share. They are clients of a server that they start.
 *
 * Idea     The program runs inside an emulated machine, and by itself on any other. It starts the
 *          server with one engine, does to it what clients do, and looks at what they see and at
 *          what the kernel still has afterwards.
 * Threads  One.
 * Output   One line for each case, which boot.py reads:
 *            case ENGINE | NAME | ok or failed | FIGURE
 * Errors   A check that cannot go on is a failed case; a server that does not start ends it all. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    PATIENCE_MS = 4000, /* what comes later than this never comes */
    OLDER_COUNT = 4,    /* connections that are parked before a check begins, if any are */
};

struct guest {
    const char *program; /* ringside-server */
    const char *engine;  /* its setting */
    pid_t pid;
    bool ending;         /* has been told to */
    int output;          /* what the server prints */
    uint16_t port;       /* where it listens */
    unsigned failed;     /* cases */
    char announced[512]; /* the line in which it says which engine serves, and why */
};

int64_t guest_now_ms(void);

/* Prints a case. */
void guest_case(struct guest *guest, const char *name, bool ok, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Starts a server of one shard with these settings, `name=value`, up to a NULL. */
void guest_start(struct guest *guest, const char *const *settings);

/* Tells the server to end. */
void guest_signal(struct guest *guest);

/* The same, and waits until it has; its status must be 0. */
void guest_stop(struct guest *guest);

/* A connection to the server. */
int guest_dial(const struct guest *guest);

/* A connection that has said this. */
int guest_say(const struct guest *guest, const char *text);

void guest_send(int fd, const void *bytes, size_t size);

/* Reads until `wanted` has come, which is all of what is taken then. Returns false at the end of
 * the stream and after PATIENCE_MS. What came is in `buffer`, with a NUL behind it. */
bool guest_hear(int fd, const char *wanted, char *buffer, size_t size);

/* Reads on to the end, FIN or RST. Returns after how many milliseconds since `start_ms` it came, or
 * -1: not within PATIENCE_MS. */
int64_t guest_end(int fd, int64_t start_ms);

/* Closes with RST, so that the client's side leaves nothing behind. */
void guest_reset(int fd);

/* An SSE stream on `channel` that has begun. */
int guest_stream(const struct guest *guest, const char *channel);

/* A WebSocket on channel `ws` whose handshake is over. */
int guest_websocket(const struct guest *guest);

/* Publishes one message by a connection of its own. */
void guest_publish(const struct guest *guest, const char *channel, const char *message);

/* ---- checks ---- */

void guest_closes(struct guest *guest, bool older); /* the end of the stream, in every way */
void guest_bad_input(struct guest *guest);          /* its outcomes, byte for byte */
void guest_churn(struct guest *guest, unsigned comings);
void guest_hold(struct guest *guest, unsigned count);
