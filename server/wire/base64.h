/* base64: the standard alphabet with padding (RFC 4648 section 4), and the one for URLs without
 * padding (section 5, as JWS has it), strict.
 *
 * Threads  any.
 * Memory   the caller's. */
#pragma once

#include <stddef.h>

#include "wire/span.h"

#define BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4)

/* Writes BASE64_SIZE(bytes.len) characters and returns that number. */
size_t base64_encode(char *buf, struct span bytes);

/* Returns the number of bytes, -ENOBUFS when they would not fit `size` bytes, or -EINVAL when the
 * text is not what base64_encode would have written; what is in buf is then undefined. It may be
 * where `text` is: nothing is written before what it stands for has been read. */
int base64_decode(char *buf, size_t size, struct span text);

#define BASE64URL_SIZE(bytes) (((bytes)*4 + 2) / 3)

/* Writes BASE64URL_SIZE(bytes.len) characters and returns that number. */
size_t base64url_encode(char *buf, struct span bytes);

/* As base64_decode. */
int base64url_decode(char *buf, size_t size, struct span text);
