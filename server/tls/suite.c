#include "tls/suite.h"

#include <bearssl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint16_t ecdsa, rsa;
    const char *ecdsa_name, *rsa_name;
} ciphers[TLS_CIPHER_COUNT] = {
    [TLS_AES_128_GCM] = {"aes128-gcm", BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                         BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                         "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                         "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    [TLS_AES_256_GCM] = {"aes256-gcm", BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                         BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                         "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                         "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    [TLS_CHACHA20_POLY1305] = {"chacha20-poly1305",
                               BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                               BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                               "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                               "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
};

static bool listed(const struct tls_suites *suites, uint16_t suite)
{
    for (size_t i = 0; i < suites->count; i++)
        if (suites->suites[i] == suite)
            return true;
    return false;
}

static int refuse(char *why, size_t why_size, const char *text)
{
    snprintf(why, why_size, "ciphers %s: needs some of %s, %s and %s, each once, the best first",
             text, ciphers[0].name, ciphers[1].name, ciphers[2].name);
    return -EINVAL;
}

int tls_suites_read(struct tls_suites *ret, const char *text, char *why, size_t why_size)
{
    struct tls_suites suites = {.count = 0};
    for (const char *at = text + strspn(text, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " "), i = 0;
        while (i < TLS_CIPHER_COUNT &&
               (strlen(ciphers[i].name) != len || memcmp(ciphers[i].name, at, len) != 0))
            i++;
        if (i == TLS_CIPHER_COUNT || listed(&suites, ciphers[i].ecdsa))
            return refuse(why, why_size, text);
        suites.suites[suites.count++] = ciphers[i].ecdsa;
        suites.suites[suites.count++] = ciphers[i].rsa;
        at += len;
    }
    if (suites.count == 0)
        return refuse(why, why_size, "(none)");
    *ret = suites;
    return 0;
}

const char *tls_suite_name(uint16_t suite)
{
    if (suite == TLS_13_AES_128_GCM_SHA256)
        return "TLS_AES_128_GCM_SHA256";
    if (suite == TLS_13_CHACHA20_POLY1305_SHA256)
        return "TLS_CHACHA20_POLY1305_SHA256";
    for (size_t i = 0; i < TLS_CIPHER_COUNT; i++) {
        if (ciphers[i].ecdsa == suite)
            return ciphers[i].ecdsa_name;
        if (ciphers[i].rsa == suite)
            return ciphers[i].rsa_name;
    }
    return "unknown";
}

const char *tls_suite_13_name(uint16_t suite)
{
    if (suite == ciphers[TLS_AES_128_GCM].ecdsa)
        return "AES-128-GCM";
    return suite == ciphers[TLS_CHACHA20_POLY1305].ecdsa ? "CHACHA20-POLY1305" : NULL;
}

const char *tls_cipher_name(enum tls_cipher cipher)
{
    return ciphers[cipher].name;
}
