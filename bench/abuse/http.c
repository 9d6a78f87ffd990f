/* http: requests that are never finished, answers that are never read, and requests for much. */
#include "abuse/attack.h"

#define KIB 1024
#define MIB (1024 * KIB)

enum {
    HOLDS_HEAD = 16 * KIB,  /* a request head of 8 KiB, in a buffer that has doubled */
    HOLDS_QUEUE = 2 * MIB,  /* queue_bytes_max, and what the last answer was longer */
    HOLDS_ANSWER = 8 * MIB, /* one answer of 1 MiB of byte 0x01, six bytes each in JSON */
};

const struct attack attacks_http[] = {
    {.name = "polls-unread",
     .about = "Pipelined polls of a full channel, of which no answer is read",
     .connections = 4,
     .fill = 1,
     .reads = ATTACK_READS_NOTHING,
     .text = "GET @get@ HTTP/1.1\r\nHost:a\r\n\r\n",
     .bytes = 8 * KIB,
     .holds = HOLDS_ANSWER},
    {.name = "metrics-unread",
     .about = "Pipelined requests for /metrics, of which no answer is read",
     .ours = true,
     .connections = 16,
     .reads = ATTACK_READS_NOTHING,
     .text = "GET /metrics HTTP/1.1\r\nHost:a\r\n\r\n",
     .bytes = MIB,
     .holds = HOLDS_QUEUE},
    {.name = "half-heads",
     .about = "Half a request head, and nothing more",
     .connections = 2000,
     .text = "GET @get@ HTTP/1.1\r\nHost: be",
     .times = 1,
     .holds = HOLDS_HEAD},
    {0},
};
