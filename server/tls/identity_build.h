/* identity_build: between identity.c, which makes one identity, and identity_set.c, which keeps
 * several. Nobody else includes this.
 *
 * Threads  any, each with its own identity. */
#pragma once

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stddef.h>

#include "tls/identity.h"

struct identity_source {
    const char *chain_pem, *chain_name;
    size_t chain_len;
    const char *key_pem, *key_name;
    size_t key_len;
};

/* Fills in an identity. Returns 0, or negative errno with `why`; then there is nothing to undo. */
int identity_build(struct tls_identity *identity, const struct identity_source *source, char *why,
                   size_t why_size);

/* Frees what it has and wipes the rest. */
void identity_done(struct tls_identity *identity);

/* Chooses one for a session that tls_identities_offer has prepared; GnuTLS calls it. */
int identity_choose(gnutls_session_t session, const gnutls_datum_t *authorities,
                    int authority_count, const gnutls_pk_algorithm_t *keys, int key_count,
                    gnutls_pcert_st **pcerts, unsigned *pcert_count, gnutls_privkey_t *key);
