/* payload_search: payloads that lie somewhere inside the messages of another protocol.
 *
 *     {"push":{"channel":"c","pub":{"data":"00000000000004d2 0000018bcfe56800 abc…"}}}
 *     0x30 0x8b 0x01 0x00 0x01 'c' 00000000000004d2 0000018bcfe56800 abc…
 *
 * Idea     A payload says where it begins: 16 hex digits, a space, 16 hex digits, a space
 *          (load/payload.h), which nothing that protocols put around it looks like. Its length is
 *          known. So one search serves JSON, MQTT and what else there is, also where one frame has
 *          several messages. A payload counts when its last byte is there.
 * Threads  the owner's.
 * Memory   none: what a read has cut in two is kept here, at most one byte less than a head.
 * Bounds   PAYLOAD_SEARCH_MAX bytes without a payload, and one read more: what follows in that
 *          message is not looked at. No payload begins in one message and ends in another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/payload.h"
#include "wire/span.h"

enum {
    PAYLOAD_SEARCH_MAX = 4096,
};

/* All zero at the start of each message. */
struct payload_search {
    uint32_t left;                /* bytes of the payload found that are still to come */
    uint32_t looked;              /* bytes without a payload so far */
    uint8_t held;                 /* of `head`, while searching: the last bytes that were seen */
    char head[PAYLOAD_HEAD_SIZE]; /* of the payload found */
};

/* Goes through `piece`, a part of a message, up to the end of the next payload of `size` bytes (at
 * least PAYLOAD_HEAD_SIZE), and takes what it has seen off its front. Returns true when a payload
 * is complete, with its first bytes in search->head; false when the piece is used up. */
bool payload_search_next(struct payload_search *search, struct span *piece, uint32_t size);
