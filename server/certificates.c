#include "certificates.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/log.h"
#include "conn/secure.h"
#include "tls/suite.h"

enum {
    RELOAD_WHY_MAX = 512,
};

static const char *const protocols[] = {[SECURE_HTTP2] = "h2", "http/1.1"};

int certificates_init(struct certificates *ret, const struct settings *settings, char *why,
                      size_t why_size)
{
    unsigned first = settings->http2 ? 0 : 1;
    struct tls_server_config config = {
        .protocols = protocols + first,
        .protocol_count = sizeof protocols / sizeof protocols[0] - first,
    };
    *ret = (struct certificates){0};
    if (settings->tls_listen[0] == '\0')
        return 0;
    int err = tls_suites_read(&config.suites, settings->tls_ciphers, why, why_size);
    if (err == 0)
        err = tls_versions_read(&config, settings->tls_versions, why, why_size);
    if (err == 0)
        err = tls_identities_read(&ret->identities, settings->tls_certificates, why, why_size);
    if (err < 0)
        return err;
    config.ticket_lifetime_s = settings->tls_tickets ? settings->tls_session_lifetime_ms / 1000 : 0;
    ret->server = tls_server_create(&config);
    if (ret->server)
        return 0;
    snprintf(why, why_size, "TLS: out of memory");
    certificates_done(ret);
    return -ENOMEM;
}

void certificates_done(struct certificates *certificates)
{
    tls_server_free(certificates->server);
    tls_identities_unref(certificates->identities);
}

void certificates_reload(const struct server *server)
{
    struct tls_identities *identities;
    char why[RELOAD_WHY_MAX];
    if (tls_identities_read(&identities, server->settings->tls_certificates, why, sizeof why) < 0) {
        fprintf(stderr, "ringside-server: SIGHUP: the certificates stay as they were: %s\n", why);
        log_server(server->log, LOG_RELOAD, why);
        return;
    }
    for (unsigned i = 0; i < server->shard_count; i++)
        shard_reload(server->shards[i], tls_identities_ref(identities));
    printf("ringside-server has read %zu certificate%s again\n", tls_identities_count(identities),
           tls_identities_count(identities) == 1 ? "" : "s");
    fflush(stdout);
    log_server(server->log, LOG_RELOAD, "certificates");
    tls_identities_unref(identities);
}
