/* What the files of wire/sctp* share. sctp.c is the life of an association and its packets,
 * sctp_setup.c how it begins, sctp_send.c what goes out, sctp_acked.c what of that arrived,
 * sctp_receive.c what comes in, sctp_reassembly.c how it becomes messages, sctp_reset.c streams
 * that begin anew, sctp_park.c what is kept while nothing happens. */
#pragma once

#include "wire/sctp.h"

enum sctp_pending {
    SCTP_SAY_INIT = 1 << 0,
    SCTP_SAY_INIT_ACK = 1 << 1,
    SCTP_SAY_COOKIE = 1 << 2,
    SCTP_SAY_COOKIE_ACK = 1 << 3,
    SCTP_SAY_SACK = 1 << 4,
    SCTP_SAY_HEARTBEAT = 1 << 5,
    SCTP_SAY_HEARTBEAT_ACK = 1 << 6,
    SCTP_SAY_FORWARD = 1 << 7,
    SCTP_SAY_RESET = 1 << 8,
    SCTP_SAY_RESPONSE = 1 << 9,
    SCTP_SAY_SHUTDOWN = 1 << 10,
    SCTP_SAY_SHUTDOWN_ACK = 1 << 11,
    SCTP_SAY_SHUTDOWN_COMPLETE = 1 << 12,
    SCTP_SAY_ABORT = 1 << 13,
    SCTP_GOT_DATA = 1 << 14, /* the packet that is looked at has some */
};

enum {
    SCTP_MS = 1000000,
    SCTP_SACK_DELAY_MS = 200,
    SCTP_UNACKED_MAX = 2, /* packets until a SACK is not held back */
    /* Waits in a row without an answer. More than the ten of RFC 9260: a peer that is gone has
     * ended before by its consent, and one behind a bad network is still there. */
    SCTP_ERRORS_MAX = 20,
    SCTP_DATA_HEAD = 12, /* of a DATA chunk's value */
    SCTP_ECHO_MAX = SCTP_PACKET_MAX - SCTP_HEAD_SIZE - SCTP_CHUNK_HEAD,
    SCTP_TSN_WINDOW = 1 << 16, /* how far ahead a TSN may be */
};

/* A message that is not acknowledged as a whole. In the queue until all of it has TSNs. */
struct sctp_queued {
    struct sctp_queued *next;
    struct sctp_effort effort;
    uint32_t payload, len, cut; /* `cut` bytes have TSNs */
    uint32_t refs;              /* TSNs that have not been acknowledged */
    uint16_t stream, ssn;
    bool unordered, begun, given_up;
    uint8_t bytes[];
};

enum sctp_fate {
    SCTP_UNDER_WAY,
    SCTP_ARRIVED, /* out of turn: the SACK may take it back */
    SCTP_LOST,    /* to be sent again */
    SCTP_GIVEN_UP,
};

/* A TSN that is not acknowledged. */
struct sctp_sent {
    struct sctp_sent *next;
    struct sctp_queued *message;
    uint32_t tsn, at, len;
    uint32_t before; /* the first TSN that was new after it was last sent */
    uint8_t fate, flags, missed;
    uint32_t transmissions;
};

struct sctp_gaps {
    unsigned count;
    struct {
        uint32_t first, last;
    } came[SCTP_GAPS_MAX];
};

struct sctp_fragment {
    struct sctp_fragment *prev, *next;
    uint32_t tsn, payload, len;
    uint16_t stream, ssn;
    uint8_t flags;
    uint8_t bytes[];
};

struct sctp_echo {
    size_t len;
    uint8_t bytes[];
};

/* Serial numbers: whether a comes before b. */
static inline bool sctp_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool sctp_ssn_before(uint16_t a, uint16_t b)
{
    return (int16_t)(a - b) < 0;
}

/* sctp.c */
void sctp_end(struct sctp *sctp, enum sctp_end why);
void sctp_fail(struct sctp *sctp, enum sctp_end why); /* and the peer is told: ABORT */
void sctp_echo_keep(struct sctp *sctp, const uint8_t *bytes, size_t len);

/* sctp_setup.c: what is said, and heard, until the association stands. */
void sctp_init_write(struct sctp *sctp, struct sctp_writer *writer, bool ack);
void sctp_init_taken(struct sctp *sctp, const struct sctp_chunk *chunk, bool ack, uint64_t now_ns);
void sctp_cookie_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns);
void sctp_cookie_acked(struct sctp *sctp, uint64_t now_ns);

/* sctp_send.c */
bool sctp_data_ready(const struct sctp *sctp);
void sctp_data_write(struct sctp *sctp, struct sctp_writer *writer, uint64_t now_ns);
void sctp_forward_write(struct sctp *sctp, struct sctp_writer *writer);
void sctp_lost(struct sctp *sctp, struct sctp_sent *sent);
void sctp_give_up(struct sctp *sctp, struct sctp_queued *message);
void sctp_unref(struct sctp *sctp, struct sctp_queued *message);
void sctp_send_done(struct sctp *sctp);
bool sctp_all_sent(const struct sctp *sctp); /* and acknowledged */
bool sctp_stream_sent(const struct sctp *sctp, uint16_t streams);

/* sctp_acked.c */
void sctp_sack_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns);
void sctp_acked_up_to(struct sctp *sctp, uint32_t tsn, uint64_t now_ns);
void sctp_given_up_advance(struct sctp *sctp, uint64_t now_ns);
void sctp_retransmit_timeout(struct sctp *sctp, uint64_t now_ns);

/* sctp_receive.c */
void sctp_data_taken(struct sctp *sctp, const struct sctp_chunk *chunk);
void sctp_forward_taken(struct sctp *sctp, const struct sctp_chunk *chunk);
void sctp_sack_write(struct sctp *sctp, struct sctp_writer *writer);

/* sctp_reassembly.c */
struct sctp_piece {
    uint32_t tsn, payload;
    uint16_t stream, ssn;
    uint8_t flags;
    struct span bytes;
};
void sctp_piece_taken(struct sctp *sctp, const struct sctp_piece *piece);
void sctp_pieces_forgotten(struct sctp *sctp, uint32_t up_to);
void sctp_stream_skipped(struct sctp *sctp, uint16_t stream, uint16_t ssn);
void sctp_held_done(struct sctp *sctp);

/* sctp_reset.c */
void sctp_reconfig_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns);
void sctp_reconfig_write(struct sctp *sctp, struct sctp_writer *writer, uint64_t now_ns);
void sctp_reset_timeout(struct sctp *sctp, uint64_t now_ns);
void sctp_reset_look(struct sctp *sctp); /* something was acknowledged, or came */
