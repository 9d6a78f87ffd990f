/* secure: TLS under a connection: a handshake while it lasts, then its keys and nothing else.
 *
 *   accepted ─► hello is kept ─► waits for a place ─► LINK_HANDSHAKE ─► LINK_KEYED ──────► closed
 *               until it is whole  (a list)             a handshake, lent  union tls_line    wiped
 *
 *   lines[slot]   ┌──────── 128 bytes ────────┐
 *                 │ keys, or early: handshake │   reserved like the slab, and touched only by those
 *                 └───────────────────────────┘   on the TLS port
 *
 * Idea     Everything above sees plaintext. Records are opened where they were received; the
 *          beginning of one that is not all there yet is kept in conn_extra. What a turn has queued
 *          for a socket is sealed at the flush, into an area that all connections of the shard
 *          share: one record for small messages, and one send. What a full socket leaves over is
 *          ciphertext that cannot be made again, so it takes the place of the line's run
 *          (LINK_SEALED) and goes before anything else.
 * Storms   A handshake costs a hundred times what a message costs. So it begins when its hello is
 *          there, and those whose hello is, or whose next flight is, wait in two lists, of which a
 *          turn takes tls_handshakes_per_turn, the ones already begun first: live connections get a
 *          turn in between. Who is not done in tls_handshake_timeout_ms is closed.
 * Squatters When all handshakes are lent, and others wait, who has held one for SECURE_PATIENCE_NS
 *          since its last whole step (hello, key exchange) gives it up: the longest holder first. A
 *          peer on a slow road has that long for its answer, whatever others do.
 * Threads  The shard's; secure_publish on any.
 * 1.3      Either side may go on to new keys: the peer says so in a record; we do when it asks for
 *          it (LINK_KEY_UPDATE), and when SECURE_RECORDS_MAX were sealed with the old ones.
 * Memory   With tls_listen: SECURE_AREA, the handshakes, the lines. Without: a pointer.
 * Bounds   tls_handshakes_max handshakes, SECURE_SEND_MAX bytes sealed for one send; for each
 *          connection the beginning of one record, or of a hello: TLS_HELLO_MAX, and what came in
 *          the same receive.
 * Errors   CLOSE_TLS, with the name of the failure in the counters' tls_errors. */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/handshake.h"
#include "tls/hello.h"

struct conn;
struct ring_io;
struct server;
struct shard;

enum {
    SECURE_HTTP2 = 0, /* of the protocols offered by ALPN, where there is HTTP/2 */
    SECURE_AREA = 256 * 1024,
    SECURE_KEY_UPDATE_MAX = TLS_KEY_UPDATE_SIZE + TLS_OVERHEAD_MAX,
    /* Three records, the rest of an earlier one, a KeyUpdate and an alert. */
    SECURE_SEND_MAX = 4 * TLS_RECORD_MAX + SECURE_KEY_UPDATE_MAX + TLS_ALERT_MAX,
    /* What steps count in tls_handshakes_per_turn; all others count one. */
    SECURE_SIGNATURE_STEPS = 16,
    SECURE_EXCHANGE_STEPS = 8,
    /* Each costs the time of some ten records. */
    SECURE_KEY_UPDATES_MAX = 8,   /* of the peer's, in one receive */
    SECURE_RECORDS_MAX = 1 << 23, /* with the same keys: RFC 8446 section 5.5 has 2^24.5 */
};

#define SECURE_PATIENCE_NS INT64_C(1000000000)

/* LINK_HANDSHAKE. */
struct secure_early {
    struct tls_handshake *handshake; /* NULL: none is lent */
    int64_t since_ns;                /* lent: when its last step was whole */
    uint32_t older, newer;           /* lent: its neighbours by that time */
    uint32_t next;                   /* LINK_WAITS: in the list */
    bool exchanged;                  /* lent: the key exchange has come */
    struct tls_hello hello;          /* not lent: how far its hello has come */
};

/* What there is of TLS for a slot. */
union secure_line {
    union tls_line keys; /* LINK_KEYED */
    struct secure_early early;
};
static_assert(sizeof(union secure_line) == 128, "two cache lines");

struct secure_list {
    uint32_t head, tail;
    uint32_t count;
};

/* A shard's. */
struct secure {
    const struct tls_server *server;
    struct tls_identities *identities;      /* what handshakes begin with */
    _Atomic(struct tls_identities *) fresh; /* of a reload, not taken yet; or NULL */
    struct tls_handshakes *handshakes;
    uint32_t handshakes_max;
    union secure_line *lines; /* by slot */
    uint32_t slots;
    struct secure_list begun;  /* something has come for their handshake */
    struct secure_list hellos; /* theirs is whole, and no handshake lent yet */
    bool hellos_first;         /* those come first in the next turn */
    bool behind;               /* the last turn has left some who could go on */
    uint32_t oldest, newest;   /* of those that hold a handshake */
    int64_t interval_ns;       /* between two handshakes of a steady stream; 0: no bound */
    int64_t next_ns;           /* when the next may begin */
    unsigned char *area;
    size_t area_used; /* by the send batch */
};

/* Makes a shard's share of the server's TLS. Returns 0 or -ENOMEM. */
int secure_create(struct secure **ret, const struct server *server, uint32_t slots, int64_t now_ns);
/* All connections are closed. Accepts NULL. */
void secure_free(struct secure *secure);

/* What a handshake begins with now. */
struct tls_identities *secure_identities(struct secure *secure);

/* From now on handshakes begin with these; takes over a reference. Any thread. */
void secure_publish(struct secure *secure, struct tls_identities *identities);

/* ---- receiving (secure.c) ---- */

void secure_accepted(struct shard *shard, struct conn *conn);
/* Answers a connection on the TLS port that is not wanted, as cheaply as can be. */
void secure_shed(struct shard *shard, struct conn *conn);
void secure_input(struct shard *shard, struct conn *conn, char *input, size_t len);
/* The stream has ended without close_notify: counted inside a handshake or a record. Between
 * records half of all clients do that, and what they sent was whole. */
void secure_cut(struct shard *shard, struct conn *conn);
/* The handshake has taken too long. */
void secure_timer(struct shard *shard, struct conn *conn);
/* Its hello was given up, for want of room: an alert, unless a handshake is lent. */
void secure_give_up(struct shard *shard, struct conn *conn);
/* Gives back the handshake, or wipes the keys. */
void secure_closed(struct shard *shard, struct conn *conn);
/* There is a place: its handshake begins with the hello that was kept. Returns whether that took a
 * signature. */
bool secure_begin(struct shard *shard, struct conn *conn);
/* Others wait: it gives up its handshake, which has stood still. */
void secure_evict(struct shard *shard, struct conn *conn);

/* ---- whose handshake goes on (secure_turn.c) ---- */

/* A connection whose handshake is not over has something to read. */
void secure_readable(struct shard *shard, struct conn *conn);
/* The hello of a connection is whole: it waits for its turn, unread. */
void secure_wait(struct shard *shard, struct conn *conn);
/* A handshake was lent, has come a step further, or was given back. */
void secure_lent(struct shard *shard, struct conn *conn);
void secure_stepped(struct shard *shard, struct conn *conn);
void secure_returned(struct shard *shard, struct conn *conn);
/* Collects those whose turn it is to be received from, and begins with those whose hello has come.
 * Returns whether others could go on at once. */
bool secure_turn(struct shard *shard);
/* How long until somebody may begin; INT64_MAX: nobody waits. */
int64_t secure_wait_ns(const struct shard *shard);

/* ---- sending (secure_send.c) ---- */

/* Seals what a connection has queued, as much as goes into one send. Returns false when the area
 * has no room before the batch is sent. */
bool secure_seal(struct shard *shard, struct conn *conn, struct ring_io *io);
/* After that send: what the socket did not take waits in front of all else. */
void secure_sent(struct shard *shard, struct conn *conn, const struct ring_io *io);
/* Queues close_notify unless it is out. Returns whether it did, or had no memory for it and has
 * closed the connection. */
bool secure_goodbye(struct shard *shard, struct conn *conn);
/* Queues an alert in place of all that is not sealed yet; closes when memory is out for it. */
void secure_alert(struct shard *shard, struct conn *conn, uint8_t description);

static inline union secure_line *secure_line(const struct secure *secure, uint32_t slot)
{
    return &secure->lines[slot];
}
