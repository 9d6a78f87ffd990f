/* peer_text: texts of a peer's manifest with places to fill in, as bytes.
 *
 *     \x30@varint+7@\x00\x05bench@payload@       escapes: \\ \n \r \t \xNN
 *     listen @address@;                          @NAME@: a value; @@: the sign itself
 *
 * `@varint+N@` is the payload's size plus N, seven bits to a byte, lowest first: what MQTT and
 * Protocol Buffers write before a body. `@payload@` is where a published payload goes.
 *
 * Threads  any.
 * Memory   the caller's.
 * Bounds   the room given.
 * Errors   -EINVAL or -ENOSPC, with a sentence without a full stop in `why`. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    PEER_NAME_MAX = 24, /* of a place */
};

struct peer_value {
    const char *name;
    const char *value;
};

struct peer_values {
    const struct peer_value *rows; /* ended by a name of NULL */
    uint32_t payload_bytes;
};

enum peer_escapes {
    PEER_PLAIN,   /* a backslash is a backslash: files, commands */
    PEER_ESCAPED, /* messages */
};

/* Writes `text` filled in. `*ret_payload`, if not NULL, is how many bytes stand before @payload@,
 * or SIZE_MAX when there is none; with NULL, @payload@ is an error. Returns the bytes written, also
 * terminated. */
int peer_text_fill(struct span text, const struct peer_values *values, enum peer_escapes escapes,
                   char *buf, size_t size, size_t *ret_payload, char *why, size_t why_size);
