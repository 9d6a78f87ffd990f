/* http2_heads: looks at the heads of frames as they go by, for what the library does not tell.
 *
 *   preface, 24 bytes │ length 3 │ type │ flags │ stream 4 │ payload … │ length │ …
 *
 * Idea     Streams that are gone the library takes for ones that we have reset, whose last frames
 *          may be on their way. But frames of a stream that the client has ended itself (RFC 9113
 *          section 5.1), or whose number it has passed over (section 5.1.1), are errors; and frames
 *          that do nothing are worth a bound.
 * Threads  any.
 * Memory   the caller's, 68 bytes.
 * Bounds   Of the streams that the client has ended the last HTTP2_ENDED_KEPT, and the last gap
 *          between two numbers. What is older is not noticed, and ignored by the library. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    HTTP2_PREFACE_BYTES = 24,
    HTTP2_HEAD_BYTES = 9,
    HTTP2_ENDED_KEPT = 8,
};

struct http2_heads {
    uint32_t skip;             /* bytes of the preface or of a payload that are still to come */
    uint32_t newest;           /* number of a stream that the client has used */
    uint32_t gap_from, gap_to; /* those that it has passed over last; none while to < from */
    uint32_t ended[HTTP2_ENDED_KEPT];
    uint8_t ended_at;
    uint8_t have; /* bytes of a head */
    uint8_t head[HTTP2_HEAD_BYTES];
};

/* What a run of bytes had in it. */
struct http2_heads_found {
    uint32_t idle_frames; /* PING, SETTINGS, PRIORITY, empty DATA, unknown ones */
    uint32_t error;       /* a code of RFC 9113 section 7; 0: none */
    size_t good; /* bytes before the frame with the error; it has at most nine behind it that were
                    taken before */
};

void http2_heads_init(struct http2_heads *heads);

/* Looks at what came. After an error it is not to be called again. */
struct http2_heads_found http2_heads_take(struct http2_heads *heads, const char *bytes, size_t len);
