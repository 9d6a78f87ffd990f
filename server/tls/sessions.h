/* sessions: what a server remembers of finished handshakes, so that the next one of the same client
 * costs microseconds instead of a signature.
 *
 *   id ─hash─► a row of four slots; a new session takes the one that expires first
 *
 * Idea     All shards share one table, since a client that returns reaches any of them. Each slot
 *          has a sequence counter: odd while somebody writes. A writer that finds a slot busy drops
 *          its session; a reader that sees a counter change sees nothing. Both cost one full
 *          handshake, and nobody ever waits.
 * Threads  Any, at once. Every word of a slot is atomic.
 * Memory   112 bytes a session, from the start. Wiped when it is freed.
 * Bounds   tls_sessions_create's `count`, rounded up to a power of two; `lifetime_s`.
 * Source   RFC 5246 section 7.3 and appendix F.1.4; RFC 6066 section 3: a session is of one server
 *          name, and resumed under no other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tls_sessions;

enum {
    TLS_SESSION_ID_SIZE = 32,
    TLS_SECRET_SIZE = 48,
};

struct tls_session {
    uint8_t id[TLS_SESSION_ID_SIZE];
    uint8_t secret[TLS_SECRET_SIZE];
    uint64_t name; /* of the server that was asked for: a hash; a client leaves it 0 */
    uint16_t suite;
};

/* Returns NULL when there is no memory. */
struct tls_sessions *tls_sessions_create(uint32_t count, int64_t lifetime_s);
void tls_sessions_free(struct tls_sessions *sessions);

/* Remembers one until now_s + lifetime_s. Returns false when the slot was busy: it is dropped. */
bool tls_sessions_save(struct tls_sessions *sessions, const struct tls_session *session,
                       int64_t now_s);

/* Fills in the rest of the session with this id and name. Returns false when there is none. */
bool tls_sessions_load(struct tls_sessions *sessions, struct tls_session *session, int64_t now_s);
