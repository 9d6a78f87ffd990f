/* varint: whole numbers of QUIC (RFC 9000 section 16).
 *
 *   00xxxxxx                                  6 bits
 *   01xxxxxx xxxxxxxx                        14 bits
 *   10xxxxxx 3 bytes                         30 bits
 *   11xxxxxx 7 bytes                         62 bits
 *
 * Threads  any. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    VARINT_BYTES_MAX = 8,
};
#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* How many bytes a number has, by its first. */
static inline size_t varint_size(uint8_t first)
{
    return (size_t)1 << (first >> 6);
}

/* Reads one at the start of `bytes`. Returns its size, or 0 when it is not all there. A number may
 * be written longer than it need be. */
static inline size_t varint_read(struct span bytes, uint64_t *ret)
{
    if (bytes.len == 0)
        return 0;
    size_t size = varint_size((uint8_t)bytes.ptr[0]);
    if (bytes.len < size)
        return 0;
    uint64_t value = (uint8_t)bytes.ptr[0] & 0x3f;
    for (size_t i = 1; i < size; i++)
        value = value << 8 | (uint8_t)bytes.ptr[i];
    *ret = value;
    return size;
}

/* Takes one off the front of `bytes`. Returns false, with `bytes` as it was, when it is not all
 * there. */
static inline bool varint_take(struct span *bytes, uint64_t *ret)
{
    size_t size = varint_read(*bytes, ret);
    *bytes = span_skip(*bytes, size);
    return size > 0;
}

/* Writes one as short as it can be; there is room for VARINT_BYTES_MAX bytes. Returns its size. */
static inline size_t varint_write(uint8_t *to, uint64_t value)
{
    assert(value <= VARINT_MAX);
    unsigned log2 = value < 1U << 6 ? 0 : value < 1U << 14 ? 1 : value < 1U << 30 ? 2 : 3;
    size_t size = (size_t)1 << log2;
    for (size_t i = size; i > 0; i--, value >>= 8)
        to[i - 1] = (uint8_t)value;
    to[0] |= (uint8_t)(log2 << 6);
    return size;
}
