/* hello: whether a client's first message is all there, before anything is spent on it.
 *
 *    0        1        3        5
 *   ┌────────┬────────┬────────┬──────────────────┐ ┌───────┬──────┐
 *   │ 22     │ 0x03xx │ length │ 1 │ length, 3 │ … │ │ head  │ rest │   one message, in one
 *   └────────┴────────┴────────┴──────────────────┘ └───────┴──────┘   record or several
 *
 * Idea     A handshake and its session, 30 KiB, are lent to who has said all that a server needs
 *          for its answer. Whoever connects and says less costs the bytes that he has sent.
 * Threads  any.
 * Memory   the caller's; bytes are read where they lie.
 * Bounds   TLS_HELLO_MAX bytes, heads of records included.
 * Source   RFC 5246 sections 6.2.1 and 7.4.1.2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TLS_HELLO_MAX = 16384,
    TLS_NAME_SIZE = 256, /* a server name, and its end */
};

/* How far a hello has been looked at. Begins as zeros. */
struct tls_hello {
    uint32_t at;  /* the record that is not all there */
    uint32_t got; /* bytes of the message in those before */
    uint8_t head[4];
};

/* Looks at all that has come so far, of which `len` bytes begin as they did in the last call.
 * Returns how many bytes the hello has in its records, 0 while it is not all there, or
 * -enum tls_error: as soon as it can be none. What is in the message nobody has looked at. */
int tls_hello_next(struct tls_hello *hello, const unsigned char *bytes, size_t len);

/* What a hello asks for. */
struct tls_asked {
    char name[TLS_NAME_SIZE]; /* of the server (RFC 6066 section 3); empty: none, or none that a
                                 server would take */
    bool tls_13;              /* TLS 1.3 is among its versions (RFC 8446 section 4.2.1) */
    bool ecdsa_12, rsa_12;    /* suites of 1.2 with such keys are among its suites */
};

/* Finds it in a whole hello of `size` bytes; what cannot be read is not asked for. */
void tls_hello_asks(const unsigned char *bytes, size_t size, struct tls_asked *ret);
