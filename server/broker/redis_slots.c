#include "broker/redis_slots.h"

#include <errno.h>
#include <string.h>

enum {
    PORT_MAX = 65535,
    CRC_POLYNOMIAL = 0x1021, /* CCITT, as XMODEM has it */
};

unsigned redis_slot(const char *tag, size_t len)
{
    unsigned crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (unsigned)(unsigned char)tag[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ (crc & 0x8000 ? CRC_POLYNOMIAL : 0);
        crc &= 0xffff;
    }
    return crc % REDIS_SLOTS;
}

/* A name or an address that can be connected to. */
static bool host_copy(char ret[REDIS_HOST_MAX], struct span host)
{
    if (host.len == 0 || host.len >= REDIS_HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] > '~')
            return false;
    memcpy(ret, host.ptr, host.len);
    ret[host.len] = '\0';
    return true;
}

static bool number_is(const redisReply *reply, long long least, long long most)
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer >= least && reply->integer <= most;
}

int redis_range_read(struct redis_range *ret, const redisReply *entry, const char *asked)
{
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements < 3 ||
        !number_is(entry->element[0], 0, REDIS_SLOTS - 1) ||
        !number_is(entry->element[1], entry->element[0]->integer, REDIS_SLOTS - 1))
        return -EINVAL;
    const redisReply *master = entry->element[2];
    if (master->type != REDIS_REPLY_ARRAY || master->elements < 2 ||
        !number_is(master->element[1], 1, PORT_MAX))
        return -EINVAL;
    const redisReply *host = master->element[0];
    struct span name = span_from(asked);
    if (host->type == REDIS_REPLY_STRING && host->len > 0)
        name = span_of(host->str, (size_t)host->len);
    else if (host->type != REDIS_REPLY_NIL && host->type != REDIS_REPLY_STRING)
        return -EINVAL;
    if (!host_copy(ret->host, name))
        return -EINVAL;
    ret->first = (uint16_t)entry->element[0]->integer;
    ret->last = (uint16_t)entry->element[1]->integer;
    ret->port = (int)master->element[1]->integer;
    return 0;
}

/* Digits alone, at most that. Returns -1 for what is none. */
static int decimal(struct span digits, int most)
{
    int value = 0;
    if (digits.len == 0 || digits.len > 5)
        return -1;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return -1;
        value = value * 10 + (digits.ptr[i] - '0');
    }
    return value <= most ? value : -1;
}

int redis_redirect_read(struct redis_range *ret, struct span error, const char *asked)
{
    static const struct span moved = SPAN_INIT("MOVED "), ask = SPAN_INIT("ASK ");
    const struct span head = error.len > 0 && error.ptr[0] == 'M' ? moved : ask;
    if (error.len <= head.len || memcmp(error.ptr, head.ptr, head.len) != 0)
        return -EINVAL;
    error = span_skip(error, head.len);
    const char *space = memchr(error.ptr, ' ', error.len);
    if (!space)
        return -EINVAL;
    int slot = decimal(span_of(error.ptr, (size_t)(space - error.ptr)), REDIS_SLOTS - 1);
    struct span place = span_skip(error, (size_t)(space - error.ptr) + 1);
    const char *colon = place.len > 0 ? memrchr(place.ptr, ':', place.len) : NULL;
    if (slot < 0 || !colon)
        return -EINVAL;
    struct span host = span_of(place.ptr, (size_t)(colon - place.ptr));
    int port = decimal(span_skip(place, host.len + 1), PORT_MAX);
    if (port <= 0 || !host_copy(ret->host, host.len > 0 ? host : span_from(asked)))
        return -EINVAL;
    ret->first = ret->last = (uint16_t)slot;
    ret->port = port;
    return 0;
}
