/* post: an HTTP client for one method. Posts to many servers at a time, by libcurl.
 *
 *   post_start ─► waits for a place ─► name, connection, request, answer ─► ended
 *
 * Idea     libcurl's multi interface does names, TLS and both versions of HTTP, and keeps
 *          connections. Here are what an answer may be, where a post may go (courier/reach.h), and
 *          how it ended, by name. Redirects are not followed, proxies of the environment not used.
 * Threads  One, for all of a client. libcurl asks for names on threads of its own.
 * Memory   A post is its starter's, and so is what it points to, from post_start until `ended`.
 *          The answer is in a buffer of the post: post_clear.
 * Bounds   post_config.places at a time, the others wait within their time; POST_HEAD_MAX of an
 *          answer's head; answer_max of its body, or POST_THROWN_MAX if nobody wants it: one that
 *          is longer is cut off. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

struct post_client;
struct reach;

enum {
    POST_URL_MAX = 2048,
    POST_FIELDS_MAX = 16,
    POST_HEAD_MAX = 16384,
    POST_THROWN_MAX = 65536,
};

/* X(NAME, name, what it means): how a post ended. The name is in metrics and in docs. */
#define POST_ENDS(X)                                                                               \
    X(ANSWERED, answered, "There is a whole answer, whatever its status")                          \
    X(TIMEOUT, timeout, "Its time was over")                                                       \
    X(BUSY, busy, "Its time was over while it waited for a place")                                 \
    X(BAD_URL, bad_url, "The URL is none")                                                         \
    X(FORBIDDEN, forbidden, "The address or the port is not allowed")                              \
    X(NAME, name, "The host's name has no address")                                                \
    X(CONNECT, connect, "No connection")                                                           \
    X(CERTIFICATE, certificate, "The certificate is not that of the host, or not trusted")         \
    X(TLS, tls, "TLS failed")                                                                      \
    X(BROKEN, broken, "The connection broke")                                                      \
    X(BAD_ANSWER, bad_answer, "The answer is not HTTP")                                            \
    X(TOO_LARGE, too_large, "The answer is larger than it may be")                                 \
    X(MEMORY, memory, "Memory is out")                                                             \
    X(STOPPED, stopped, "This server ends")

#define POST_END_ENUM(NAME, name, meaning) POST_##NAME,
enum post_end {
    POST_ENDS(POST_END_ENUM) POST_END_COUNT,
};

const char *post_end_name(enum post_end end);

struct post {
    /* The question: the starter's. */
    const char *url;
    const char *const *fields; /* "Name: value", of printable ASCII */
    unsigned field_count;      /* at most POST_FIELDS_MAX */
    struct span body;
    int64_t timeout_ms; /* for all of it, from post_start on */
    size_t answer_max;  /* of the answer's body to keep; 0: it is thrown away */
    void (*ended)(void *context, struct post *post);

    /* The answer. */
    enum post_end end;
    int status;            /* of HTTP; 0: none came. Also when the answer did not end well */
    int64_t retry_after_s; /* Retry-After, 0: none */
    char *answer;          /* NULL: nothing */
    size_t answer_len;

    /* The client's. */
    int64_t until_ns;
    struct post *next;
};

#define POST_COUNTERS(X)                                                                           \
    X(posts, "counter", "Posts begun")                                                             \
    X(under_way, "gauge", "Posts under way")                                                       \
    X(waiting, "gauge", "Posts that wait for a place")                                             \
    X(connects, "counter", "Connections made")                                                     \
    X(sent_bytes, "counter", "Bytes of bodies sent")

struct post_counters {
#define POST_COUNTER_FIELD(name, ...) _Atomic uint64_t name;
    POST_COUNTERS(POST_COUNTER_FIELD)
#undef POST_COUNTER_FIELD
    _Atomic uint64_t ends[POST_END_COUNT];
};

struct post_config {
    const struct reach *reach;
    const char *authorities; /* a PEM file; empty: the system's */
    unsigned places;
    void *context; /* for `ended` */
};

/* Returns 0 or -ENOMEM, -EMFILE. */
int post_client_create(struct post_client **ret, const struct post_config *config);
/* All that are under way must have ended: post_stop. NULL is allowed. */
void post_client_free(struct post_client *client);
const struct post_counters *post_counters(const struct post_client *client);

/* Begins; `ended` follows, not from inside. */
void post_start(struct post_client *client, struct post *post, int64_t now_ns);
/* How many more would begin at once. */
unsigned post_places(const struct post_client *client);
/* Gives back the answer's buffer. */
void post_clear(struct post *post);

/* Does what can be done without waiting. */
void post_turn(struct post_client *client, int64_t now_ns);
/* A descriptor that is readable when there is something to do, and until when to wait for it. */
int post_fd(const struct post_client *client);
int64_t post_deadline_ns(const struct post_client *client);

/* Ends all that are under way or wait. */
void post_stop(struct post_client *client);

/* Whether a URL may be posted to: http or https, a host, a port that is allowed, no user and no
 * password. Its host's addresses are looked at when it is connected to. */
bool post_url_good(const struct reach *reach, const char *url);
