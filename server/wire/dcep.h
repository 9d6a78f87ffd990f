/* dcep: how the two ends of a data channel agree on what it is (RFC 8832), and which kind of
 * payload a message of SCTP has (RFC 8831 section 8).
 *
 *    0        1      2          4             8           10          12
 *   ┌────────┬──────┬──────────┬─────────────┬───────────┬───────────┬───────┬──────────┐
 *   │ OPEN 3 │ type │ priority │ reliability │ label len │ proto len │ label │ protocol │
 *   └────────┴──────┴──────────┴─────────────┴───────────┴───────────┴───────┴──────────┘
 *     ACK is one byte, 2
 *
 * Threads  any.
 * Memory   the caller's. What was read points into the message.
 * Bounds   DCEP_TEXT_MAX bytes of label, and of protocol.
 * Errors   by name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    DCEP_HEAD_SIZE = 12,
    DCEP_TEXT_MAX = 512,
    DCEP_SIZE_MAX = DCEP_HEAD_SIZE + 2 * DCEP_TEXT_MAX,
    DCEP_ACK_SIZE = 1,
};

/* The payload protocol identifiers. SCTP has no empty messages: an empty one is a byte of 0 under
 * an identifier of its own. */
enum dcep_payload {
    DCEP_CONTROL = 50,
    DCEP_TEXT = 51,
    DCEP_BINARY = 53,
    DCEP_TEXT_EMPTY = 56,
    DCEP_BINARY_EMPTY = 57,
};

enum dcep_reliability {
    DCEP_RELIABLE = 0,
    DCEP_RETRANSMITS = 1, /* at most `limit` times             */
    DCEP_LIFETIME = 2,    /* not after `limit` milliseconds    */
};

struct dcep_open {
    enum dcep_reliability reliability;
    bool unordered;
    uint16_t priority;
    uint32_t limit; /* 0 where it is reliable */
    struct span label, protocol;
};

enum dcep_message {
    DCEP_OPENS = 1,
    DCEP_ACKS = 2,
};

enum dcep_error {
    DCEP_UNKNOWN = -1, /* neither OPEN nor ACK                                     */
    DCEP_LENGTH = -2,  /* sizes that the message contradicts, or beyond the bounds */
    DCEP_TYPE = -3,    /* a type of channel that does not exist                    */
};

/* Returns an enum dcep_message, or an enum dcep_error; `ret` is filled in for OPEN. */
int dcep_read(struct dcep_open *ret, struct span message);

/* Write a message and return its size. Label and protocol are within their bounds. */
size_t dcep_write_open(uint8_t buf[DCEP_SIZE_MAX], const struct dcep_open *open);
size_t dcep_write_ack(uint8_t buf[DCEP_ACK_SIZE]);
