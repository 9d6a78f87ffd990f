/* h2_road: a connection of HTTP/2 that clients of the simulation share, between h2_road.c and
 * h2_link.c. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "h2_link.h"

enum {
    H2_WINDOW_WIDE = 1 << 20,
};

struct h2_road {
    struct sim *sim;
    struct h2_road *next;
    struct fake_client *end;
    nghttp2_session *session;
    unsigned shard;
    struct h2_link *links;
    unsigned count;
    struct bytes out;
    int64_t stalled_until_ns;
    bool vanished; /* does nothing any more, and does not say so */
    bool leaves;   /* takes no further streams: the server said so, or it talks nonsense */
};

struct h2_link {
    struct client *client;
    struct h2_road *road; /* NULL: it is over */
    struct h2_link *next;
    int32_t stream;    /* 0: none is under way */
    bool tunnel;       /* a WebSocket */
    bool closed;       /* nothing follows what is in `in` */
    bool has_answer;   /* the last head that came was not an interim one */
    bool wide;         /* its window has been opened */
    int status;        /* of the head that is coming */
    struct bytes out;  /* of HTTP/1.1, or of a WebSocket */
    struct bytes body; /* of the request under way */
    struct bytes in;
    size_t unread; /* bytes of DATA that the window is not given back for */
    char key[WS_KEY_SIZE];
};

/* ---- h2_road.c ---- */

/* One to that shard that has room for one stream more, or a new one. */
struct h2_road *h2_road_find(struct sim *sim, unsigned shard);
/* Writes and reads, or has its troubles. It may be over then, and the link has none. */
void h2_road_go(struct h2_road *road);
/* The link gets off. A road goes with its last one. */
void h2_road_leave(struct h2_link *link);

/* ---- h2_link.c ---- */

/* What the library tells of streams. */
void h2_link_callbacks(nghttp2_session_callbacks *callbacks);
/* Asks for what its client wants next, if nothing is under way. */
void h2_link_ask(struct h2_link *link);
