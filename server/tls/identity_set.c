/* identity_set: the identities of a server, counted, and read from files. */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/identity_build.h"

struct tls_identities {
    atomic_uint references;
    size_t count;
    gnutls_certificate_credentials_t credentials;
    struct tls_identity *identities[TLS_IDENTITIES_MAX];
};

struct tls_identities *tls_identities_create(void)
{
    struct tls_identities *set = calloc(1, sizeof *set);
    if (set && gnutls_certificate_allocate_credentials(&set->credentials) < 0) {
        free(set);
        return NULL;
    }
    if (set) {
        atomic_init(&set->references, 1);
        gnutls_certificate_set_retrieve_function2(set->credentials, identity_choose);
    }
    return set;
}

struct tls_identities *tls_identities_ref(struct tls_identities *set)
{
    atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

void tls_identities_unref(struct tls_identities *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < set->count; i++) {
        identity_done(set->identities[i]);
        free(set->identities[i]);
    }
    gnutls_certificate_free_credentials(set->credentials);
    free(set);
}

/* The pointer is for a database of sessions, which nobody has; the other one is the caller's. */
int tls_identities_offer(gnutls_session_t session, struct tls_identity_choice *choice)
{
    gnutls_db_set_ptr(session, choice);
    return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, choice->identities->credentials);
}

size_t tls_identities_count(const struct tls_identities *set)
{
    return set->count;
}

const struct tls_identity *tls_identities_at(const struct tls_identities *set, size_t index)
{
    assert(index < set->count);
    return set->identities[index];
}

static int add(struct tls_identities *set, const struct identity_source *source, char *why,
               size_t why_size)
{
    if (set->count == TLS_IDENTITIES_MAX) {
        snprintf(why, why_size, "%s: more than %d certificates", source->chain_name,
                 TLS_IDENTITIES_MAX);
        return -E2BIG;
    }
    struct tls_identity *identity = malloc(sizeof *identity);
    if (!identity)
        return -ENOMEM;
    int err = identity_build(identity, source, why, why_size);
    if (err < 0)
        free(identity);
    else
        set->identities[set->count++] = identity;
    return err;
}

int tls_identities_add(struct tls_identities *set, const char *chain_pem, size_t chain_len,
                       const char *chain_name, const char *key_pem, size_t key_len,
                       const char *key_name, char *why, size_t why_size)
{
    const struct identity_source source = {chain_pem, chain_name, chain_len,
                                           key_pem,   key_name,   key_len};
    return add(set, &source, why, why_size);
}

/* ---- from files ---- */

struct file {
    char *bytes;
    size_t len;
};

static void file_done(struct file *file)
{
    if (file->bytes)
        explicit_bzero(file->bytes, file->len);
    free(file->bytes);
}

static int file_read(struct file *ret, const char *path, char *why, size_t why_size)
{
    int err = 0;
    FILE *file = fopen(path, "re");
    *ret = (struct file){.bytes = file ? malloc(TLS_FILE_MAX + 1) : NULL};
    if (!file)
        err = -errno;
    else if (!ret->bytes)
        err = -ENOMEM;
    if (err == 0) {
        setvbuf(file, NULL, _IONBF, 0); /* a key is left in no other buffer */
        ret->len = fread(ret->bytes, 1, TLS_FILE_MAX + 1, file);
        err = ferror(file) ? -EIO : ret->len > TLS_FILE_MAX ? -EFBIG : 0;
    }
    if (file)
        fclose(file);
    if (err < 0)
        snprintf(why, why_size, "%s: %s; tls_certificates needs files that the server may read",
                 path, strerror(-err));
    return err;
}

/* `pair` is changed: its colon becomes the end of the first path. */
static int read_pair(struct tls_identities *set, char *pair, char *why, size_t why_size)
{
    char *colon = strchr(pair, ':');
    if (!colon || colon == pair || colon[1] == '\0') {
        snprintf(why, why_size, "tls_certificates: %s: needs chain.pem:key.pem", pair);
        return -EINVAL;
    }
    *colon = '\0';
    struct file chain = {0}, key = {0};
    int err = file_read(&chain, pair, why, why_size);
    if (err == 0)
        err = file_read(&key, colon + 1, why, why_size);
    if (err == 0) {
        const struct identity_source source = {chain.bytes, pair,      chain.len,
                                               key.bytes,   colon + 1, key.len};
        err = add(set, &source, why, why_size);
    }
    file_done(&chain);
    file_done(&key);
    return err;
}

int tls_identities_read(struct tls_identities **ret, const char *pairs, char *why, size_t why_size)
{
    struct tls_identities *set = tls_identities_create();
    char *copy = strdup(pairs), *rest = NULL;
    int err = set && copy ? 0 : -ENOMEM;
    if (err == 0)
        for (char *pair = strtok_r(copy, " ", &rest); pair && err == 0;
             pair = strtok_r(NULL, " ", &rest))
            err = read_pair(set, pair, why, why_size);
    if (err == -ENOMEM)
        snprintf(why, why_size, "tls_certificates: out of memory");
    if (err == 0 && set->count == 0) {
        snprintf(why, why_size, "tls_certificates: is empty; it needs chain.pem:key.pem");
        err = -EINVAL;
    }
    free(copy);
    if (err < 0)
        tls_identities_unref(set);
    else
        *ret = set;
    return err;
}
