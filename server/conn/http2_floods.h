/* http2_floods: what a client may make a connection do for nothing, and how much of it.
 *
 * Idea     Each of these is allowed by RFC 9113, costs the client a few bytes, and is of no use to
 *          anybody in such numbers. So each has a bucket or a bound, a name, and the same end:
 *          GOAWAY with ENHANCE_YOUR_CALM (section 10.5), CLOSE_HTTP2_FLOOD, and a count.
 * Threads  The shard's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, name, what it is) */
#define HTTP2_FLOODS(X)                                                                            \
    X(RESETS, resets,                                                                              \
      "streams reset by the client, or by us for its errors, beyond http2_resets_per_s")           \
    X(IDLE_FRAMES, idle_frames, "PING, SETTINGS, PRIORITY, empty DATA and unknown frames")         \
    X(ACKS, acks, "answers to PING and SETTINGS that it does not read")                            \
    X(CONTINUATIONS, continuations, "CONTINUATION frames of one head")                             \
    X(HEAD, head, "fields of one head: four times head_bytes_max")                                 \
    X(MEMORY, memory, "what the library holds for it")

#define HTTP2_FLOOD_ENUM(NAME, ...) HTTP2_FLOOD_##NAME,
enum http2_flood {
    HTTP2_FLOODS(HTTP2_FLOOD_ENUM) HTTP2_FLOOD_COUNT,
};

enum {
    HTTP2_RESETS_BURST_S = 10, /* seconds of http2_resets_per_s in a rush */
    HTTP2_IDLE_FRAMES_BURST = 1000,
    HTTP2_IDLE_FRAMES_PER_S = 100,
    HTTP2_ACKS_MAX = 1000,       /* that wait to be sent */
    HTTP2_CONTINUATIONS_MAX = 8, /* the library's own */
    HTTP2_HEAD_TIMES = 4,        /* head_bytes_max, decoded; up to that it is answered 431 */
    HTTP2_SESSION_BYTES = 65536, /* of the library, for a session */
    HTTP2_STREAM_BYTES = 2048,   /* and for each stream that it may have */
};

/* Full when `until_ns` is past; each unit puts it off by an interval. */
struct http2_bucket {
    int64_t until_ns;
};

/* Takes one of so many a second, with a rush of `burst`; returns false when there is none. */
bool http2_bucket_take(struct http2_bucket *bucket, int64_t per_s, int64_t burst, int64_t now_ns);

const char *http2_flood_name(enum http2_flood flood);
/* Of RFC 9113 section 7: "protocol_error", …; codes beyond the last have one name for all. */
enum {
    HTTP2_CODES = 15,
};
const char *http2_code_name(uint32_t code);
