/* server_13: what a server offers of TLS 1.3, made once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/handshake_13.h"

enum {
    PRIORITY_SIZE = 512,
};

/* GnuTLS's own words, with the ciphers in the order of the settings. */
static void priority_write(char *text, size_t size, const struct tls_suites *suites)
{
    int len = snprintf(text, size,
                       "NONE:+VERS-TLS1.3:+AEAD:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"
                       ":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SECP384R1-SHA384"
                       ":+SIGN-ECDSA-SECP521R1-SHA512:+SIGN-RSA-PSS-RSAE-SHA256"
                       ":+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512:%%SERVER_PRECEDENCE");
    for (size_t i = 0; i < suites->count && (size_t)len < size; i++) {
        const char *name = tls_suite_13_name(suites->suites[i]);
        if (name)
            len += snprintf(text + len, size - (size_t)len, ":+%s", name);
    }
}

static bool has_cipher(const struct tls_suites *suites)
{
    for (size_t i = 0; i < suites->count; i++)
        if (tls_suite_13_name(suites->suites[i]))
            return true;
    return false;
}

int tls_versions_read(struct tls_server_config *config, const char *text, char *why,
                      size_t why_size)
{
    bool tls_12 = false, tls_13 = false;
    for (const char *at = text + strspn(text, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        bool is_12 = len == 3 && memcmp(at, "1.2", len) == 0;
        if (!is_12 && (len != 3 || memcmp(at, "1.3", len) != 0)) {
            snprintf(why, why_size, "tls_versions = %s: needs 1.2, 1.3 or both", text);
            return -EINVAL;
        }
        tls_12 |= is_12;
        tls_13 |= !is_12;
        at += len;
    }
    if (!tls_12 && !tls_13) {
        snprintf(why, why_size, "tls_versions is empty: it needs 1.2, 1.3 or both");
        return -EINVAL;
    }
    config->versions = !tls_13 ? TLS_VERSIONS_12 : tls_12 ? TLS_VERSIONS_BOTH : TLS_VERSIONS_13;
    if (has_cipher(&config->suites) || !tls_13)
        return 0;
    snprintf(why, why_size,
             "tls_versions = %s: TLS 1.3 needs aes128-gcm or chacha20-poly1305 in tls_ciphers",
             text);
    return -EINVAL;
}

struct server_13 *server_13_create(const struct tls_server_config *config)
{
    char priority[PRIORITY_SIZE];
    struct server_13 *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    priority_write(priority, sizeof priority, &config->suites);
    int err = gnutls_priority_init(&server->priority, priority, NULL);
    if (err == 0 && config->ticket_lifetime_s > 0)
        err = gnutls_session_ticket_key_generate(&server->ticket_key);
    server->lifetime_s = (unsigned)config->ticket_lifetime_s;
    for (size_t i = 0; i < config->protocol_count && i < TLS_PROTOCOLS_MAX; i++)
        server->protocols[server->protocol_count++] =
            (gnutls_datum_t){(unsigned char *)(uintptr_t)config->protocols[i],
                             (unsigned)strlen(config->protocols[i])};
    if (err == 0)
        return server;
    server_13_free(server);
    return NULL;
}

void server_13_free(struct server_13 *server)
{
    if (!server)
        return;
    if (server->ticket_key.data)
        explicit_bzero(server->ticket_key.data, server->ticket_key.size);
    gnutls_free(server->ticket_key.data);
    gnutls_priority_deinit(server->priority);
    free(server);
}
