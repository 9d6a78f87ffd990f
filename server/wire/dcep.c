#include "wire/dcep.h"

#include <assert.h>
#include <string.h>

#include "wire/octets.h"

enum {
    TYPE_ACK = 2,
    TYPE_OPEN = 3,
    UNORDERED = 0x80, /* the bit of a channel type; the others are an enum dcep_reliability */
};

static int open_read(struct dcep_open *ret, const uint8_t *at, size_t len)
{
    if (len < DCEP_HEAD_SIZE)
        return DCEP_LENGTH;
    size_t label = octets_get16(at + 8), protocol = octets_get16(at + 10);
    uint8_t reliability = at[1] & (uint8_t)~UNORDERED;
    if (label > DCEP_TEXT_MAX || protocol > DCEP_TEXT_MAX ||
        DCEP_HEAD_SIZE + label + protocol != len)
        return DCEP_LENGTH;
    if (reliability > DCEP_LIFETIME)
        return DCEP_TYPE;
    const char *text = (const char *)at + DCEP_HEAD_SIZE;
    *ret = (struct dcep_open){
        .reliability = (enum dcep_reliability)reliability,
        .unordered = (at[1] & UNORDERED) != 0,
        .priority = octets_get16(at + 2),
        .limit = reliability == DCEP_RELIABLE ? 0 : octets_get32(at + 4),
        .label = {text, label},
        .protocol = {text + label, protocol},
    };
    return DCEP_OPENS;
}

int dcep_read(struct dcep_open *ret, struct span message)
{
    const uint8_t *at = (const uint8_t *)message.ptr;
    if (message.len == 0)
        return DCEP_LENGTH;
    if (at[0] == TYPE_ACK)
        return message.len == DCEP_ACK_SIZE ? DCEP_ACKS : DCEP_LENGTH;
    return at[0] == TYPE_OPEN ? open_read(ret, at, message.len) : DCEP_UNKNOWN;
}

size_t dcep_write_open(uint8_t buf[DCEP_SIZE_MAX], const struct dcep_open *open)
{
    assert(open->label.len <= DCEP_TEXT_MAX && open->protocol.len <= DCEP_TEXT_MAX);
    buf[0] = TYPE_OPEN;
    buf[1] = (uint8_t)(open->reliability | (open->unordered ? UNORDERED : 0));
    octets_put16(buf + 2, open->priority);
    octets_put32(buf + 4, open->limit);
    octets_put16(buf + 8, (uint16_t)open->label.len);
    octets_put16(buf + 10, (uint16_t)open->protocol.len);
    if (open->label.len > 0)
        memcpy(buf + DCEP_HEAD_SIZE, open->label.ptr, open->label.len);
    if (open->protocol.len > 0)
        memcpy(buf + DCEP_HEAD_SIZE + open->label.len, open->protocol.ptr, open->protocol.len);
    return DCEP_HEAD_SIZE + open->label.len + open->protocol.len;
}

size_t dcep_write_ack(uint8_t buf[DCEP_ACK_SIZE])
{
    buf[0] = TYPE_ACK;
    return DCEP_ACK_SIZE;
}
