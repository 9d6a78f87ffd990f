/* Between the files of carrier/quic*.c and http3*.c.
 *
 *   quic_port.c      a datagram: whose it is; what strangers are told
 *   quic_conn.c      a connection: begins, reads, writes, ends
 *   quic_calls.c     what the library asks and tells
 *   quic_memory.c    its memory
 *   quic_strays.c    packets of other shards
 *   quic_tls.c       its handshake
 *   http3.c          carrier_ops: a turn, deadlines, drain
 *   http3_stream.c   streams: what kind, their input, their end
 *   http3_request.c  fields become a request, DATA its body
 *   http3_tunnel.c   streams that clients open in sessions of WebTransport
 *   http3_session.c  such sessions, and the streams that we open in them
 *   http3_latest.c   their datagrams
 *   http3_answer.c   an answer's head becomes fields
 *   http3_send.c     what streams have queued, as frames, until it is acknowledged */
#pragma once

#include <nghttp3/nghttp3.h>

#include "carrier/line_frame.h"
#include "carrier/quic.h"
#include "tls/quic_compat.h"
#include "conn/carrier.h"
#include "conn/http2_floods.h"
#include "core/alarms.h"
#include "core/arena.h"
#include "core/linear_hash.h"
#include "tls/identity.h"
#include "wire/capsule.h"
#include "wire/http3.h"
#include "wire/webtransport.h"

enum {
    QUIC_SECRET_BYTES = 32,
    QUIC_TAG_BYTES = 2,
    QUIC_PATH_BYTES = 1200,  /* what any path takes; also the least of a first datagram */
    HTTP3_STREAMS_MAX = 100, /* requests of a connection at once */
    HTTP3_UNI_MAX = 16,      /* one-way streams of a client at once: it needs three */
    HTTP3_WINDOW = 65536,    /* of a stream */
    QUIC_WINDOW = 262144,    /* of a connection */
    HTTP3_HEAD_TIMES = 4,    /* head_bytes_max, decoded; up to that it is answered 431 */
};
#define QUIC_HANDSHAKE_NS (UINT64_C(10) * NGTCP2_SECONDS)

struct gnutls_priority_st;
struct gnutls_session_int;

struct quic_library {
    struct gnutls_priority_st *priority;
    uint8_t reset_secret[QUIC_SECRET_BYTES]; /* of stateless reset tokens */
    uint8_t token_secret[QUIC_SECRET_BYTES]; /* of Retry */
    uint8_t tag[QUIC_TAG_BYTES];
};

/* A connection ID by which a peer names a connection. */
struct quic_cid {
    struct linear_node node;
    struct quic *quic;
    struct quic_cid *next; /* of the connection's */
    ngtcp2_cid cid;
};

/* A shard's. */
struct quic_port {
    struct carrier carrier; /* its streams are connections */
    struct shard *shard;
    struct alarms alarms; /* by slot, from the first stream on */
    struct linear_hash cids;
    struct arenas arenas;
    nghttp3_qpack_encoder *encoder; /* with no table: one for all connections */
    nghttp3_qpack_decoder *decoder;
    uint32_t handshakes;       /* under way */
    struct http2_bucket words; /* to strangers */
    uint32_t strays;           /* on their way to other shards */
};

enum http3_kind {
    HTTP3_STREAM_UNKNOWN, /* a client's one-way stream that has not said what it is */
    HTTP3_STREAM_CONTROL,
    HTTP3_STREAM_ENCODER,
    HTTP3_STREAM_DECODER,
    HTTP3_STREAM_IGNORED,
    HTTP3_STREAM_REQUEST,
    HTTP3_STREAM_ONE_WAY, /* a client's, in a session of WebTransport */
    HTTP3_STREAM_OURS,    /* our control stream */
    HTTP3_STREAM_OUT,     /* ours, in a session of WebTransport */
};

/* What a request has that is a session of WebTransport. */
struct http3_session {
    struct capsules capsules;
    struct http3_stream *out; /* for what its line sends; NULL: there is none yet */
    const char *protocol;     /* agreed upon; NULL: none */
    uint8_t *farewell;        /* a frame: what is said last */
    uint32_t farewell_len;
    bool is_open;    /* answered, and its line has not ended */
    bool ends;       /* nothing more comes from its line */
    bool waits;      /* its client has a moment to read what has come */
    bool was_closed; /* by the client, which needs no reasons */
};

/* What a session or a stream in one has whose messages are datagrams. */
struct http3_latest {
    struct http3_stream *wide; /* for a message that fits none; NULL: there is none under way */
    uint64_t sequence;         /* of the next message */
    uint8_t number;
};

/* Bytes that are sent, or to be sent: the library needs them where they are until they are
 * acknowledged. */
struct http3_chunk {
    struct http3_chunk *next;
    uint32_t len, size;
    uint8_t bytes[];
};

struct http3_stream {
    struct quic *quic;
    struct http3_stream *prev, *next; /* of the connection's: those that had lines are first */
    struct http3_stream *next_ready;
    int64_t id;
    uint32_t slot;   /* of its line; TIMERS_NONE: it has none, or none any more */
    uint8_t kind;    /* enum http3_kind */
    bool is_ready;   /* in the list of those with something to send */
    bool is_blocked; /* by the peer's window: not in the list before that grows */
    bool had_line;   /* it has one, or had */
    bool is_over;    /* reset: what is left in it is not sent */
    bool ends;       /* nothing follows what is in its chunks */
    bool end_sent;
    bool input_ended;
    bool has_head, has_trailers;
    bool is_raw;       /* in a session of WebTransport: its bytes are in no frames */
    bool is_refused;   /* of such a one: what its line has is the body of an error */
    bool has_messages; /* of a session and what is in it: its line has frames of a WebSocket */
    int64_t of_session;
    bool is_done;      /* of a client's one-way stream: nothing of it is wanted any more */
    bool has_begun;    /* a frame has come */
    bool has_answer;   /* the head of one, and not an interim one, is queued */
    bool refuses_head; /* it is too long, and is passed over */

    struct http3_session *session; /* it is one of WebTransport */
    struct http3_latest *latest;   /* its messages are datagrams */
    struct http3_stream *owner;    /* of HTTP3_STREAM_OUT: whose line it is for */
    uint64_t heard;                /* one more than the highest sequence of a client's datagram */

    struct http3_number number; /* of a one-way stream: what it is, and whose */
    struct http3_frames frames;
    char *head; /* the payload of HEADERS, while it comes */
    uint32_t head_len, head_size;
    uint64_t body_left; /* by Content-Length; UINT64_MAX: not said */

    struct http3_chunk *chunks, *last_chunk;
    uint64_t freed;  /* offset of the first chunk: all before it is acknowledged */
    uint64_t sent;   /* offset of what was not given to the library yet */
    uint64_t queued; /* of the end */
};

struct quic {
    struct carrier carrier; /* its streams are requests */
    struct shard *shard;
    struct quic_port *port;
    ngtcp2_conn *conn;
    ngtcp2_crypto_conn_ref ref;
    ngtcp2_mem memory;
    struct arena *arena;                   /* that memory is from; NULL: from malloc */
    struct gnutls_session_int *tls;        /* NULL: the handshake is over */
    struct tls_identity_choice identities; /* of the handshake */
    struct quic_cid *cids;
    uint64_t bytes; /* what is held for it */
    struct charge charge;

    struct http3_stream *streams;
    struct http3_stream *ready, *last_ready;
    struct http3_control *control; /* NULL: the client has not opened it yet */
    struct http3_decoder_input decoder_input;
    bool has_encoder, has_decoder;
    struct http2_bucket resets;
    int64_t last_request;  /* the highest of a request's stream */
    uint64_t requests_end; /* of GOAWAY: streams from here on are refused */

    uint64_t error;     /* of HTTP/3: the connection is to be closed with it; 0: none */
    uint8_t end_reason; /* enum close_reason */
    bool is_busy;       /* the library is on the stack: it may not be freed */
    bool is_dead;       /* the connection is closed: free it when that is over */
    bool is_open;       /* the handshake is over */
    bool is_trimmed;    /* so is what it took */
    bool has_done;      /* some stream is_done, and is to be freed */
    bool has_ended;     /* all that was to be said of its end is */
    bool idles;         /* it has no request, and has the deadline for that */
    bool has_sessions;  /* of WebTransport, or has had */
    bool drains;        /* takes no requests, and ends when those that it has do */
};

/* The session of WebTransport that a stream is, or belongs to. */
static inline int64_t http3_session_of(const struct http3_stream *stream)
{
    return stream->session ? stream->id : stream->of_session;
}

static inline struct quic_port *quic_port_of(const struct shard *shard)
{
    return shard->datagrams.state[DATAGRAM_QUIC];
}

static inline struct quic *quic_of(const struct shard *shard, const struct conn *line)
{
    return (struct quic *)conn_carrier(shard, line);
}

static inline struct conn *quic_line(const struct quic *quic)
{
    return conn_at(quic->shard, quic->carrier.slot);
}

/* ---- quic_port.c ---- */

/* A connection ID of this shard; not unique by itself, but as good as. */
void quic_cid_draw(const struct shard *shard, ngtcp2_cid *ret, size_t len);
/* Returns 0 or -ENOMEM. */
int quic_cid_add(struct quic *quic, const ngtcp2_cid *cid);
void quic_cid_remove(struct quic *quic, const ngtcp2_cid *cid);
void quic_cids_clear(struct quic *quic);
/* A decoder that has failed once fails for ever: another takes its place. Without memory for one it
 * stays, and the next failure tries again. */
void quic_decoder_renew(struct quic_port *port);
/* A datagram has come. */
void quic_arrived(struct shard *shard, const struct ring_packet *packet);

/* ---- quic_strays.c ---- */

/* Whether a packet of a connection that is not known here is one of another shard's. */
bool quic_is_elsewhere(const struct shard *shard, const uint8_t *bytes,
                       const ngtcp2_version_cid *ids);
void quic_hand_on(struct quic_port *port, const struct ring_packet *packet, unsigned target);

/* ---- quic_conn.c ---- */

struct quic_first {
    const struct ring_packet *packet;
    const ngtcp2_pkt_hd *head;
    const ngtcp2_cid *original; /* behind a Retry: the first destination; else NULL */
};

/* A client's first packet is there. Returns NULL when there is no place, or memory is out. */
struct quic *quic_begin(struct quic_port *port, const struct quic_first *first);
/* A packet for a connection. Returns false when its client has to be told to prove its address; it
 * is gone then. */
bool quic_read(struct quic *quic, const struct ring_packet *packet);
/* Its alarm has gone off, and may have been too early: nothing is due that is not by `heard_ns`. */
void quic_alarm(struct quic *quic, int64_t heard_ns);
/* Sends what there is to be sent, as far as windows go. Ends the connection at an error. */
void quic_write(struct quic *quic);
/* Charges what is held. Returns false when that has closed the connection. */
bool quic_account(struct quic *quic);
/* Says why, and closes it. */
void quic_end(struct quic *quic, const quic_close_error *error, enum close_reason reason);
/* The words alone, of HTTP/3. */
void quic_say_end(struct quic *quic, uint64_t code);
void quic_end_http3(struct quic *quic, uint64_t code, enum close_reason reason);
void quic_free(struct quic *quic);
ngtcp2_path quic_path(const struct ring_packet *packet, struct sockaddr_in6 *local);

/* ---- quic_memory.c ---- */

/* One that is empty but for its port and its memory; NULL: that is out. */
struct quic *quic_make(struct quic_port *port);
void quic_unmake(struct quic *quic);
/* What is taken is counted in quic->bytes, and given back before the connection goes. NULL: memory
 * is out. */
void *quic_take(struct quic *quic, size_t size);
void *quic_take_zeroed(struct quic *quic, size_t size);
/* Accepts NULL. */
void quic_give(struct quic *quic, void *memory);
/* The handshake is over: what it took goes back to the kernel. */
void quic_trim(struct quic *quic);

/* ---- quic_calls.c ---- */

extern const ngtcp2_callbacks quic_callbacks;

/* ---- quic_tls.c ---- */

/* Returns 0 or -ENOMEM. */
int quic_tls_begin(struct quic *quic);
void quic_tls_end(struct quic *quic);
/* Bytes that nobody can foresee. */
void quic_random(uint8_t *to, size_t len);

/* ---- http3.c ---- */

extern const struct carrier_ops http3_ops, quic_port_ops;
/* Opens our control stream. Returns 0 or -ENOMEM. */
int http3_begin(struct quic *quic);
/* The connection is to be closed with a code. Returns what a callback says to the library. */
int http3_failed(struct quic *quic, uint64_t code);
/* What the library says to something to send. If it found no memory the client would wait for that
 * for ever, so its connection ends in the next turn. */
void quic_submitted(struct quic *quic, int err);

/* ---- http3_stream.c ---- */

/* Returns NULL when memory is out. */
struct http3_stream *http3_stream_open(struct quic *quic, int64_t id, enum http3_kind kind);
void http3_stream_free(struct http3_stream *stream);
/* Bytes of a client's. Returns 0, or a code to close the connection with. */
uint64_t http3_input(struct http3_stream *stream, struct span bytes, bool ended);
/* The client has reset its side of it, or ours: it takes no more. Returns likewise. */
uint64_t http3_was_reset(struct http3_stream *stream, bool its_side);
/* Ends it on both sides. */
void http3_stream_reset(struct http3_stream *stream, uint64_t code);
/* The stream of a line, by its slot; NULL: it has none any more. */
struct http3_stream *http3_stream_at(const struct quic *quic, uint32_t slot);
struct conn *http3_line(const struct http3_stream *stream);
/* Its line ends without a word to the client. */
void http3_line_end(struct http3_stream *stream, enum close_reason reason);

/* ---- http3_request.c ---- */

/* A piece of a frame of a request's stream. Returns 0, or a code to close the connection with. */
uint64_t http3_piece(struct http3_stream *stream, const struct http3_piece *piece);
/* The client has ended it. */
uint64_t http3_request_ended(struct http3_stream *stream);
void http3_read_on(struct shard *shard, struct conn *line);
/* RFC 9114 section 4.1.2: a request is ended for it, not the connection. */
void http3_malformed(struct http3_stream *stream);

/* ---- http3_tunnel.c ---- */

/* A client's stream says which session it belongs to. Returns 0, or a code to close with. */
uint64_t http3_tunnel_begin(struct http3_stream *stream, uint64_t session);
/* Its bytes, and its end. */
void http3_tunnel_input(struct http3_stream *stream, struct span bytes, bool ended);
/* Likewise of a stream to us alone; the number of its session may not be all there. */
uint64_t http3_one_way_input(struct http3_stream *stream, struct span bytes, bool ended);
/* A client's one-way stream has ended, or nothing of it is wanted. */
void http3_one_way_done(struct http3_stream *stream);
/* Frees those whose lines have ended too. */
void http3_one_ways_free(struct quic *quic);
/* The line of a request has ended: if it was a session, its streams go. */
void http3_tunnels_end(struct quic *quic, int64_t session);
/* The line of such a stream has ended: `sent`, and `read`, as it was meant to. */
void http3_tunnel_close(struct http3_stream *stream, enum close_reason reason, bool sent,
                        bool read);
/* What an answer's head means for such a stream, which has none. */
void http3_tunnel_head(struct http3_stream *stream, const struct http_response_head *head);
/* A line for a stream; NULL: there is no place, and it is reset. */
struct conn *http3_line_open(struct http3_stream *stream);

/* ---- http3_session.c ---- */

/* A request asks for a session. Returns 0 or -ENOMEM. */
int http3_session_begin(struct http3_stream *stream);
/* It has got one. */
void http3_session_answered(struct http3_stream *stream);
/* One that is open, or NULL. */
struct http3_stream *http3_session_find(const struct quic *quic, int64_t id);
/* A stream of ours for what a line sends, with its head. Returns NULL when the client has to let
 * more be opened first. */
struct http3_stream *http3_one_way_open(struct http3_stream *owner);
/* Opens what lines need, before anything is written. */
void http3_sessions_prepare(struct quic *quic);
/* Bytes of its body. */
void http3_session_input(struct http3_stream *stream, struct span bytes);
/* All that its line has had is queued. */
void http3_session_ends(struct http3_stream *stream);
/* Its line has ended; `sent`: as it was meant to. */
void http3_session_over(struct http3_stream *stream, enum close_reason reason, bool sent);
/* Whether some have last words that have not left. */
bool http3_sessions_end(const struct quic *quic);
/* Gives back what any stream has of all that. */
void http3_session_free(struct http3_stream *stream);
/* As carrier_ops has them. */
int http3_wish(struct shard *shard, struct conn *line, const struct carrier_wish *wish);
void http3_farewell(struct shard *shard, struct conn *line, uint32_t code, struct span reason);

/* ---- http3_latest.c ---- */

/* Before anything is written: what is no message is queued, what fits no datagram gets a stream. */
void http3_latest_prepare(struct http3_stream *stream);
/* Behind that: of what could not leave the last message stays. */
void http3_latest_settle(struct http3_stream *stream);
/* The message to go next as a datagram. Returns false when there is none. */
bool http3_latest_next(const struct http3_stream *stream, struct line_frame *ret);
size_t http3_latest_head(const struct http3_stream *stream, uint8_t to[WEBTRANSPORT_HEAD_MAX]);
/* The library has taken it. */
void http3_latest_sent(struct http3_stream *stream, const struct line_frame *frame);
/* Whose messages have a number, or NULL. */
struct http3_stream *http3_latest_find(const struct quic *quic, int64_t session, uint8_t number);
/* A client's. Returns 0, or a code to close the connection with. */
uint64_t http3_datagram_input(struct quic *quic, struct span bytes);

/* ---- http3_answer.c ---- */

void http3_head(struct shard *shard, struct conn *line, const struct http_response_head *head);

/* ---- http3_send.c ---- */

/* Copies bytes behind what the stream has to send. Returns 0 or -ENOMEM. */
int http3_queue(struct http3_stream *stream, const void *bytes, size_t len);
/* It may have something to send, or its end. */
bool http3_has_more(const struct http3_stream *stream);
void http3_ready(struct http3_stream *stream);
/* Something of its line has been taken: it is settled behind that. */
void http3_filled(struct http3_stream *stream);
/* Takes from the stream's line what there is room for. */
void http3_fill(struct http3_stream *stream);
/* What is to be given to the library next; at most `max` runs. Returns how many. */
size_t http3_unsent(const struct http3_stream *stream, ngtcp2_vec *vectors, size_t max);
/* So much of it was taken, and perhaps the end. */
void http3_took(struct http3_stream *stream, size_t len, bool end);
/* All up to here has been acknowledged. */
void http3_acked(struct http3_stream *stream, uint64_t offset);
/* Offers what ready lines have, and settles them. */
void http3_offer(struct quic *quic);
void http3_settle(struct quic *quic);
void http3_chunks_free(struct http3_stream *stream);
