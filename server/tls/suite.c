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
    uint16_t modern; /* of 1.3 */
    const char *modern_name, *gnutls_name;
} ciphers[TLS_CIPHER_COUNT] = {
    [TLS_AES_128_GCM] = {"aes128-gcm", BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                         BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                         "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                         "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", TLS_13_AES_128_GCM_SHA256,
                         "TLS_AES_128_GCM_SHA256", "AES-128-GCM"},
    [TLS_AES_256_GCM] = {"aes256-gcm", BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                         BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                         "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                         "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", TLS_13_AES_256_GCM_SHA384,
                         "TLS_AES_256_GCM_SHA384", "AES-256-GCM"},
    [TLS_CHACHA20_POLY1305] = {"chacha20-poly1305",
                               BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                               BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                               "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                               "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                               TLS_13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256",
                               "CHACHA20-POLY1305"},
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
    for (size_t i = 0; i < TLS_CIPHER_COUNT; i++) {
        if (ciphers[i].ecdsa == suite)
            return ciphers[i].ecdsa_name;
        if (ciphers[i].rsa == suite)
            return ciphers[i].rsa_name;
        if (ciphers[i].modern == suite)
            return ciphers[i].modern_name;
    }
    return "unknown";
}

bool tls_suite_is(uint16_t suite, bool rsa)
{
    for (size_t i = 0; i < TLS_CIPHER_COUNT; i++)
        if ((rsa ? ciphers[i].rsa : ciphers[i].ecdsa) == suite)
            return true;
    return false;
}

uint16_t tls_suite_of(enum tls_cipher cipher, bool is_13, bool rsa)
{
    return is_13 ? ciphers[cipher].modern : rsa ? ciphers[cipher].rsa : ciphers[cipher].ecdsa;
}

int tls_suite_offer(uint16_t suite, bool with_12, char *text, size_t size)
{
    for (size_t i = 0; i < TLS_CIPHER_COUNT; i++)
        if (ciphers[i].ecdsa == suite || ciphers[i].rsa == suite)
            return snprintf(text, size, ":+%s%s", ciphers[i].gnutls_name,
                            !with_12                    ? ""
                            : ciphers[i].ecdsa == suite ? ":+ECDHE-ECDSA"
                                                        : ":+ECDHE-RSA");
    return 0;
}

const char *tls_cipher_name(enum tls_cipher cipher)
{
    return ciphers[cipher].name;
}
