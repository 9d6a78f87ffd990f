/* centrifuge: clients of the Centrifuge protocol that want nothing but the server's time. All
 * frames are masked with a key of zeros. */
#include "abuse/attack.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    HOLDS_SESSION = 16 * KIB, /* what an open session that says much may hold at any time */
    HOLDS_ANSWERS = 2 * MIB,  /* queue_bytes_max of answers that are not read, and a block */
};

#define HANDSHAKE                                                                                  \
    "GET /connection/websocket HTTP/1.1\\r\\nHost: bench\\r\\nUpgrade: websocket\\r\\n"            \
    "Connection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"                                     \
    "Sec-WebSocket-Key: cmluZ3NpZGUgbG9hZCBrZQ==\\r\\n\\r\\n"

/* A text frame of 126 bytes or more: its length, in hex digits, is the caller's to count. */
#define FRAME(high, low) "\\x81\\xfe\\x" high "\\x" low "\\x00\\x00\\x00\\x00"
#define CONNECTED        HANDSHAKE "\\x81\\x95\\x00\\x00\\x00\\x00{\"id\":1,\"connect\":{}}"

#define TEN(x) x x x x x x x x x x

const struct attack attacks_centrifuge[] = {
    {.name = "sessions-silent",
     .about = "Sessions that never send a connect command",
     .ours = true,
     .setting = "head_timeout_ms=1000",
     .connections = 200,
     .opening = HANDSHAKE,
     .holds = HOLDS_SESSION,
     .ends_by = "closed_session_stale"},
    {.name = "sessions-forged",
     .about = "Sessions with a token that somebody else has signed, one after the other",
     .ours = true,
     .setting = "token_keys=HS256:env:RINGSIDE_BENCH_KEY",
     .connections = 100,
     .opening = HANDSHAKE,
     .text = FRAME("00", "87") "{\"id\":1,\"connect\":{\"token\":\""
                               "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSIsImV4cCI6OTk5OTk5OTk5OX0."
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}}",
     .times = 1,
     .again_ms = 10,
     .holds = HOLDS_SESSION,
     .ends_by = "closed_session_token"},
    {.name = "sessions-crowded",
     .about = "Messages of 1,100 commands, of which 1,024 may be",
     .ours = true,
     .connections = 100,
     .opening = CONNECTED,
     .text = FRAME("0c", "e4") TEN(TEN(TEN("{}\n") "{}\n")),
     .times = 1,
     .again_ms = 10,
     .holds = HOLDS_SESSION,
     .ends_by = "closed_session_bad_request"},
    {.name = "sessions-unread",
     .about = "Messages of 100 commands, whose answers are not read",
     .ours = true,
     .connections = 20,
     .reads = ATTACK_READS_NOTHING,
     .small_window = true,
     .opening = CONNECTED,
     .text = FRAME("07", "6c") TEN(TEN("{\"id\":1,\"ping\":{}}\n")),
     .bytes = 64 * MIB,
     .holds = HOLDS_ANSWERS},
    {.name = "sessions-churn",
     .about = "Subscribe and unsubscribe, ten times in each message, where comings are told",
     .ours = true,
     .setting = ":presence=on",
     .connections = 20,
     .opening = CONNECTED,
     .text = FRAME("03", "c0") TEN("{\"id\":1,\"subscribe\":{\"channel\":\"abuse-churn\"}}\n"
                                   "{\"id\":2,\"unsubscribe\":{\"channel\":\"abuse-churn\"}}\n"),
     .piece = 10000,
     .gap_ms = 20,
     .bytes = 16 * MIB,
     .holds = HOLDS_SESSION},
    {.name = "presence-asked",
     .about = "Members of one channel who ask who is there, over and over",
     .ours = true,
     .setting = ":presence=on",
     .connections = 200,
     .opening = CONNECTED,
     .text = FRAME("02", "11") "{\"id\":1,\"subscribe\":{\"channel\":\"abuse-present\"}}\n" TEN(
         "{\"id\":2,\"presence\":{\"channel\":\"abuse-present\"}}\n"),
     .gap_ms = 200,
     .bytes = 8 * MIB,
     .holds = HOLDS_ANSWERS},
    {0},
};
