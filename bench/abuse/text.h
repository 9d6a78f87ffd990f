/* text: what an attack says, with places to fill in, as bytes; written as the messages of peers are
 * (bench/peers/README.md).
 *
 *     GET /sse?channel=@channel@ HTTP/1.1\r\n     escapes: \\ \n \r \t \xNN
 *                                                 @NAME@: a value; @@: the sign itself
 *
 * Threads  any.
 * Memory   the caller's.
 * Bounds   the room given.
 * Errors   -EINVAL or -ENOSPC, with a sentence without a full stop in `why`. */
#pragma once

#include <stddef.h>

#include "wire/span.h"

enum {
    TEXT_NAME_MAX = 24, /* of a place */
};

struct text_value {
    const char *name;
    const char *value;
};

/* Writes `text` filled in from `values`, which a name of NULL ends. Returns the bytes written, also
 * terminated. */
int text_fill(struct span text, const struct text_value *values, char *buf, size_t size, char *why,
              size_t why_size);
