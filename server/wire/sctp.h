/* sctp: one end of an association that carries data channels (RFC 9260; RFC 3758 for what may be
 * lost, RFC 6525 for streams that begin anew). docs/decisions/webrtc.md says why it is our own.
 *
 *     sctp_send ─► queue ─► sent: TSNs under way ─► acknowledged, or given up
 *                    sctp_output ─► packets            ▲
 *     packets ─► sctp_input ─► SACK ───────────────────┘
 *                    └─► DATA ─► held until it is whole and its turn ─► ops->message
 *
 * Idea     A function of packets and of the time: nothing here sends, asks a clock or draws a
 *          random number. The owner gives in what arrives, then takes out packets until there are
 *          none, and comes back at sctp_deadline. An idle association has nothing on the heap.
 * Threads  one at a time; nothing is shared.
 * Memory   The struct is the owner's. On the heap are messages that wait to be acknowledged, and
 *          fragments that wait for others; sctp_held says how many bytes. sctp_done frees all.
 * Idle     sctp_park writes an association in which nothing is under way as some 60 bytes, and
 *          sctp_wake goes on with it. In between nothing is due and nothing may come.
 * Bounds   SCTP_STREAMS_MAX streams; the settings' bytes of either kind; SCTP_GAPS_MAX gaps among
 *          the TSNs that came, beyond which what comes is taken for lost; SCTP_HELD_MAX fragments;
 *          SCTP_CHUNKS_MAX chunks of a packet.
 * Errors   A packet that is none is dropped, by name. What a peer may not do, or does not answer,
 *          ends the association: sctp_ended says how. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/sctp_packet.h"
#include "wire/sctp_path.h"
#include "wire/span.h"

enum {
    SCTP_STREAMS_MAX = 16,
    SCTP_GAPS_MAX = 16,
    SCTP_HELD_MAX = 1024,
    SCTP_CHUNKS_MAX = 128,
};

#define SCTP_NEVER UINT64_MAX

/* What all associations of a server have in common. */
struct sctp_settings {
    uint32_t message_bytes_max;
    uint32_t send_bytes_max;    /* of messages that are not acknowledged, with what they cost */
    uint32_t receive_bytes_max; /* likewise of fragments; at least twice message_bytes_max    */
    uint32_t heartbeat_ms;      /* without a packet of the peer; 0: it is never asked */
};

struct sctp_message {
    uint16_t stream;
    bool unordered;
    uint32_t payload; /* enum dcep_payload */
    struct span bytes;
};

/* How hard to try. */
struct sctp_effort {
    uint32_t retransmits; /* UINT32_MAX: as often as it takes */
    uint64_t until_ns;    /* SCTP_NEVER: as long as it takes  */
};
#define SCTP_RELIABLE ((struct sctp_effort){UINT32_MAX, SCTP_NEVER})

struct sctp;

/* What the owner hears, out of sctp_input. It may send, reset and abort there. */
struct sctp_ops {
    void (*message)(struct sctp *sctp, const struct sctp_message *message);
    void (*reset)(struct sctp *sctp, uint16_t stream); /* the peer has ended what it sends there */
    void (*reusable)(struct sctp *sctp, uint16_t stream); /* sctp_reset has been confirmed */
};

enum sctp_state {
    SCTP_CLOSED, /* waits for INIT, or has ended */
    SCTP_COOKIE_WAIT,
    SCTP_COOKIE_ECHOED,
    SCTP_ESTABLISHED,
    SCTP_SHUTDOWN_PENDING,
    SCTP_SHUTDOWN_SENT,
    SCTP_SHUTDOWN_RECEIVED,
    SCTP_SHUTDOWN_ACK_SENT,
};

enum sctp_end {
    SCTP_LIVES,
    SCTP_END_SHUTDOWN, /* both ends had said all                                    */
    SCTP_END_ABORTED,  /* the peer has aborted it                                   */
    SCTP_END_ABORT,    /* sctp_abort                                                */
    SCTP_END_TIMEOUT,  /* the peer does not answer                                  */
    SCTP_END_PROTOCOL, /* the peer sends what it must not                           */
    SCTP_END_SIZE,     /* … a message, or more fragments of one, than the bounds    */
    SCTP_END_MEMORY,   /* the heap is full                                          */
};

struct sctp_queued;
struct sctp_sent;
struct sctp_fragment;
struct sctp_gaps;
struct sctp_echo;

/* The fields are sctp*.c's alone. */
struct sctp {
    const struct sctp_settings *settings;
    const struct sctp_ops *ops;
    struct sctp_path path;

    /* To the peer. */
    uint32_t peer_tag, peer_window;
    uint32_t next_tsn, acked_tsn, given_up_tsn, recovery_tsn;
    uint32_t rtt_tsn, lost_count, arrived_count, send_bytes;
    uint64_t rtt_at, sent_at, retransmit_at;
    struct sctp_queued *queue, *queue_end;
    struct sctp_sent *sent, *sent_end;
    uint16_t next_ssn[SCTP_STREAMS_MAX];

    /* From the peer. */
    uint32_t own_tag, first_tsn;
    uint32_t peer_tsn; /* all up to here have come */
    uint32_t held_bytes;
    uint64_t sack_at, heartbeat_at;
    struct sctp_fragment *held, *held_end;
    struct sctp_gaps *gaps;
    struct sctp_echo *echo; /* a cookie, or a heartbeat's, to be given back */
    uint16_t peer_ssn[SCTP_STREAMS_MAX];
    uint16_t held_count;

    /* Streams that begin anew: a bit for each. */
    uint64_t reset_at;
    uint32_t reset_sequence, peer_reset_sequence, peer_reset_tsn, peer_reset_result;
    uint16_t reset_wanted, reset_asked, peer_reset_streams;

    uint16_t peer_port;
    uint16_t pending; /* what the next packets have to say */
    uint16_t own_streams, peer_streams;
    uint8_t state, ended, errors, packets_unacked;
    bool peer_known, recovering, resend_now, peer_forgets, peer_resets;
};

/* Begins as the end that waits for INIT. The tag is random and not 0, the first TSN random. */
void sctp_init(struct sctp *sctp, const struct sctp_settings *settings, const struct sctp_ops *ops,
               uint16_t own_and_peer_port, uint32_t tag, uint32_t first_tsn);
void sctp_done(struct sctp *sctp);

/* Begins as the end that sends INIT. */
void sctp_connect(struct sctp *sctp, uint64_t now_ns);

/* Takes a packet. Returns 0, or an enum sctp_error: then nothing has changed. */
int sctp_input(struct sctp *sctp, uint64_t now_ns, const uint8_t *packet, size_t len);

/* Does what is due at this time. */
void sctp_timer(struct sctp *sctp, uint64_t now_ns);

/* Writes the next packet, of at most SCTP_PACKET_MAX bytes. Returns its size, or 0 when there is
 * nothing to say now. To be called until then behind everything else here. */
size_t sctp_output(struct sctp *sctp, uint64_t now_ns, uint8_t packet[SCTP_PACKET_MAX]);

/* When sctp_timer is to be called, or SCTP_NEVER. */
uint64_t sctp_deadline(const struct sctp *sctp);

/* Copies a message into the queue. Returns 0, or
 *   -ENOTCONN   the association is not open, or no longer
 *   -EINVAL     a stream that the two ends do not have; an empty message
 *   -EMSGSIZE   longer than the settings have it
 *   -EBUSY      the stream is about to begin anew
 *   -ENOBUFS    as many bytes wait as may
 *   -ENOMEM */
int sctp_send(struct sctp *sctp, const struct sctp_message *message, struct sctp_effort effort);

/* Ends what is sent on a stream, behind all that is queued: ops->reusable says when it can begin
 * anew. Returns 0, -ENOTCONN, -EINVAL, or -EOPNOTSUPP if the peer knows no resets. */
int sctp_reset(struct sctp *sctp, uint16_t stream);

/* Ends the association behind all that is queued; or at once. */
void sctp_close(struct sctp *sctp);
void sctp_abort(struct sctp *sctp);

/* An association in which nothing is under way, either way, and nothing is due. */
struct sctp_parked {
    uint32_t sent_at; /* ticks of 2^24 ns, which go round in two years: then it is a new window */
    uint32_t peer_tag, own_tag, peer_window;
    uint32_t next_tsn, peer_tsn;
    uint32_t reset_sequence, peer_reset_sequence;
    uint32_t cwnd, ssthresh, srtt_us, rttvar_us;
    uint16_t peer_port;
    uint8_t own_streams, peer_streams;
    uint8_t peer_reset_result;
    bool peer_forgets : 1, peer_resets : 1;
    uint16_t counted; /* streams on which a message was numbered: a bit for each */
    struct {
        uint16_t next, peer;
    } numbers[]; /* of these */
};

/* Whether there is nothing to do until a packet comes or a message is sent. Never where
 * heartbeat_ms is set. */
bool sctp_idle(const struct sctp *sctp);
/* What sctp_park writes. */
size_t sctp_parked_size(const struct sctp *sctp);
/* Of an idle one. It needs no sctp_done then. */
void sctp_park(const struct sctp *sctp, struct sctp_parked *ret);
/* Begins where sctp_park left off. */
void sctp_wake(struct sctp *sctp, const struct sctp_settings *settings, const struct sctp_ops *ops,
               const struct sctp_parked *parked);

/* Bytes on the heap. */
static inline size_t sctp_held(const struct sctp *sctp)
{
    return (size_t)sctp->send_bytes + sctp->held_bytes;
}

static inline enum sctp_end sctp_ended(const struct sctp *sctp)
{
    return (enum sctp_end)sctp->ended;
}

/* Bytes of messages that are not acknowledged, and of what is kept to know it. */
static inline uint32_t sctp_owes(const struct sctp *sctp)
{
    return sctp->send_bytes;
}

/* Whether messages wait that could not leave yet. */
static inline bool sctp_waits(const struct sctp *sctp)
{
    return sctp->queue != NULL;
}

/* Whether messages may be sent. */
static inline bool sctp_open(const struct sctp *sctp)
{
    return sctp->state == SCTP_ESTABLISHED;
}
