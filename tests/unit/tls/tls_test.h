/* tls_test: what the tests of server/tls share: certificates from tests/certificates, and a client
 * and a server back to back in memory.
 *
 * Threads  one.
 * Memory   pair_done and file_free give everything back. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tls/handshake.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ALL_CIPHERS     "aes128-gcm aes256-gcm chacha20-poly1305"

enum {
    TICKET_LIFETIME_S = 100,
};

static inline struct tls_identities *identities_of(const char *first, const char *second)
{
    char pairs[1024], why[512];
    int len = snprintf(pairs, sizeof pairs, CERTIFICATES "/%s.pem:" CERTIFICATES "/%s.key.pem",
                       first, first);
    if (second)
        snprintf(pairs + len, sizeof pairs - (size_t)len,
                 " " CERTIFICATES "/%s.pem:" CERTIFICATES "/%s.key.pem", second, second);
    struct tls_identities *set;
    if (tls_identities_read(&set, pairs, why, sizeof why) < 0)
        fail_msg("%s", why);
    return set;
}

static inline char *file_of(const char *name, size_t *ret_len)
{
    char path[512];
    snprintf(path, sizeof path, CERTIFICATES "/%s", name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *bytes = malloc(65536);
    assert_non_null(bytes);
    *ret_len = fread(bytes, 1, 65536, file);
    fclose(file);
    return bytes;
}

static inline struct tls_trust *trust_of(const char *name)
{
    size_t len;
    char why[512], *pem = file_of(name, &len);
    struct tls_trust *trust;
    if (tls_trust_create(&trust, pem, len, name, why, sizeof why) < 0)
        fail_msg("%s", why);
    free(pem);
    return trust;
}

static inline struct tls_suites suites_of(const char *ciphers)
{
    char why[256];
    struct tls_suites suites;
    assert_int_equal(tls_suites_read(&suites, ciphers, why, sizeof why), 0);
    return suites;
}

/* Bytes under way in one direction. */
struct pipe {
    unsigned char bytes[65536];
    size_t len;
};

struct pair {
    struct tls_handshakes *pool;
    struct tls_identities *identities;
    struct tls_server *server;
    struct tls_client *client;
    struct tls_handshake *at_server, *at_client;
    struct pipe to_server, to_client;
    bool offers_13; /* the client */
};

static inline void pair_init(struct pair *pair, const struct tls_server_config *server,
                             const struct tls_client_config *client, struct tls_identities *set)
{
    memset(pair, 0, sizeof *pair);
    pair->pool = tls_handshakes_create(8);
    pair->identities = set;
    pair->offers_13 = client->versions != TLS_VERSIONS_12;
    pair->server = tls_server_create(server);
    pair->client = tls_client_create(client);
    assert_non_null(pair->pool);
    assert_non_null(pair->server);
    assert_non_null(pair->client);
}

/* The usual pair: all ciphers and versions on the server, these on the client, who trusts anybody.
 */
static inline void pair_of(struct pair *pair, enum tls_versions versions, const char *ciphers,
                           struct tls_identities *set)
{
    const struct tls_server_config server = {.suites = suites_of(ALL_CIPHERS),
                                             .versions = TLS_VERSIONS_BOTH,
                                             .ticket_lifetime_s = TICKET_LIFETIME_S};
    const struct tls_client_config client = {
        .suites = suites_of(ciphers), .versions = versions, .trust_anybody = true};
    pair_init(pair, &server, &client, set);
}

static inline void pair_end(struct pair *pair)
{
    if (pair->at_server)
        tls_handshake_give(pair->pool, pair->at_server);
    if (pair->at_client)
        tls_handshake_give(pair->pool, pair->at_client);
    pair->at_server = pair->at_client = NULL;
    pair->to_server.len = pair->to_client.len = 0;
}

static inline void pair_begin(struct pair *pair, const char *name, const struct tls_ticket *resume)
{
    pair_end(pair);
    pair->at_server = tls_handshake_take(pair->pool);
    pair->at_client = tls_handshake_take(pair->pool);
    struct tls_asked asked = {.tls_13 = pair->offers_13, .ecdsa_12 = true, .rsa_12 = true};
    snprintf(asked.name, sizeof asked.name, "%s", name ? name : "");
    tls_handshake_server(pair->at_server, pair->server, pair->identities, &asked);
    tls_handshake_client(pair->at_client, pair->client, name, resume);
}

static inline void pair_done(struct pair *pair)
{
    pair_end(pair);
    tls_server_free(pair->server);
    tls_client_free(pair->client);
    tls_identities_unref(pair->identities);
    tls_handshakes_free(pair->pool);
}

/* Moves what `from` has to say into the pipe, at most `step` bytes at a time (0: all). */
static inline bool pump_out(struct tls_handshake *from, struct pipe *pipe, size_t step)
{
    size_t room = sizeof pipe->bytes - pipe->len;
    size_t len =
        tls_handshake_output(from, pipe->bytes + pipe->len, step > 0 && step < room ? step : room);
    pipe->len += len;
    return len > 0;
}

static inline bool pump_in(struct tls_handshake *to, struct pipe *pipe, size_t step)
{
    size_t len = step > 0 && step < pipe->len ? step : pipe->len;
    size_t fed = tls_handshake_feed(to, pipe->bytes, len);
    memmove(pipe->bytes, pipe->bytes + fed, pipe->len - fed);
    pipe->len -= fed;
    return fed > 0;
}

/* Carries bytes until nothing moves any more. */
static inline void pair_run(struct pair *pair, size_t step)
{
    bool moved = true;
    while (moved) {
        moved = pump_out(pair->at_client, &pair->to_server, step);
        moved |= pump_in(pair->at_server, &pair->to_server, step);
        moved |= pump_out(pair->at_server, &pair->to_client, step);
        moved |= pump_in(pair->at_client, &pair->to_client, step);
    }
}

/* The client's ticket, which with 1.3 is in records behind the handshake. */
static inline bool pair_ticket(struct pair *pair, struct tls_ticket *ret)
{
    struct pipe *pipe = &pair->to_client;
    for (size_t at = 0; at < pipe->len;) {
        size_t size = TLS_HEAD_SIZE + ((size_t)pipe->bytes[at + 3] << 8 | pipe->bytes[at + 4]);
        if (tls_handshake_told(pair->at_client, pipe->bytes + at, size))
            break;
        at += size;
    }
    return tls_handshake_ticket(pair->at_client, ret);
}

/* Both are done; what they keep. */
static inline void pair_keys(struct pair *pair, struct tls_keys *server, struct tls_keys *client)
{
    if (tls_handshake_progress(pair->at_server) != TLS_DONE ||
        tls_handshake_progress(pair->at_client) != TLS_DONE)
        fail_msg("server: %s, client: %s", tls_error_name(tls_handshake_error(pair->at_server)),
                 tls_error_name(tls_handshake_error(pair->at_client)));
    tls_handshake_keys(pair->at_server, server);
    tls_handshake_keys(pair->at_client, client);
}
