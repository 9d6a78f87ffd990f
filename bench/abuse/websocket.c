/* websocket: messages that are never finished, frames of nothing, pings whose pongs are not read,
 * and subscribers that do not stay. All frames are masked with a key of zeros. */
#include "abuse/attack.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    HOLDS_SOCKET = 16 * KIB, /* what an open WebSocket that says much may hold at any time */
    HOLDS_PONG = 64 * KIB,   /* a block of frames, of which one pong is owed */
    HOLDS_REPLAY = 8 * MIB,  /* a message of 1 MiB as JSON has it at worst, and its block */
};

/* A binary message begins with a fragment of nothing, right behind the handshake. */
#define BEGINS "@upgrade@\\x02\\x80\\x00\\x00\\x00\\x00"

const struct attack attacks_websocket[] = {
    {.name = "half-frames",
     .about = "A message of 1 MiB in one frame, less its last byte",
     .connections = 100,
     .reads = ATTACK_READS_NOTHING,
     .opening = "@upgrade@",
     .text = "\\x82\\xff\\x00\\x00\\x00\\x00\\x00\\x0f\\xff\\xf0\\x00\\x00\\x00\\x00",
     .bulk = MIB - 17,
     .times = 1,
     .holds = HOLDS_SOCKET},
    {.name = "half-fragments",
     .about = "15 fragments of 64 KiB of a message that never ends",
     .connections = 100,
     .reads = ATTACK_READS_NOTHING,
     .opening = BEGINS,
     .text = "\\x00\\xfe\\xff\\xff\\x00\\x00\\x00\\x00",
     .bulk = 64 * KIB - 1,
     .times = 15,
     .holds = HOLDS_SOCKET},
    {.name = "empty-fragments",
     .about = "Fragments of nothing of a message that never ends, 100,000 a second",
     .connections = 10,
     .opening = BEGINS,
     .text = "\\x00\\x80\\x00\\x00\\x00\\x00",
     .piece = 6000,
     .gap_ms = 100,
     .bytes = 8 * MIB,
     .holds = HOLDS_SOCKET},
    {.name = "pings-unread",
     .about = "Empty pings whose pongs are not read",
     .connections = 50,
     .reads = ATTACK_READS_NOTHING,
     .opening = "@upgrade@",
     .text = "\\x89\\x80\\x00\\x00\\x00\\x00",
     .piece = 6000,
     .gap_ms = 20,
     .bytes = 16 * MIB,
     .holds = HOLDS_PONG},
    {.name = "long-pings-unread",
     .about = "Pings of 125 bytes whose pongs are not read",
     .connections = 20,
     .reads = ATTACK_READS_NOTHING,
     .opening = "@upgrade@",
     .text = "\\x89\\xfd\\x00\\x00\\x00\\x00",
     .bulk = 125,
     .bytes = 128 * MIB,
     .holds = HOLDS_PONG},
    {.name = "envelopes-unread",
     .about = "WebSockets whose replay is one message of 1 MiB in an envelope, and is not read",
     .ours = true,
     .connections = 16,
     .fill = 1,
     .reads = ATTACK_READS_NOTHING,
     .opening = "GET /ws?envelope=1&channel=abuse-0&since=start HTTP/1.1\\r\\nHost: bench\\r\\n"
                "Upgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
                "Sec-WebSocket-Key: cmluZ3NpZGUgbG9hZCBrZQ==\\r\\n\\r\\n",
     .holds = HOLDS_REPLAY},
    {.name = "subscribe-churn",
     .about = "Subscribers that leave as soon as they are in, and come again",
     .connections = 20,
     .opening = "@upgrade@",
     .ends = true,
     .again_ms = 20,
     .holds = HOLDS_SOCKET},
    {0},
};
