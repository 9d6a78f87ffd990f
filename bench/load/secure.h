/* secure: TLS under a link: a handshake while it lasts, then its record keys and nothing else.
 *
 *   CONNECTING ─► LINK_TLS ───────────► OPENING ─► … ─► closed
 *                 a handshake, lent     union tls_line    wiped
 *
 * Idea     Everything above sees plaintext. Records are opened where they were received, one after
 *          the other; only the beginning of a record that is not all there yet is kept, until the
 *          next read. What is sent is sealed in the outbox, or in the publisher's buffer.
 * Threads  the owner's.
 * Tickets  Of 1.3 come behind the handshake. Whoever wants one keeps it for that long, and shows it
 *          each record before it is opened here.
 * Memory   Only where a group asks for TLS: 132 bytes per link of the load, and 24 more
 *          where clients keep tickets, each of which has 1 to 2 KB. The rest is lent: a
 *          handshake of some 30 KB while it lasts, a stash while a record is half there.
 * Bounds   SECURE_HANDSHAKES under way, which the opener keeps to, and SECURE_LATE that wait for
 *          tickets: who finds no place has none; SECURE_SHARED tickets of a group. A client that
 *          cannot have a stash is closed by name.
 * Errors   LOAD_FAIL_TLS; counters.tls_error has the last reason. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "load/stash.h"
#include "tls/handshake.h"

struct load;
struct link;

enum {
    SECURE_HANDSHAKES = 16384,
    SECURE_LATE = 1024,
    SECURE_SHARED = 64,
};

union secure_slot {
    struct tls_handshake *handshake; /* LINK_TLS */
    union tls_line keys;             /* afterwards */
};

/* What a group's clients resume in common: the tickets of its last handshakes in full. */
struct secure_shared {
    struct tls_ticket tickets[SECURE_SHARED];
    uint32_t count;
    uint32_t in, out; /* the next to be replaced, and to be resumed */
};

struct secure_config {
    uint32_t links;
    uint32_t groups;
    uint32_t stashes;
    bool own, shared; /* some group's clients resume so */
};

struct secure {
    struct tls_handshakes *handshakes;
    uint32_t handshakes_max;
    union secure_slot *slots;    /* by link */
    uint32_t *held;              /* by link: the stash with the beginning of a record */
    struct tls_handshake **late; /* by link: waits for its ticket; NULL: nobody wants one */
    uint32_t late_count;
    struct tls_ticket *tickets;   /* by link. NULL: nobody has one of its own */
    struct secure_shared *shared; /* by group; NULL: nobody shares */
    uint32_t groups;
    struct stashes records;
    uint32_t count;
};

/* Returns 0 or -ENOMEM. */
int secure_create(struct secure **ret, const struct secure_config *config);

/* No handshake may be under way. Accepts NULL. */
void secure_free(struct secure *secure);

/* The TCP connection is there: begins the handshake. When it is done, and the protocol agreed
 * on, its subscribers ask for what they want (link_opened). */
void secure_begin(struct load *load, struct link *link);

/* Bytes from the server; what they hold goes to link_plain. */
void secure_input(struct load *load, struct link *link, char *input, size_t len);

/* The connection ends: gives back what it was lent, and wipes its keys. */
void secure_end(struct load *load, struct link *link);

/* ---- sealing ---- */

/* Bytes that go before the plaintext, and all that is needed besides it. 0 during a handshake,
 * whose bytes are records already. */
size_t secure_head(const struct load *load, const struct link *link);
size_t secure_overhead(const struct load *load, const struct link *link, size_t len);

/* Makes records of the plaintext at area + secure_head. Returns their size. */
size_t secure_seal(struct load *load, const struct link *link, char *area, size_t len);
