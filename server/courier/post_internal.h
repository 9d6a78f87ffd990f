/* post_internal: the HTTP client from inside.
 *
 *   post.c       posts: waiting, begun, ended
 *   post_curl.c  what libcurl is told and tells: options, sockets, timers, answers
 *   post_url.c   URLs
 *
 *   fd ─► client.sockets[fd] ─► its line ─► CURLM
 *
 * Idea     Posts go by one of POST_LINES multi handles, the one that their URL's host gives, so
 *          those to one host find each other's connections. libcurl looks at each connection that
 *          a multi handle keeps whenever a post ends there: with one handle a post to one of a
 *          thousand hosts costs as much again as all else that libcurl does.
 *          Sockets stay in the epoll while their connections are kept, which libcurl takes out
 *          behind each answer: a post on a kept connection asks nothing of the epoll.
 * Threads  The client's.
 * Bounds   kept_max connections; more are open only as long as posts are under way on them. */
#pragma once

#include "courier/post.h"

#include <curl/curl.h>

enum {
    POST_LINES = 32,
};

/* A multi handle of libcurl. */
struct post_line {
    CURLM *multi;
    struct post_client *client;
    int64_t timer_ns; /* libcurl's; INT64_MAX: none */
    unsigned open;    /* connections */
    bool told;        /* libcurl has done something since its messages were read */
};

/* A descriptor, by its number. */
struct post_socket {
    uint8_t line;
    uint8_t watched; /* for what it is in the epoll: CURL_POLL_*; 0: it is not */
    bool wanted;     /* libcurl waits for it */
    bool ours;       /* made by us: it leaves the epoll when it is closed */
};

/* A post that has a place. */
struct transfer {
    CURL *easy;
    struct post_line *line;
    struct post *post;
    struct curl_slist fields[POST_FIELDS_MAX + 1];
    size_t head_bytes, body_bytes, room;
    enum post_end why; /* what we ended it of; POST_ANSWERED: nothing */
    struct transfer *previous, *next;
};

struct post_client {
    struct post_config config;
    struct post_line lines[POST_LINES];
    struct post_socket *sockets;
    unsigned socket_room;
    unsigned open, kept_max; /* connections */
    int epoll_fd;
    int64_t now_ns;
    int64_t look_ns;           /* for late ones among those that wait */
    struct transfer *busy;     /* a list both ways */
    struct transfer *idle;     /* a list by next */
    struct post *first, *last; /* wait for a place */
    unsigned busy_count, idle_count, waiting_count;
    struct post_counters counters;
};

static inline void post_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* ---- post_curl.c ---- */

/* Returns 0 or -ENOMEM. */
int post_lines_create(struct post_client *client);
void post_lines_free(struct post_client *client);

/* An easy handle with all that is the same for each post. NULL: memory is out. */
struct transfer *transfer_create(struct post_client *client);
void transfer_free(struct transfer *transfer);
/* Hands it to libcurl for its post. Returns false when memory is out, or the URL is no string for
 * libcurl; then it is as it was. */
bool transfer_begin(struct post_client *client, struct transfer *transfer, int64_t left_ms);
/* Takes it back, and notes status and Retry-After in its post. */
void transfer_end(struct transfer *transfer);

/* Lets libcurl do what sockets and timers are ready for. */
void post_lines_turn(struct post_client *client);
/* The next that libcurl has ended, and how. Returns NULL: there is none. */
struct transfer *post_lines_ended(struct post_client *client, enum post_end *ret);
int64_t post_lines_deadline_ns(const struct post_client *client);

/* ---- post_url.c ---- */

/* Whether a socket may be made to that address for that URL. */
bool post_may_connect(const struct reach *reach, const char *url, const struct sockaddr *address);
/* Which line is that of its scheme, host and port. */
unsigned post_line_of(const char *url);
