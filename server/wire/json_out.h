/* json_out: text as a JSON string (RFC 8259 section 7), quotes included.
 *
 * Threads  any.
 * Memory   the caller's; json_string_size says how much. In pieces: json_escape. */
#pragma once

#include <stddef.h>

#include "wire/span.h"

/* At most this many bytes per byte of text, plus two quotes. */
#define JSON_ESCAPE_MAX 6

/* `text` must be valid UTF-8: it is passed through, except for what JSON wants escaped. */
size_t json_string_size(struct span text);
/* Returns the bytes written, json_string_size(text). */
size_t json_string_write(char *buf, struct span text);

/* Writes what is between the quotes, from the front of `text`, as far as it fits into `room` bytes;
 * no escape is cut, so with room for JSON_ESCAPE_MAX it goes on. Returns the bytes written, and
 * takes off `text` what they stand for. */
size_t json_escape(char *buf, size_t room, struct span *text);
