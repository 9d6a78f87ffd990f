/* h3_road: a connection of QUIC that clients of the simulation share, between h3_road.c and
 * h3_stream.c and h3_link.c. */
#pragma once

#include <gnutls/gnutls.h>
#include <nghttp3/nghttp3.h>

#include "h3_link.h"
#include "tls/quic_compat.h"
#include "wire/http3.h"

/* What the library needs where it is until it is acknowledged. */
struct h3_chunk {
    struct h3_chunk *next;
    size_t len;
    uint8_t bytes[];
};

enum h3_kind {
    H3_REQUEST,
    H3_UNKNOWN, /* a server's, that has not said what it is */
    H3_CONTROL,
    H3_IGNORED,
};

struct h3_stream {
    struct h3_road *road;
    struct h3_stream *next;
    struct h3_link *link; /* who hears it; NULL: nobody, or nobody any more */
    int64_t id;
    enum h3_kind kind;
    struct h3_chunk *chunks;      /* from the one at `freed` on */
    uint64_t freed, sent, queued; /* offsets: of the first chunk, of what has not left, the end */
    bool ends, end_sent;          /* nothing follows what is queued */
    bool blocked, over;
    struct http3_number number;
    struct http3_frames frames;
    struct bytes head; /* of an answer, while it comes */
};

struct h3_road {
    struct sim *sim;
    struct h3_road *next;
    struct fake_udp *udp;
    struct sockaddr_in6 address;
    ngtcp2_conn *conn;
    ngtcp2_crypto_conn_ref ref;
    gnutls_session_t tls; /* NULL: the handshake is over */
    gnutls_certificate_credentials_t credentials;
    nghttp3_qpack_encoder *encoder;
    nghttp3_qpack_decoder *decoder;
    struct http3_control control; /* of the server */
    struct h3_stream *streams;
    struct h3_link *links;
    unsigned count;
    int64_t stalled_until_ns;
    bool open;     /* the handshake is over */
    bool moved;    /* its address is not the one that it came with */
    bool proved;   /* the server may know that it is at its address */
    bool vanished; /* does nothing any more, and does not say so */
    bool leaves;   /* takes no further streams: the server said so */
};

struct h3_link {
    struct client *client;
    struct h3_road *road; /* NULL: it is over */
    struct h3_link *next;
    struct h3_stream *stream; /* NULL: none is under way */
    bool tunnel;              /* a WebSocket */
    bool closed;              /* nothing follows what is in `in` */
    bool has_answer;          /* the last head that came was not an interim one, and has a body */
    struct bytes out;         /* of HTTP/1.1, or of a WebSocket */
    struct bytes body;        /* of a request */
    struct bytes in;
    size_t unread; /* bytes of the stream that its window is not given back for */
    char key[WS_KEY_SIZE];
};

/* ---- h3_road.c ---- */

/* One that has room for one stream more, or a new one. */
struct h3_road *h3_road_find(struct sim *sim);
/* Reads and writes, or has its troubles. It may be over then, and the link has none. */
void h3_road_go(struct h3_road *road);
/* The link gets off. A road goes with its last one. */
void h3_road_leave(struct h3_link *link);

/* ---- h3_stream.c ---- */

extern const ngtcp2_callbacks h3_callbacks;
void h3_stream_free(struct h3_stream *stream);
/* Opens a stream, both ways or to the server alone; NULL: the server lets no more be opened now. */
struct h3_stream *h3_stream_open(struct h3_road *road, bool both_ways);
void h3_stream_queue(struct h3_stream *stream, const void *bytes, size_t len);
/* The server is to send and to take nothing more on it. */
void h3_stream_reset(struct h3_stream *stream);

/* ---- h3_link.c ---- */

/* Asks for what its client wants next, if nothing is under way. */
void h3_link_ask(struct h3_link *link);
/* Bytes of a stream and its end, for its link. */
void h3_link_hear(struct h3_stream *stream, struct span bytes, bool ended);
/* The stream is over, however it ended. */
void h3_link_over(struct h3_link *link);
