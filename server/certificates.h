/* certificates: what a server with a TLS port has for all its shards: settings of the handshake,
 * and the certificates, which SIGHUP reads again.
 *
 * Threads  main's. The shards read what is in it; a reload gives each of them a reference.
 * Memory   From certificates_init to certificates_done, after the shards have gone.
 * Errors   0 or negative errno, with one line in `why`. A reload that fails changes nothing. */
#pragma once

#include <stddef.h>

#include "conf/settings.h"
#include "conn/shard.h"
#include "tls/handshake.h"

struct certificates {
    struct tls_identities *identities;
    struct tls_server *server;
};

/* Without tls_listen nothing is made, and all of it is NULL. */
int certificates_init(struct certificates *ret, const struct settings *settings, char *why,
                      size_t why_size);
void certificates_done(struct certificates *certificates);

/* Reads the files again, and says what came of it. There is a TLS port. */
void certificates_reload(const struct server *server);
