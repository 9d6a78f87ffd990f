/* json_scan: finds "position", "data" and "recovered" in the answers and envelopes of
 * docs/PROTOCOL.md, however their bytes are cut.
 *
 *     {"position":"5f3a.17","messages":[{"channel":"c","offset":17,"data":"0000…"}],"recovered":…}
 *
 * It is no parser: it follows strings and the colon after them, and ignores nesting. Of each "data"
 * all bytes are compared with those of a payload, as they stand: one needs no escapes.
 *
 * Threads  any.
 * Memory   JSON_HELD_MAX bytes of the current string; all zero is the start of a text.
 * Bounds   a position longer than JSON_HELD_MAX is cut, and then does not parse. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "load/payload.h"
#include "wire/span.h"

enum {
    JSON_HELD_MAX = 48,
};

enum json_found {
    JSON_NOTHING,   /* the input is used up */
    JSON_DATA,      /* data: the value, which may be a payload */
    JSON_POSITION,  /* held: the value */
    JSON_RECOVERED, /* recovered: the value */
};

struct json_scan {
    struct payload data;
    uint8_t state; /* see json_scan.c */
    uint8_t key;   /* enum json_found: what the value to come is */
    uint8_t held_len;
    bool recovered;
    char held[JSON_HELD_MAX];
};

/* Consumes from the front of `input` up to and including the next thing found. */
enum json_found json_scan_next(struct json_scan *scan, struct span *input);
