/* digits: integers as text, without a locale and without a format string. Internal to wire/.
 *
 * Threads  any.
 * Memory   the caller's; the sizes are exact. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The longest decimal of 64 bits. */
#define DIGITS_DECIMAL_MAX 20
#define DIGITS_HEX_MAX     16

static inline size_t digits_decimal_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 10; value /= 10)
        size++;
    return size;
}

static inline size_t digits_decimal_write(char *buf, uint64_t value)
{
    size_t size = digits_decimal_size(value);
    for (size_t i = size; i > 0; value /= 10)
        buf[--i] = (char)('0' + value % 10);
    return size;
}

static inline size_t digits_hex_size(uint64_t value)
{
    return value == 0 ? 1 : (67 - (size_t)__builtin_clzll(value)) / 4;
}

/* Lower case, without leading zeros. */
static inline size_t digits_hex_write(char *buf, uint64_t value)
{
    size_t size = digits_hex_size(value);
    for (size_t i = size; i > 0; value >>= 4)
        buf[--i] = "0123456789abcdef"[value & 15];
    return size;
}
