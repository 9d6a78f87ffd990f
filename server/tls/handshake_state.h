/* handshake_state: what the files of a handshake share: handshake.c drives it, handshake_server.c
 * and handshake_client.c are its roles, handshake_result.c says what came of it, handshake_pool.c
 * lends it. Nobody else includes this.
 *
 * Threads  as handshake.h says. */
#pragma once

#include <gnutls/gnutls.h>

#include "tls/handshake.h"

enum {
    HANDSHAKE_BUFFER = 16 * 1024, /* of output that nobody has taken; the rest of a flight waits */
    /* Of all that a client says: GnuTLS keeps a message until it is whole, however long that claims
     * to be. A hello, another one where a key share is asked for, and short ones. */
    HANDSHAKE_INPUT_MAX = 3 * TLS_HELLO_MAX,
    /* And of all that a server says, with a chain of certificates in it. */
    HANDSHAKE_HEARD_MAX = 128 * 1024,
    HANDSHAKE_PRIORITY_SIZE = 1024,
};

enum handshake_stage {
    STAGE_SHAKING,
    STAGE_TICKETS, /* it is over but for them */
    STAGE_OVER,
};

struct tls_handshake {
    gnutls_session_t session; /* NULL: refused before it had begun, or memory was out */
    struct tls_identity_choice choice;
    const struct tls_client *client; /* NULL: it is a server's */
    const char *const *protocols;
    size_t protocol_count;
    const unsigned char *in; /* what it may take */
    size_t in_len;
    uint32_t fed;             /* bytes of records that have come, or begun to */
    uint32_t out_at, out_len; /* in the buffer: what nobody has taken */
    uint16_t record_left;     /* of the record that is being fed */
    uint8_t head_len;         /* bytes of its head that have come */
    uint8_t head[TLS_HEAD_SIZE];
    uint8_t alert_len; /* bytes of an alert in the clear that have come */
    uint8_t alert[2];
    uint8_t stage;              /* enum handshake_stage */
    uint8_t error;              /* enum tls_error */
    bool ciphered_in;           /* the peer has gone over to its keys (1.2) */
    bool exchanged;             /* it has sent its part of the key exchange */
    bool full;                  /* the buffer was: there is more to say */
    bool sends_ticket;          /* it may be resumed */
    struct tls_secrets secrets; /* of 1.3 */
    uint32_t index;             /* in the pool */
    /* Last: only what a handshake uses of it is ever touched. */
    unsigned char buffer[HANDSHAKE_BUFFER];
};

/* What is offered, in GnuTLS's words: versions, the suites' ciphers in their order, groups,
 * signatures. */
void handshake_priority(char text[HANDSHAKE_PRIORITY_SIZE], const struct tls_suites *suites,
                        enum tls_versions versions, bool p256_only);
/* The protocols likewise. */
int handshake_protocols(gnutls_session_t session, const char *const *protocols, size_t count,
                        unsigned flags);

/* Begins: `flags` are gnutls_init's. Returns 0, or what is wrong with its memory. */
int handshake_begin(struct tls_handshake *handshake, unsigned flags);
/* Goes on as far as that goes. */
void handshake_step(struct tls_handshake *handshake);
/* Fails before it has begun. */
void handshake_refuse(struct tls_handshake *handshake, enum tls_error error);

static inline bool handshake_is_13(const struct tls_handshake *handshake)
{
    return gnutls_protocol_get_version(handshake->session) == GNUTLS_TLS1_3;
}
