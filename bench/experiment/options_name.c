/* options_name: names and addresses on the command line, and what they stand for. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "experiment/options.h"

static const struct {
    const char *name;
    enum load_transport transport;
} transports[] = {
    {"poll", LOAD_POLL},
    {"longpoll", LOAD_LONGPOLL},
    {"sse", LOAD_SSE},
    {"websocket", LOAD_WEBSOCKET},
    {"websocket-envelope", LOAD_WEBSOCKET_ENVELOPE},
};
#define TRANSPORT_COUNT (sizeof transports / sizeof transports[0])

const char *options_transport_name(enum load_transport transport)
{
    for (size_t i = 0; i < TRANSPORT_COUNT; i++)
        if (transports[i].transport == transport)
            return transports[i].name;
    return "bare";
}

bool options_transport_parse(const char *text, size_t len, enum load_transport *ret)
{
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        if (strlen(transports[i].name) != len || strncmp(transports[i].name, text, len) != 0)
            continue;
        *ret = transports[i].transport;
        return true;
    }
    return false;
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
