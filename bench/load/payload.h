/* payload: what every published message carries, so that each delivery says which message it is and
 * when it should have been sent.
 *
 *     00000000000004d2 0000018bcfe56800 abcdefgh…
 *     number, hex      intended, hex ns  filler up to the size asked for
 *
 * All of it is text that neither JSON nor SSE escapes, so it is the same bytes on every transport.
 *
 * Threads  any.
 * Memory   the caller's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    PAYLOAD_HEAD_SIZE = 34,
};

/* Writes exactly `size` bytes, at least PAYLOAD_HEAD_SIZE. */
void payload_write(char *buf, size_t size, uint64_t number, uint64_t intended_ns);

/* Returns false when `text` does not begin with a head as written above. */
bool payload_read(struct span text, uint64_t *ret_number, uint64_t *ret_intended_ns);
