/* segment: one TCP segment in an IPv4 packet, as bytes and as fields.
 *
 *   0       20      40
 *   ├ IPv4 ─┼ TCP ──┼ options ┼ payload ─┤      RFC 791, RFC 9293 section 3.1
 *
 * Idea     What a client says needs few options: MSS, and where they are asked for SACK (RFC 2018),
 *          timestamps and window scale (RFC 7323). Those that we do not know are passed over.
 * Threads  any.
 * Memory   the caller's; a parsed payload points into the packet.
 * Errors   enum segment_error, negated: why a packet is not taken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SEGMENT_HEAD_MIN = 40,
    SEGMENT_HEAD_MAX = 80,
    SEGMENT_SACKS_MAX = 4,     /* with a timestamp one less are written */
    SEGMENT_TIMESTAMP = 12,    /* bytes of a head that it takes */
    SEGMENT_SCALE_MAX = 14,    /* RFC 7323 section 2.3 */
    SEGMENT_MSS_DEFAULT = 536, /* of who says nothing; RFC 9293 section 3.7.1 */
};

enum segment_flag {
    SEGMENT_FIN = 0x01,
    SEGMENT_SYN = 0x02,
    SEGMENT_RST = 0x04,
    SEGMENT_PSH = 0x08,
    SEGMENT_ACK = 0x10,
};

enum segment_error {
    SEGMENT_OK,
    SEGMENT_NOT_IPV4, /* IPv6, as the kernel sends for its own ends */
    SEGMENT_CUT,      /* shorter than it says */
    SEGMENT_FRAGMENT, /* none is sent on this path */
    SEGMENT_NOT_TCP,
    SEGMENT_HEADER,   /* a length against RFC 791 or RFC 9293 */
    SEGMENT_CHECKSUM, /* wrong, where the kernel has not vouched for it */
    SEGMENT_ERROR_COUNT,
};

struct segment_sack {
    uint32_t from, to; /* received: from ≤ sequence number < to */
};

struct segment {
    uint32_t from, to; /* addresses; all numbers are in host order */
    uint16_t from_port, to_port;
    uint32_t seq, ack;
    uint16_t window;
    uint8_t flags;
    bool sack_permitted; /* of a SYN */
    bool scaled;         /* of a SYN: windows after it are to be shifted left by `scale` */
    bool timed;          /* it has a timestamp, and an echo of one */
    uint8_t scale;
    uint16_t mss; /* of a SYN; 0: not said */
    uint32_t time, echo;
    uint16_t sack_count;
    struct segment_sack sacks[SEGMENT_SACKS_MAX];
    const char *bytes; /* payload */
    size_t len;
};

/* Reads a packet; `vouched`: its checksum need not be looked at. Returns 0, or a negated enum
 * segment_error and *ret as it was. */
int segment_parse(struct segment *ret, const char *packet, size_t len, bool vouched);

/* Writes both heads for a payload of segment->len bytes, which follows them. The TCP checksum is
 * that of the pseudo-header alone: whoever takes the packet adds the rest (CHECKSUM_PARTIAL, as
 * Linux calls it). Returns how many bytes. */
size_t segment_head_write(char out[SEGMENT_HEAD_MAX], const struct segment *segment);

/* Adds what segment_head_write leaves out, to a whole packet. */
void segment_checksum_write(char *packet, size_t len);

/* a is before b, in the circle of sequence numbers: RFC 9293 section 3.4. */
static inline bool segment_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}
