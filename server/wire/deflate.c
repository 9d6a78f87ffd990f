#include "wire/deflate.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

struct deflater {
    z_stream z;
};

struct inflater {
    z_stream z;
};

enum {
    STORED_HEAD = 5,
    ROOM_MIN = 256,          /* for what is inflated, to begin with */
    ROOM_RATIO = 4,          /* likewise, for each byte of a message */
    MEMORY_BELOW_WINDOW = 7, /* zlib's memLevel: as many heads of chains as the window has bytes */
    Z_BETWEEN_BLOCKS = 128,  /* of data_type, behind a block: see inflate() in zlib.h */
    Z_BITS_LEFT = 7,         /* likewise: bits of the last byte that nobody has read */
};

static const char tail[DEFLATE_TAIL] = {0, 0, '\xff', '\xff'};

const char gzip_head[GZIP_HEAD] = {0x1f, '\x8b', 8, 0, 0, 0, 0, 0, 0, '\xff'};

struct deflater *deflater_create(int level, int window_bits)
{
    assert(window_bits >= DEFLATE_WINDOW_BITS_MIN && window_bits <= DEFLATE_WINDOW_BITS_MAX);
    struct deflater *deflater = calloc(1, sizeof *deflater);
    if (deflater && deflateInit2(&deflater->z, level, Z_DEFLATED, -window_bits,
                                 window_bits - MEMORY_BELOW_WINDOW, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(deflater);
        return NULL;
    }
    return deflater;
}

void deflater_free(struct deflater *deflater)
{
    if (!deflater)
        return;
    (void)deflateEnd(&deflater->z);
    free(deflater);
}

/* Deflates all of the payload. Returns the length, or 0 when there is not room for it and a byte
 * more: zlib has given out all when it leaves room. */
static size_t run(struct deflater *deflater, char *area, size_t room, struct span payload,
                  int flush)
{
    if (payload.len == 0 || payload.len > INT_MAX)
        return 0;
    z_stream *z = &deflater->z;
    int err = deflateReset(z);
    assert(err == Z_OK);
    z->next_in = (const Bytef *)payload.ptr;
    z->avail_in = (uInt)payload.len;
    z->next_out = (Bytef *)area;
    z->avail_out = (uInt)room;
    err = deflate(z, flush);
    if (err != (flush == Z_FINISH ? Z_STREAM_END : Z_OK) || z->avail_in > 0 || z->avail_out == 0)
        return 0;
    return room - z->avail_out;
}

size_t deflater_message(struct deflater *deflater, char *area, struct span payload)
{
    size_t len = run(deflater, area, payload.len + DEFLATE_ROOM, payload, Z_SYNC_FLUSH);
    if (len == 0)
        return 0;
    assert(len > DEFLATE_TAIL && memcmp(area + len - DEFLATE_TAIL, tail, DEFLATE_TAIL) == 0);
    return len - DEFLATE_TAIL;
}

static void little_endian(char *buf, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        buf[i] = (char)(value >> 8 * i);
}

size_t deflater_gzip(struct deflater *deflater, char *area, struct span payload)
{
    if (payload.len <= GZIP_ROOM)
        return 0;
    size_t len = run(deflater, area + GZIP_HEAD, payload.len - GZIP_ROOM, payload, Z_FINISH);
    if (len == 0)
        return 0;
    memcpy(area, gzip_head, GZIP_HEAD);
    char *end = area + GZIP_HEAD + len;
    little_endian(end, (uint32_t)crc32(0, (const Bytef *)payload.ptr, (uInt)payload.len));
    little_endian(end + 4, (uint32_t)payload.len);
    return len + GZIP_ROOM;
}

/* RFC 1951 section 3.2.4: no block of many, stored; its length, and that inverted. */
static size_t stored_write(char *area, struct span block)
{
    unsigned len = (unsigned)block.len;
    assert(len <= DEFLATE_STORED_MAX);
    area[0] = 0;
    area[1] = (char)len;
    area[2] = (char)(len >> 8);
    area[3] = (char)~len;
    area[4] = (char)(~len >> 8);
    memcpy(area + STORED_HEAD, block.ptr, len);
    return STORED_HEAD + len;
}

size_t deflate_piece_room(size_t len)
{
    return len + STORED_HEAD * (len / DEFLATE_STORED_MAX + 1);
}

size_t deflate_piece(struct deflater *deflater, char *area, struct span text)
{
    size_t len = deflater ? deflater_message(deflater, area, text) : 0;
    if (len > 0) {
        memcpy(area + len, tail, sizeof tail);
        return len + sizeof tail;
    }
    while (text.len > 0) {
        size_t block = text.len < DEFLATE_STORED_MAX ? text.len : (size_t)DEFLATE_STORED_MAX;
        len += stored_write(area + len, span_of(text.ptr, block));
        text = span_skip(text, block);
    }
    return len;
}

struct inflater *inflater_create(void)
{
    struct inflater *inflater = calloc(1, sizeof *inflater);
    if (inflater && inflateInit2(&inflater->z, -DEFLATE_WINDOW_BITS_MAX) != Z_OK) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

void inflater_free(struct inflater *inflater)
{
    if (!inflater)
        return;
    (void)inflateEnd(&inflater->z);
    free(inflater);
}

/* What has been inflated; one byte more than `max` shows that there is more. */
struct inflated {
    char *bytes;
    size_t len;
    size_t size;
    size_t max;
};

/* Makes room for more. Returns 0, -EFBIG or -ENOMEM. */
static int grow(struct inflated *to)
{
    if (to->len > to->max)
        return -EFBIG;
    size_t size = to->size <= to->max / 2 ? 2 * to->size : to->max + 1;
    char *bytes = realloc(to->bytes, size);
    if (!bytes)
        return -ENOMEM;
    to->bytes = bytes;
    to->size = size;
    return 0;
}

/* One call of zlib. Returns 0 while it goes on, or a negative errno. A block that says that it is
 * the last may be followed by others (RFC 7692 section 7.2.3.4): these are a stream of their own.
 */
static int step(z_stream *z, struct inflated *to)
{
    size_t room = to->size - to->len;
    uInt most = room < INT_MAX ? (uInt)room : INT_MAX;
    z->next_out = (Bytef *)(to->bytes + to->len);
    z->avail_out = most;
    int err = inflate(z, Z_SYNC_FLUSH);
    to->len += most - z->avail_out;
    if (err == Z_MEM_ERROR)
        return -ENOMEM;
    if (err == Z_STREAM_END)
        return inflateReset(z) == Z_OK ? 0 : -EPROTO;
    return err == Z_OK || err == Z_BUF_ERROR ? 0 : -EPROTO;
}

/* Until all of the input is used up, and all that it gives is out. */
static int feed(z_stream *z, struct span input, struct inflated *to)
{
    z->next_in = (const Bytef *)input.ptr;
    z->avail_in = (uInt)input.len;
    int err;
    do {
        if (to->len == to->size && (err = grow(to)) < 0)
            return err;
        err = step(z, to);
    } while (err == 0 && (z->avail_in > 0 || z->avail_out == 0));
    return err;
}

/* The end of a message is the end of a block. */
static bool at_end(const z_stream *z)
{
    return z->data_type & Z_BETWEEN_BLOCKS && !(z->data_type & Z_BITS_LEFT);
}

int inflater_message(struct inflater *inflater, struct span message, size_t max, char **ret,
                     size_t *ret_len)
{
    assert(message.len <= INT_MAX && max <= INT_MAX);
    z_stream *z = &inflater->z;
    size_t guess = ROOM_MIN + ROOM_RATIO * message.len;
    struct inflated to = {.size = guess <= max ? guess : max + 1, .max = max};
    to.bytes = malloc(to.size);
    if (!to.bytes)
        return -ENOMEM;
    int err = inflateReset(z) == Z_OK ? feed(z, message, &to) : -EPROTO;
    size_t len = to.len;
    if (err == 0)
        err = feed(z, span_of(tail, sizeof tail), &to);
    if (err == 0 && (to.len > len || !at_end(z)))
        err = -EPROTO; /* what was cut off has become part of something else */
    if (err == 0 && to.len > max)
        err = -EFBIG;
    if (err < 0) {
        free(to.bytes);
        return err;
    }
    *ret = to.bytes;
    *ret_len = to.len;
    return 0;
}
