/* tls: handshakes that are never finished, or never meant, and records that are cut to annoy. */
#include "abuse/attack.h"

enum {
    KIB = 1024,
    HOLDS_BYTES = 8 * KIB,      /* a connection whose hello is not there in whole */
    HOLDS_HANDSHAKE = 32 * KIB, /* one that waits for the client's key exchange */
};

/* A client's hello for TLS 1.2, ECDHE-ECDSA-AES128-GCM-SHA256 and P-256: 74 bytes. */
#define HELLO_HALF                                                                                 \
    "\\x01\\x00\\x00\\x46\\x03\\x03"                                                               \
    "abandoned-by-whoever-sent-this-1"
#define HELLO_REST                                                                                 \
    "\\x00\\x00\\x02\\xc0\\x2b\\x01\\x00\\x00\\x1b\\x00\\x0a\\x00\\x04\\x00\\x02\\x00\\x17"        \
    "\\x00\\x0b\\x00\\x02\\x01\\x00\\x00\\x0d\\x00\\x04\\x00\\x02\\x04\\x03\\xff\\x01\\x00\\x01"   \
    "\\x00"
#define RECORD "\\x16\\x03\\x01\\x00\\x4a"

const struct attack attacks_tls[] = {
    {.name = "tls-one-byte",
     .about = "The first byte of a TLS record, and nothing more",
     .tls = true,
     .connections = 2000,
     .text = "\\x16",
     .times = 1,
     .holds = HOLDS_BYTES},
    {.name = "tls-half-hello",
     .about = "Half of a client's hello",
     .tls = true,
     .connections = 2000,
     .text = RECORD HELLO_HALF,
     .times = 1,
     .holds = HOLDS_BYTES},
    {.name = "tls-empty-records",
     .about = "Handshake records with nothing in them",
     .tls = true,
     .connections = 16,
     .text = "\\x16\\x03\\x01\\x00\\x00",
     .piece = 5000,
     .gap_ms = 50,
     .again_ms = 100,
     .bytes = 1024 * KIB,
     .holds = HOLDS_HANDSHAKE},
    {.name = "tls-abandoned",
     .about = "Handshakes that are abandoned once the server has signed for them, 100 a second",
     .tls = true,
     .connections = 10,
     .opening = RECORD HELLO_HALF HELLO_REST,
     .ends = true,
     .again_ms = 100,
     .holds = HOLDS_HANDSHAKE},
    {.name = "tls-held",
     .about = "Handshakes that stop once the server has signed for them, in as many places as "
              "there are",
     .tls = true,
     .connections = 1200,
     .opening = RECORD HELLO_HALF HELLO_REST,
     .holds = HOLDS_HANDSHAKE},
    {.name = "tls-renegotiation",
     .about = "Handshakes, each followed by another hello inside of it",
     .tls = true,
     .secure = true,
     .connections = 4,
     .text = HELLO_HALF HELLO_REST,
     .times = 1,
     .again_ms = 50,
     .holds = HOLDS_HANDSHAKE},
    {.name = "tls-alert",
     .about = "A closing alert in a record that is longer than the alert, byte by byte",
     .tls = true,
     .connections = 1,
     .text = "\\x15\\x03\\x01\\x00\\x03\\x01\\x00\\x00",
     .times = 1,
     .piece = 1,
     .gap_ms = 5,
     .again_ms = 100,
     .holds = HOLDS_HANDSHAKE},
    {0},
};
