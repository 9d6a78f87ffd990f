/* attack: what one client, or a crowd of them, does to a server, as one row of a table.
 *
 *     attacks_http, _http2, _websocket, _centrifuge, _tcp, _tls      a file for each family
 *
 *     connect ─► `opening`, answered ─► `text` and `bulk` bytes, `times` over ─► stay, or go
 *        ▲                                in pieces of `piece`, `gap_ms` apart     and come again
 *        └─────────────── again_ms later, where the server has ended it ──────────────┘
 *
 * Idea     A row is data. One engine (attacker.h) plays them all, so a new attack needs no code.
 *          Texts are written as the manifests of peers write theirs (abuse/text.h: escapes,
 *          @places@), so a row without `ours` is played against every server: its places are
 *          filled in with that server's paths.
 * Threads  constant.
 * Bounds   of every row: `connections`, `bytes`, and the seconds that the experiment gives. They
 *          are a test's bounds: enough to show a fault, and no load that any server would suffer
 *          under by its volume alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    ATTACK_NUMBER_DIGITS = 7,
    ATTACK_TEXT_MAX = 8192, /* filled in */
    ATTACK_FILL_BYTES = 1 << 20,
    ATTACK_FILL_MAX = 32,
    /* What the server may always take besides: threads' caches, tables, what others cost. */
    ATTACK_SLACK_BYTES = 8 << 20,
    /* Memory for each byte that an attacker sends. */
    ATTACK_FACTOR = 4,
};

/* A run of these in a text is a number, another one each time that it is sent. */
#define ATTACK_NUMBER "#######"

enum attack_reads {
    ATTACK_READS_ALL,
    ATTACK_READS_NOTHING, /* beyond the answer to `opening` */
    ATTACK_READS_TRICKLE, /* a byte every 50 ms */
};

struct attack {
    const char *name;
    const char *about; /* one sentence, without a full stop */
    bool ours;         /* what it asks for is Ringside's own: no other server is attacked so */
    bool tls;          /* at the port for TLS; else at the plain one */
    bool secure;       /* behind a handshake, `text` being a handshake message of its own */
    bool ends;         /* with everything sent it resets the connection; else it stays */
    bool small_window; /* the smallest receive buffer that the kernel gives */
    bool shuts;        /* takes a table that is bounded by its nature: newcomers may be refused */
    enum attack_reads reads;
    const char *setting;  /* of our server, for what it asks for; NULL: none */
    uint32_t connections; /* at one time */
    uint32_t fill;        /* so many channels hold a message of 1 MiB of byte 0x01 before */
    const char *opening;  /* NULL: none */
    const char *text;     /* NULL: nothing is said */
    uint32_t bulk;        /* bytes 'a' behind it */
    uint32_t times;       /* 0: until the end */
    uint32_t piece;       /* bytes of one send; 0: as many as go */
    uint32_t gap_ms;      /* between two sends of a connection */
    uint32_t again_ms;    /* until one that ended connects again; 0: a second */
    uint64_t bytes;       /* at most, of all connections together; 0: as `times` says */
    uint32_t holds;       /* bytes that a server may hold for one of the connections, besides */
    uint32_t keeps;       /* and in tables that have a bound of their own: these may stay */
    const char *ends_by;  /* the counter of harm.reasons that says so; NULL: no bound is met */
};

/* Each ends with a row without a name. */
extern const struct attack attacks_http[], attacks_http2[], attacks_websocket[],
    attacks_centrifuge[], attacks_tcp[], attacks_tls[];

/* All, one after the other: NULL from the count on. */
const struct attack *attack_at(unsigned index);

/* Whether `names` ("polls-unread,tls-alert"; NULL: all) has it. */
bool attack_named(const struct attack *attack, const char *names);

/* Returns the first part of `names` that is no attack, as its length and place; or 0. */
unsigned attack_unknown(const char *names, const char **ret);

/* What a server may take in memory for what this attacker did. */
uint64_t attack_bound_bytes(const struct attack *attack, uint32_t connections, uint64_t sent_bytes);
