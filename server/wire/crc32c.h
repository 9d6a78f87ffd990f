/* crc32c: the checksum of SCTP (RFC 9260 appendix A), by the CPU's instruction where it has one.
 *
 * Threads  any.
 * Memory   one constant table of 64 bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Goes on with a checksum; the first piece goes on with 0. */
uint32_t crc32c(uint32_t crc, const uint8_t *bytes, size_t len);
