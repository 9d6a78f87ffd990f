/* sctp_packet: packets of SCTP, their chunks, and the parameters of chunks (RFC 9260 section 3).
 *
 *    0             2                  4          8          12
 *   ┌─────────────┬──────────────────┬──────────┬──────────┬─────────────────────────────┐
 *   │ source port │ destination port │ tag      │ CRC-32C  │ chunks                      │
 *   └─────────────┴──────────────────┴──────────┴──────────┴─────────────────────────────┘
 *     chunk      type, flags, length: 2, value, zeros up to a multiple of 4
 *     parameter  type: 2, length: 2, value, likewise
 *
 * Threads  any.
 * Memory   the caller's. What was read points into the packet.
 * Bounds   SCTP_PACKET_MAX bytes are written; what is read may be as long as a datagram. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCTP_HEAD_SIZE = 12,
    SCTP_CHUNK_HEAD = 4,
    SCTP_PACKET_MAX = 1184, /* with a record of DTLS, UDP and IPv6 around it: below 1,280 bytes */
};

enum sctp_chunk_type {
    SCTP_DATA = 0,
    SCTP_INIT = 1,
    SCTP_INIT_ACK = 2,
    SCTP_SACK = 3,
    SCTP_HEARTBEAT = 4,
    SCTP_HEARTBEAT_ACK = 5,
    SCTP_ABORT = 6,
    SCTP_SHUTDOWN = 7,
    SCTP_SHUTDOWN_ACK = 8,
    SCTP_ERROR = 9,
    SCTP_COOKIE_ECHO = 10,
    SCTP_COOKIE_ACK = 11,
    SCTP_SHUTDOWN_COMPLETE = 14,
    SCTP_RE_CONFIG = 130,
    SCTP_FORWARD_TSN = 192,
};

enum sctp_parameter_type {
    SCTP_STATE_COOKIE = 7,
    SCTP_OUTGOING_RESET = 13,
    SCTP_INCOMING_RESET = 14,
    SCTP_TSN_RESET = 15,
    SCTP_RECONFIG_RESPONSE = 16,
    SCTP_ADD_OUTGOING = 17,
    SCTP_ADD_INCOMING = 18,
    SCTP_SUPPORTED_EXTENSIONS = 0x8008,
    SCTP_FORWARD_TSN_SUPPORTED = 0xc000,
};

enum {
    SCTP_FLAG_T = 0x01, /* ABORT, SHUTDOWN COMPLETE: the tag is the one that was received */
    SCTP_FLAG_E = 0x01, /* DATA: the message ends, begins, knows no order, wants its SACK now */
    SCTP_FLAG_B = 0x02,
    SCTP_FLAG_U = 0x04,
    SCTP_FLAG_I = 0x08,
};

struct sctp_head {
    uint16_t source, destination;
    uint32_t tag;
};

/* A chunk, or a parameter: those have no flags. */
struct sctp_chunk {
    uint16_t type;
    uint8_t flags;
    const uint8_t *value;
    size_t len;
};

struct sctp_reader {
    const uint8_t *at;
    size_t left;
};

enum sctp_error {
    SCTP_LENGTH = -1,   /* shorter than its head, or a length that the packet contradicts */
    SCTP_CHECKSUM = -2, /* the CRC-32C is another                                         */
    SCTP_PORT = -3,     /* not the ports of the association                               */
    SCTP_TAG = -4,      /* not its verification tag                                       */
};

/* Checks length and checksum, and begins to read. Returns 0, or an enum sctp_error. */
int sctp_packet_read(struct sctp_head *ret, struct sctp_reader *chunks, const uint8_t *packet,
                     size_t len);

/* Return 1 with the next one, 0 at the end, or SCTP_LENGTH. */
int sctp_chunk_next(struct sctp_chunk *ret, struct sctp_reader *chunks);
int sctp_parameter_next(struct sctp_chunk *ret, struct sctp_reader *parameters);

struct sctp_writer {
    uint8_t *packet;
    size_t at, size;
};

void sctp_packet_begin(struct sctp_writer *ret, uint8_t *packet, size_t size,
                       const struct sctp_head *head);

/* The bytes that a chunk's value may still have. */
size_t sctp_packet_room(const struct sctp_writer *writer);

/* Writes the head of a chunk, and zeros behind it up to its end. Returns where its value goes; the
 * caller has made sure of the room. */
uint8_t *sctp_chunk_write(struct sctp_writer *writer, uint8_t type, uint8_t flags, size_t len);

/* Returns where the value goes; `at` is where the parameter does. */
uint8_t *sctp_parameter_write(uint8_t *at, uint16_t type, size_t len);

/* Writes the checksum. Returns the size of the packet, 0 when it has no chunk. */
size_t sctp_packet_end(struct sctp_writer *writer);

static inline size_t sctp_padded(size_t len)
{
    return (len + 3) & ~(size_t)3;
}
