/* tcp: connections that take a place and no more, and readers that are slow on purpose. */
#include "abuse/attack.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    HOLDS_LINE = 4 * KIB,    /* a connection that has said nothing */
    HOLDS_QUEUE = 2 * MIB,   /* queue_bytes_max, and a frame that was begun below it */
    HOLDS_PIECE = 256 * KIB, /* of an answer, in a block, and what else waits */
};

const struct attack attacks_tcp[] = {
    {.name = "full-table",
     .about = "More connections than the table has places, which say nothing",
     .shuts = true,
     .connections = 4000,
     .holds = HOLDS_LINE},
    {.name = "connect-reset",
     .about = "Connections that are reset as soon as they are there, 3,000 a second",
     .connections = 30,
     .ends = true,
     .again_ms = 10,
     .holds = HOLDS_LINE},
    {.name = "zero-window",
     .about = "Subscribers with the smallest of buffers that read nothing",
     .connections = 100,
     .small_window = true,
     .reads = ATTACK_READS_NOTHING,
     .opening = "@upgrade@",
     .holds = HOLDS_QUEUE},
    {.name = "one-byte-window",
     .about = "A large answer into the smallest of buffers, of which 20 bytes a second are read",
     .connections = 16,
     .fill = 1,
     .small_window = true,
     .reads = ATTACK_READS_TRICKLE,
     .text = "GET @get@ HTTP/1.1\r\nHost: bench\r\n\r\n",
     .times = 1,
     .holds = HOLDS_PIECE},
    {.name = "trickled-reads",
     .about = "A large answer of which 20 bytes a second are read",
     .connections = 16,
     .fill = 1,
     .reads = ATTACK_READS_TRICKLE,
     .text = "GET @get@ HTTP/1.1\r\nHost: bench\r\n\r\n",
     .times = 1,
     .holds = HOLDS_PIECE},
    {.name = "trickled-acks",
     .about = "Subscribers with the smallest of buffers that read 20 bytes a second",
     .connections = 100,
     .small_window = true,
     .reads = ATTACK_READS_TRICKLE,
     .opening = "@upgrade@",
     .holds = HOLDS_QUEUE},
    {0},
};
