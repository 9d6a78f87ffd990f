/* json_scan: finds "position", "data" and "recovered" in the answers and envelopes of
 * docs/PROTOCOL.md, however their bytes are cut.
 *
 *     {"position":"5f3a.17","messages":[{"channel":"c","offset":17,"data":"0000…"}],"recovered":…}
 *
 * It is no parser: it follows strings and the colon after them, and ignores nesting. What a
 * subscriber's ledger needs is the first bytes of each "data"; the rest is skipped by memchr.
 *
 * Threads  any.
 * Memory   JSON_HELD_MAX bytes of the current string; all zero is the start of a text.
 * Bounds   a position longer than JSON_HELD_MAX is cut, and then does not parse. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    JSON_HELD_MAX = 48,
};

enum json_found {
    JSON_NOTHING,   /* the input is used up */
    JSON_DATA,      /* held: the first bytes of the value, as they stand; length: all of it */
    JSON_POSITION,  /* held: the value */
    JSON_RECOVERED, /* recovered: the value */
};

struct json_scan {
    uint64_t length; /* of the current string so far, escapes as they stand */
    uint8_t state;   /* see json_scan.c */
    uint8_t key;     /* enum json_found: what the value to come is */
    uint8_t held_len;
    bool recovered;
    char held[JSON_HELD_MAX];
};

/* Consumes from the front of `input` up to and including the next thing found. */
enum json_found json_scan_next(struct json_scan *scan, struct span *input);
