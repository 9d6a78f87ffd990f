/* deflate: messages as raw DEFLATE, each by itself, and back (RFC 1951; RFC 7692 section 7.2).
 *
 *   payload ──► blocks, the last of them stored and empty: 00 00 ff ff, which is cut off
 *   what comes, and 00 00 ff ff behind it ──► payload
 *
 *   head (10 bytes) │ blocks │ CRC-32, length     an answer as gzip (RFC 1952)
 *
 * Threads  one for each deflater and inflater.
 * Memory   A deflater is 1 << (window_bits + 3) bytes and some, an inflater 7 KiB, and 32 KiB from
 *          its first message on. Between two messages nothing is remembered.
 * Bounds   Of what a message becomes: the caller's, in both directions.
 * Source   zlib. */
#pragma once

#include <stddef.h>

#include "wire/span.h"

enum {
    DEFLATE_WINDOW_BITS_MIN = 9, /* zlib has no window of 256 bytes */
    DEFLATE_WINDOW_BITS_MAX = 15,
    DEFLATE_TAIL = 4,            /* the bytes that are cut off */
    DEFLATE_ROOM = DEFLATE_TAIL, /* beyond the payload, for deflater_message */
};

enum {
    GZIP_HEAD = 10,
    GZIP_ROOM = GZIP_HEAD + 8, /* of a member: its head and its end */
    DEFLATE_STORED_MAX = 65535,
};

/* How a member begins that goes on in pieces. */
extern const char gzip_head[GZIP_HEAD];

struct deflater;
struct inflater;

/* level: 1, fast, to 9, small. NULL when memory is out. */
struct deflater *deflater_create(int level, int window_bits);
void deflater_free(struct deflater *deflater);

/* Deflates a message into `area`, which has payload.len + DEFLATE_ROOM bytes and does not overlap
 * it. Returns the length, less than the payload's; 0 when it would be no less. */
size_t deflater_message(struct deflater *deflater, char *area, struct span payload);

/* The same as one whole member of gzip; `area` has payload.len bytes. */
size_t deflater_gzip(struct deflater *deflater, char *area, struct span payload);

/* A stream made of pieces, each of which is understood when it has come, and refers to none before:
 * so the same bytes may stand in many streams.
 *
 * Bytes that a piece may take. */
size_t deflate_piece_room(size_t len);
/* Deflates one where that makes it smaller, else stores it; without a deflater it is stored.
 * Returns its length. `area` has deflate_piece_room and does not overlap the text, which is not
 * empty. */
size_t deflate_piece(struct deflater *deflater, char *area, struct span text);

/* NULL when memory is out. */
struct inflater *inflater_create(void);
void inflater_free(struct inflater *inflater);

/* Inflates a message into memory that becomes the caller's (free). Returns 0, -EPROTO: it is no
 * DEFLATE, or not to its end; -EFBIG: it would be more than `max` bytes, and no more than that and
 * one were made; -ENOMEM. */
int inflater_message(struct inflater *inflater, struct span message, size_t max, char **ret,
                     size_t *ret_len);
