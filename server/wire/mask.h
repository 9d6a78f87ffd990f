/* mask: the WebSocket masking XOR (RFC 6455 section 5.3), in place.
 *
 * Threads  any.
 * Memory   none; any alignment.
 * Cost     one load, XOR and store per vector register. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* XORs buf[i] with key[i % 4]. */
void mask_apply(char *buf, size_t len, const uint8_t key[4]);

/* Rotates the key so that key[0] masks the byte `count` bytes further on. */
void mask_rotate(uint8_t key[4], uint64_t count);
