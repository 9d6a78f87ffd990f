#include "output/hdr.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "wire/base64.h"

enum {
    COOKIE = 0x1c849303 | 0x10,
    COOKIE_COMPRESSED = 0x1c849304 | 0x10,
    HEADER = 40,
    HEADER_COMPRESSED = 8,
    DIGITS = 3,
    COUNT_BYTES_MAX = 9,
};

static unsigned char *put_32(unsigned char *at, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (unsigned char)(value >> shift);
    return at;
}

static unsigned char *put_64(unsigned char *at, uint64_t value)
{
    return put_32(put_32(at, (uint32_t)(value >> 32)), (uint32_t)value);
}

/* Seven bits a byte, the low ones first; the ninth byte has eight. */
static unsigned char *put_count(unsigned char *at, int64_t count)
{
    uint64_t left = (uint64_t)count << 1 ^ (uint64_t)(count >> 63);
    for (int i = 0; i < COUNT_BYTES_MAX - 1 && left > 0x7f; i++, left >>= 7)
        *at++ = (unsigned char)(left | 0x80);
    *at++ = (unsigned char)left;
    return at;
}

static size_t index_of(uint64_t low_ns)
{
    if (low_ns < 2 * HISTOGRAM_HALF)
        return low_ns;
    unsigned octave = 63 - (unsigned)__builtin_clzll(low_ns) - (HISTOGRAM_EXACT_BITS - 1);
    return octave * HISTOGRAM_HALF + (low_ns >> octave);
}

static unsigned char *put_counts(unsigned char *at, const struct histogram *histogram)
{
    struct histogram_bucket bucket;
    size_t cursor = 0, next = 0;
    while (histogram_next(histogram, &cursor, &bucket)) {
        size_t index = index_of(bucket.low_ns);
        if (index > next)
            at = put_count(at, -(int64_t)(index - next));
        at = put_count(at, (int64_t)bucket.count);
        next = index + 1;
    }
    return at;
}

/* Returns how many bytes there are. */
static size_t write_plain(unsigned char *buf, const struct histogram *histogram)
{
    static const double ratio = 1;
    uint64_t ratio_bits;
    memcpy(&ratio_bits, &ratio, sizeof ratio_bits);
    unsigned char *end = put_counts(buf + HEADER, histogram);
    unsigned char *at = put_32(buf, COOKIE);
    at = put_32(at, (uint32_t)(end - buf - HEADER));
    at = put_32(at, 0);
    at = put_32(at, DIGITS);
    at = put_64(at, 1);
    at = put_64(at, HISTOGRAM_VALUE_LIMIT - 1);
    put_64(at, ratio_bits);
    return (size_t)(end - buf);
}

static char *compressed(const unsigned char *plain, size_t len)
{
    uLongf size = compressBound(len);
    unsigned char *bytes = malloc(HEADER_COMPRESSED + size);
    char *text = NULL;
    if (bytes &&
        compress2(bytes + HEADER_COMPRESSED, &size, plain, len, Z_BEST_COMPRESSION) == Z_OK)
        text = malloc(BASE64_SIZE(HEADER_COMPRESSED + size) + 1);
    if (text) {
        put_32(put_32(bytes, COOKIE_COMPRESSED), (uint32_t)size);
        size_t written =
            base64_encode(text, span_of((char *)bytes, HEADER_COMPRESSED + (size_t)size));
        text[written] = '\0';
    }
    free(bytes);
    return text;
}

char *hdr_encode(const struct histogram *histogram)
{
    /* At the most each second bucket is empty, and costs a byte. */
    unsigned char *plain = malloc(HEADER + (size_t)HISTOGRAM_BUCKETS * (COUNT_BYTES_MAX + 1));
    char *text = plain ? compressed(plain, write_plain(plain, histogram)) : NULL;
    free(plain);
    return text;
}
