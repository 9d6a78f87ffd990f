/* capsule: what travels on the stream of a session of WebTransport (RFC 9297, draft-ietf-webtrans-
 * http3-02).
 *
 *   type │ length │ value …          CLOSE_WEBTRANSPORT_SESSION: code, 32 bits │ reason, UTF-8
 *
 * Idea     A capsule is written as a frame of HTTP/3 is. Of those that come the code of a close is
 *          kept; its reason, and others, of which some mean nothing on purpose, go by.
 * Threads  any.
 * Memory   the caller's.
 * Bounds   CAPSULE_REASON_MAX bytes of a reason. */
#pragma once

#include "wire/http3.h"

enum {
    CAPSULE_CLOSE = 0x2843,
    CAPSULE_CODE_SIZE = 4,
    CAPSULE_REASON_MAX = 1024,
    CAPSULE_MAX = 2 * VARINT_BYTES_MAX + CAPSULE_CODE_SIZE + CAPSULE_REASON_MAX,
};

enum capsule_found {
    CAPSULE_BAD = -1, /* a close that is too short or too long */
    CAPSULE_NONE,     /* nothing that ends the session */
    CAPSULE_CLOSED,   /* `code` says why; what follows is an error of the client's */
};

struct capsules {
    struct http3_frames frames;
    uint32_t code;
    uint16_t have; /* of a close: bytes of its value */
};

/* Understands what came. After a close or an error it is not to be called again. */
enum capsule_found capsules_input(struct capsules *capsules, struct span bytes);

/* Writes a close; there is room for CAPSULE_MAX. Returns its size. */
size_t capsule_close_write(uint8_t *to, uint32_t code, struct span reason);
