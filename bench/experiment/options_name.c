/* options_name: names and addresses on the command line, and what they stand for. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/options.h"

const char *options_transports(void)
{
    static char text[512];
    const struct protocol *transport;
    size_t len = 0;
    for (unsigned i = 0; (transport = protocol_transport(i)) && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, i ? ", %s" : "%s", transport->name);
    assert(len < sizeof text);
    return text;
}

static const char *const cipher_names[TLS_CIPHER_COUNT] = {
    [TLS_AES_128_GCM] = "gcm",
    [TLS_AES_256_GCM] = "gcm256",
    [TLS_CHACHA20_POLY1305] = "chacha20",
};

const char *options_cipher_name(enum tls_cipher cipher)
{
    return cipher_names[cipher];
}

bool options_cipher_parse(const char *text, size_t len, enum tls_cipher *ret)
{
    for (unsigned i = 0; i < TLS_CIPHER_COUNT; i++) {
        if (strlen(cipher_names[i]) != len || strncmp(cipher_names[i], text, len) != 0)
            continue;
        *ret = (enum tls_cipher)i;
        return true;
    }
    return false;
}

int options_address(const char *text, struct sockaddr_in *ret)
{
    char host[INET_ADDRSTRLEN] = "", *end;
    struct in_addr address;
    size_t len = strcspn(text, ":");
    if (text[len] != ':' || len >= sizeof host)
        return -EINVAL;
    memcpy(host, text, len);
    unsigned long port = strtoul(text + len + 1, &end, 10);
    if (*end != '\0' || port == 0 || port > UINT16_MAX || inet_pton(AF_INET, host, &address) != 1)
        return -EINVAL;
    *ret = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = address};
    return 0;
}
