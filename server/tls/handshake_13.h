/* handshake_13: a server's handshake of TLS 1.3, by GnuTLS, behind the functions of handshake.h.
 *
 * Idea     The hello says whether a client speaks 1.3, and is whole before a handshake begins, so
 *          one library or the other does it from the first byte. GnuTLS is given a record at a
 *          time, and so takes no byte behind the one that ends the handshake. When it is done it
 *          leaves traffic secrets and a sequence number, and its session is freed.
 * Resuming Tickets, sealed with a key of the server's, which GnuTLS changes from time to time;
 *          nothing is kept for a session. No early data.
 * Threads  as handshake.h says; struct server_13 is read by all.
 * Memory   11 KB of the heap for a session while it lasts, and a chain of certificates while it is
 *          sent.
 * Source   RFC 8446; GnuTLS 3.7. */
#pragma once

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/handshake.h"
#include "tls/secrets.h"

/* What a server offers of 1.3. */
struct server_13 {
    gnutls_priority_t priority;
    gnutls_datum_t ticket_key; /* empty: no resumption */
    gnutls_datum_t protocols[TLS_PROTOCOLS_MAX];
    unsigned protocol_count;
    unsigned lifetime_s;
};

enum stage_13 {
    STAGE_13_NONE, /* the handshake is of 1.2 */
    STAGE_13_SHAKING,
    STAGE_13_TICKETS, /* it is over but for them */
    STAGE_13_OVER,
};

struct handshake_13 {
    gnutls_session_t session;
    const unsigned char *in; /* what it may take */
    size_t in_len;
    uint32_t out_at, out_len; /* in the handshake's buffer: what nobody has taken */
    uint16_t record_left;     /* of the record that is being fed */
    uint8_t head_len;         /* bytes of its head that have come */
    uint8_t head[TLS_HEAD_SIZE];
    uint8_t stage; /* enum stage_13 */
    bool keyed;    /* it has the keys of the handshake */
    bool full;     /* the buffer was: it has more to say */
    bool tickets;  /* it may be resumed */
    struct tls_secrets secrets;
};

/* Returns NULL when memory is out. */
struct server_13 *server_13_create(const struct tls_server_config *config);
void server_13_free(struct server_13 *server);

/* Begins. Without memory it has failed at once, which its progress says. */
void handshake_13_begin(struct tls_handshake *handshake, const struct server_13 *server);
/* Fails before it has begun. */
void handshake_13_refuse(struct tls_handshake *handshake, enum tls_error error);
void handshake_13_done(struct tls_handshake *handshake);

/* What handshake.h says of the functions without "13". */
enum tls_progress handshake_13_progress(const struct tls_handshake *handshake);
size_t handshake_13_feed(struct tls_handshake *handshake, const unsigned char *bytes, size_t len);
size_t handshake_13_output(struct tls_handshake *handshake, unsigned char *area, size_t size);
void handshake_13_abort(struct tls_handshake *handshake);
void handshake_13_keys(const struct tls_handshake *handshake, struct tls_keys *ret);
uint16_t handshake_13_suite(const struct tls_handshake *handshake);
int handshake_13_curve(const struct tls_handshake *handshake);
int handshake_13_protocol(const struct tls_handshake *handshake);

static inline bool handshake_is_13(const struct handshake_13 *handshake)
{
    return handshake->stage != STAGE_13_NONE;
}
