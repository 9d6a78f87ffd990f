/* way: a transport, plain or over TLS with one cipher; and what TLS needs in a run: a
 * certificate that the run makes itself, and a client for each cipher.
 *
 *   --tls          each transport once plain, and once more for every cipher
 *   --tls-version  which TLS the client offers, and no other
 *   --tls-cipher   which ciphers; the client chooses, by offering one
 *
 * Idea     The server shows a self-signed ECDSA P-256 certificate, made for the run by the openssl
 *          command. The clients expect exactly its key, and check no signature: that is most of
 *          what a client computes, and would make it the bottleneck. A server that was running
 *          already (--tls-address) shows a certificate of its own; whose it is cannot be known, so
 *          any is taken, and the result says so.
 * Threads  one.
 * Memory   Until bench_tls_done. The files are in a folder of their own below $TMPDIR,
 *          which only this user may read.
 * Bounds   WAYS_MAX. */
#pragma once

#include <stdbool.h>

#include "experiment/options.h"
#include "tls/suite.h"

struct bench;
struct tls_client;

enum {
    WAYS_ANY_MAX = 1 + TLS_CIPHER_COUNT,
    WAYS_MAX = OPTIONS_LIST_MAX * WAYS_ANY_MAX,
    WAY_FILE_MAX = 512,
};

struct way {
    const struct protocol *transport;
    bool tls;
    enum tls_cipher cipher;
};

/* What the options ask for: each transport plain, then over TLS; but one over UDP, which has TLS
 * or DTLS inside, once. Returns how many. */
unsigned ways_of(const struct options *options, struct way ret[WAYS_MAX]);
unsigned ways_count(const struct options *options);
/* Whether one of them has that trait (enum protocol_is). */
bool ways_have(const struct options *options, unsigned trait);

/* Where the transport is not chosen by the options: WebSockets, plain, and with --tls each cipher.
 * Returns how many. */
unsigned ways_of_any(const struct options *options, struct way ret[WAYS_ANY_MAX]);

/* "disconnect", "disconnect, aes128-gcm": the workload of a run, or a part of one, that is done in
 * each way. */
void way_workload(char ret[RESULT_NAME_MAX], const struct way *way, const char *name);

/* "websocket", "websocket-tls-gcm". The text is constant. */
const char *way_name(const struct way *way);

/* ---- the certificate and the clients ---- */

struct certificate {
    char folder[WAY_FILE_MAX];
    char chain[WAY_FILE_MAX]; /* PEM files */
    char key[WAY_FILE_MAX];
    bool made;
};

/* Makes the certificate if it is not there, for servers about to be started. Returns 0 or negative
 * errno after a sentence. */
int certificate_make(struct certificate *certificate);
void certificate_remove(struct certificate *certificate);

/* Whom the certificate is for, and clients ask for. */
#define BENCH_TLS_NAME "localhost"

/* The client that offers one cipher, and for the key exchange X25519 and P-256, or P-256 alone, and
 * by ALPN what the protocol is called;
 * made at the first call and freed with the bench's others. Returns NULL after a sentence. */
const struct tls_client *bench_tls_client(struct bench *bench, enum tls_cipher cipher,
                                          const struct protocol *protocol);
const struct tls_client *bench_tls_client_p256(struct bench *bench, enum tls_cipher cipher,
                                               const struct protocol *protocol);
void bench_tls_done(struct bench *bench);
