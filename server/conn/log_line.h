/* log_line: one event as a line of the log, in JSON or logfmt.
 *
 *   {"time":"2026-12-01T08:00:00.123Z","event":"closed","conn":"0.17.3","client":"192.0.2.7",…}
 *   time=2026-12-01T08:00:00.123Z event=closed conn=0.17.3 client=192.0.2.7 …
 *
 * Threads  any.
 * Memory   The caller's: a record holds its texts, or points to names that live as long as the
 *          process.
 * Bounds   LOG_LINE_MAX, which any record fits into. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/settings.h"

enum {
    LOG_ID_MAX = 64,    /* of a request's id; a longer one is left out */
    LOG_PATH_MAX = 64,  /* of its path; a longer one is cut */
    LOG_TEXT_MAX = 256, /* of what is said about the server itself */
    LOG_LINE_MAX = 2048,
};

/* X(NAME, name) */
#define LOG_EVENTS(X)                                                                              \
    X(START, start)                                                                                \
    X(RELOAD, reload)                                                                              \
    X(HAND_OVER, hand_over)                                                                        \
    X(DRAIN, drain)                                                                                \
    X(END, end)                                                                                    \
    X(REFUSED, refused)                                                                            \
    X(CLOSED, closed)                                                                              \
    X(SUPPRESSED, suppressed)

#define LOG_EVENT_ENUM(NAME, name) LOG_##NAME,
enum log_event {
    LOG_EVENTS(LOG_EVENT_ENUM) LOG_EVENT_COUNT,
};

/* Whose request it was, as far as the request says. */
struct log_request {
    uint8_t id_len;   /* 0: it has none */
    uint8_t path_len; /* 0: there was no request */
    char id[LOG_ID_MAX];
    char path[LOG_PATH_MAX];
};

struct log_record {
    int64_t at_ns; /* of the writer's clock, since 1970 */
    enum log_event event;
    /* Of a client: REFUSED and CLOSED. */
    uint32_t slot;
    uint32_t generation;
    uint16_t shard;
    uint16_t status; /* of the answer; 0: there is none */
    bool is_stream;
    struct in6_addr client; /* unspecified: not known */
    const char *port;       /* the name of the listener */
    const char *transport;  /* in whose hands it is */
    const char *reason;     /* of the refusal, or of the end */
    struct log_request request;
    /* Of the server. */
    uint64_t suppressed; /* lines */
    uint64_t lost;
    char text[LOG_TEXT_MAX]; /* ended by 0 */
};

/* Writes the line with its newline into LOG_LINE_MAX bytes, and returns its length. */
size_t log_line(char *buf, enum log_format format, const struct log_record *record);
