/* payload_search: payloads that lie somewhere inside the messages of another protocol.
 *
 *     {"push":{"channel":"c","pub":{"data":"929bf739000004d2 0000018bcfe56800 cjj…"}}}
 *     0x30 0x8b 0x01 0x00 0x01 'c' 929bf739000004d2 0000018bcfe56800 cjj…
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
    PAYLOAD_SEARCH_HELD = PAYLOAD_HEAD_SIZE - 1,
};

/* All zero at the start of each message. */
struct payload_search {
    struct payload payload; /* that was found */
    uint32_t left;          /* bytes of it that are still to come */
    uint32_t looked;        /* bytes without a payload so far */
    uint8_t held;           /* while searching: the last bytes that were seen */
    char last[PAYLOAD_SEARCH_HELD];
};

/* Goes through `piece`, a part of a message, up to the end of the next payload of `size` bytes (at
 * least PAYLOAD_HEAD_SIZE), and takes what it has seen off its front. Returns true when
 * search->payload is complete; false when the piece is used up. */
bool payload_search_next(struct payload_search *search, struct span *piece, uint32_t size);
