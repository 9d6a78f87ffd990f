#include "broker/redis_sentinel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORT_MAX = 65535,
};

static bool text_copy(char *ret, size_t size, const redisReply *reply)
{
    bool fits = reply->type == REDIS_REPLY_STRING && reply->len > 0 && (size_t)reply->len < size &&
                !memchr(reply->str, '\0', (size_t)reply->len);
    if (fits)
        memcpy(ret, reply->str, (size_t)reply->len + 1);
    return fits;
}

/* Returns NULL when it is a place, or what is wrong with it. */
static const char *place_read(struct redis_address *ret, const redisReply *reply)
{
    char host[REDIS_HOST_MAX], port[sizeof "65535"], *end;
    if (!reply)
        return "no answer";
    if (reply->type == REDIS_REPLY_ERROR)
        return reply->str;
    if (reply->type == REDIS_REPLY_NIL)
        return "it knows no such master";
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !text_copy(host, sizeof host, reply->element[0]) ||
        !text_copy(port, sizeof port, reply->element[1]))
        return "an answer of another kind than sentinels give";
    long number = strtol(port, &end, 10);
    if (*end != '\0' || number <= 0 || number > PORT_MAX)
        return "an answer of another kind than sentinels give";
    memcpy(ret->host, host, sizeof host);
    ret->port = (int)number;
    return NULL;
}

static int ask_one(const struct redis_sentinel *sentinel, const char *master,
                   struct redis_address *ret, char *why, size_t why_size)
{
    const char *const words[] = {"SENTINEL", "get-master-addr-by-name", master};
    struct redis_address address = *ret;
    struct redis_socket socket;
    struct redis_link link = {0};
    redisReply *reply = NULL;
    char what[256];
    memcpy(address.host, sentinel->host, sizeof address.host);
    address.port = sentinel->port;
    const char *wrong = redis_socket_open(&socket, &address, what, sizeof what) < 0 ? what : NULL;
    if (!wrong && redis_link_make(&link, &socket) < 0)
        wrong = "memory is out";
    if (!wrong) {
        reply = redis_link_ask(&link, words, 3, address.timeout_ms);
        wrong = place_read(ret, reply);
    }
    if (wrong)
        snprintf(why, why_size, "redis_sentinels: %s:%d: master %s: %s", sentinel->host,
                 sentinel->port, master, wrong);
    freeReplyObject(reply);
    redis_link_close(&link);
    explicit_bzero(address.password, sizeof address.password);
    return wrong ? -EHOSTUNREACH : 0;
}

int redis_sentinels_ask(const struct redis_sentinels *sentinels, struct redis_address *ret,
                        char *why, size_t why_size)
{
    int err = -EHOSTUNREACH;
    for (unsigned i = 0; i < sentinels->count && err < 0; i++)
        err = ask_one(&sentinels->at[i], sentinels->master, ret, why, why_size);
    return err;
}
