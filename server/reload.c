#include "reload.h"

#include <stdio.h>

#include "auth/auth.h"
#include "certificates.h"
#include "conn/log.h"

enum {
    RELOAD_WHY_MAX = 512,
};

static void keys_reload(struct auth *auth, unsigned webhooks, struct log *log)
{
    char why[RELOAD_WHY_MAX];
    if (auth_reload(auth, why, sizeof why) < 0) {
        fprintf(stderr, "ringside-server: SIGHUP: the keys stay as they were: %s\n", why);
        log_server(log, LOG_RELOAD, why);
        return;
    }
    printf("ringside-server has read its keys again: %u of tokens, %u of servers, those of %u "
           "webhooks\n",
           auth_token_keys(auth), auth_api_keys(auth), webhooks);
    fflush(stdout);
    log_server(log, LOG_RELOAD, "keys");
}

void reload(const struct server *server)
{
    const struct settings *settings = server->settings;
    bool has_keys = settings->token_keys[0] != '\0' || settings->api_keys[0] != '\0' ||
                    settings->hooks.count > 0;
    log_reopen(server->log);
    if (server->tls)
        certificates_reload(server);
    if (has_keys)
        keys_reload(server->auth, settings->hooks.count, server->log);
    if (server->tls || has_keys || settings->log_file[0] != '\0')
        return;
    printf("SIGHUP: there is nothing to read again: no tls_listen, so no certificates, and no "
           "token_keys or api_keys, no webhooks, and no log_file; other settings are read at the "
           "start\n");
    fflush(stdout);
}
