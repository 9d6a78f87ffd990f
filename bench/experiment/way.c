#include "experiment/way.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/bench.h"
#include "tls/handshake.h"

enum {
    PEM_MAX = 64 * 1024,
    CLIENTS = 2 * 2 * TLS_CIPHER_COUNT,
};

unsigned ways_of(const struct options *options, struct way ret[WAYS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < options->transport_count; i++) {
        bool has_tls = !(options->transports[i]->is & PROTOCOL_UDP);
        ret[count++] = (struct way){.transport = options->transports[i]};
        for (unsigned c = 0; has_tls && options->tls && c < options->tls_cipher_count; c++)
            ret[count++] = (struct way){options->transports[i], true, options->tls_ciphers[c]};
    }
    return count;
}

unsigned ways_count(const struct options *options)
{
    struct way ways[WAYS_MAX];
    return ways_of(options, ways);
}

/* What its text says, which may be wrong in other parts. */
static bool stream_is(const char *text, unsigned trait)
{
    static const char part[] = "transport=";
    const char *at = strstr(text, part);
    const char *name = at ? at + sizeof part - 1 : "";
    const struct protocol *transport = protocol_find(name, strcspn(name, " "));
    return transport && transport->is & trait;
}

bool ways_have(const struct options *options, unsigned trait)
{
    for (unsigned i = 0; i < options->transport_count; i++)
        if (options->transports[i]->is & trait)
            return true;
    for (unsigned i = 0; i < options->stream_count; i++)
        if (stream_is(options->streams[i], trait))
            return true;
    return false;
}

unsigned ways_of_any(const struct options *options, struct way ret[WAYS_ANY_MAX])
{
    unsigned count = 0;
    ret[count++] = (struct way){.transport = &protocol_websocket};
    for (unsigned i = 0; options->tls && i < options->tls_cipher_count; i++)
        ret[count++] = (struct way){&protocol_websocket, true, options->tls_ciphers[i]};
    return count;
}

void way_workload(char ret[RESULT_NAME_MAX], const struct way *way, const char *name)
{
    if (way->tls)
        snprintf(ret, RESULT_NAME_MAX, "%.24s, %.20s", name, tls_cipher_name(way->cipher));
    else
        snprintf(ret, RESULT_NAME_MAX, "%s", name);
}

const char *way_name(const struct way *way)
{
    static char names[WAYS_MAX][RESULT_NAME_MAX];
    char name[RESULT_NAME_MAX];
    if (!way->tls)
        return way->transport->name;
    snprintf(name, sizeof name, "%s-tls-%s", way->transport->name,
             options_cipher_name(way->cipher));
    for (unsigned i = 0; i < WAYS_MAX; i++) {
        if (names[i][0] == '\0')
            memcpy(names[i], name, sizeof name);
        if (strcmp(names[i], name) == 0)
            return names[i];
    }
    return "tls"; /* not reached: there are as many places as ways */
}

/* ---- clients ---- */

static int trust_read(struct bench *bench)
{
    char why[BENCH_WHY_MAX] = "";
    const char *path = bench->certificate.chain;
    char *pem = malloc(PEM_MAX);
    FILE *file = fopen(path, "re");
    size_t len = pem && file ? fread(pem, 1, PEM_MAX, file) : 0;
    if (file)
        fclose(file);
    int err = len > 0 ? tls_trust_create(&bench->trust, pem, len, path, why, sizeof why) : -EIO;
    free(pem);
    return err < 0 ? bench_fail(err, "the certificate cannot be read back: %s",
                                why[0] ? why : strerror(-err))
                   : 0;
}

static struct tls_client **client_at(struct bench *bench, unsigned i)
{
    return &(&bench->tls_clients[0][0][0])[i];
}

static bool any_made(struct bench *bench)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (*client_at(bench, i))
            return true;
    return false;
}

static struct tls_client *client_make(struct bench *bench, enum tls_cipher cipher, bool p256_only,
                                      const char *const *alpn)
{
    char why[BENCH_WHY_MAX];
    bool own = bench->certificate.made;
    struct tls_client_config config = {
        .versions = bench->options->tls_12 ? TLS_VERSIONS_12 : TLS_VERSIONS_13,
        .trust_anybody = !own,
        .p256_only = p256_only,
    };
    config.protocols = alpn;
    config.protocol_count = *alpn != NULL;
    if (own && !bench->trust && trust_read(bench) < 0)
        return NULL;
    config.trust = bench->trust;
    if (!own && !any_made(bench))
        result_note(&bench->result, "The certificate of the server at %s was taken as it is.",
                    bench->options->tls_address);
    int err = tls_suites_read(&config.suites, tls_cipher_name(cipher), why, sizeof why);
    struct tls_client *client = err == 0 ? tls_client_create(&config) : NULL;
    if (!client)
        bench_fail(-ENOMEM, "no TLS client for %s can be made", tls_cipher_name(cipher));
    return client;
}

static const struct tls_client *client_of(struct bench *bench, enum tls_cipher cipher,
                                          bool p256_only, const struct protocol *protocol)
{
    struct tls_client **client = &bench->tls_clients[p256_only][protocol->alpn != NULL][cipher];
    if (!*client)
        *client = client_make(bench, cipher, p256_only, &protocol->alpn);
    return *client;
}

const struct tls_client *bench_tls_client(struct bench *bench, enum tls_cipher cipher,
                                          const struct protocol *protocol)
{
    return client_of(bench, cipher, false, protocol);
}

const struct tls_client *bench_tls_client_p256(struct bench *bench, enum tls_cipher cipher,
                                               const struct protocol *protocol)
{
    return client_of(bench, cipher, true, protocol);
}

void bench_tls_done(struct bench *bench)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        tls_client_free(*client_at(bench, i));
        *client_at(bench, i) = NULL;
    }
    tls_trust_free(bench->trust);
    bench->trust = NULL;
    certificate_remove(&bench->certificate);
}
