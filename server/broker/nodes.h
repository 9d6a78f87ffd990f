/* nodes: what the nodes of a cluster ask each other, beside the messages of channels.
 *
 *   shard ─► nodes_send ─► broker's thread ─► engine ─► the threads of others ─► nodes_ear, there
 *                                                                                  │ nodes_reply
 *   shard ◄── done, with what each has said ◄── broker's thread ◄── engine ◄───────┘
 *
 * Idea     A question goes to all others that hear the engine at that moment, or to one node by its
 *          number, and has an answer of each. The engine says how many hear it, so nobody has to
 *          know who there is, and one that has died is not waited for.
 *          An order (to end the sessions of a user, to revoke a token) is kept as well, for nodes
 *          that are cut off, or come later.
 * Threads  nodes_ask_create to nodes_send, and done, on a shard's; the ear on that of shard 0;
 *          nodes_reply there or, by a call, on any shard's.
 * Memory   A question is its asker's until it is sent, and again in done, which frees it. What is
 *          heard is freed behind nodes_reply.
 * Bounds   NODES_OPEN_MAX questions, NODES_HEARD_MAX that are heard and not answered,
 *          NODES_TEXT_MAX bytes of a question, NODES_ANSWERS_MAX of all its answers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub/call.h"
#include "wire/span.h"

struct helper;
struct hub;
struct hub_set;

enum {
    NODES_OPEN_MAX = 4096,
    NODES_HEARD_MAX = 1024,
    NODES_TEXT_MAX = 2 << 20,
    NODES_ANSWERS_MAX = 8 << 20,
    NODES_GLOB_MAX = 512,
};

/* X(NAME, letter): as the engine carries it. */
#define NODES_KINDS(X)                                                                             \
    X(PRESENCE, 'p')                                                                               \
    X(PRESENCE_STATS, 's')                                                                         \
    X(CHANNELS, 'c')                                                                               \
    X(INFO, 'i')                                                                                   \
    X(EMULATION, 'e')                                                                              \
    X(ORDER, 'o')                                                                                  \
    X(REVOKE, 'r')

#define NODES_KIND_ENUM(NAME, letter) NODES_##NAME = (letter),
enum nodes_kind {
    NODES_KINDS(NODES_KIND_ENUM)
    NODES_TAKE = 't', /* no question to nodes, but to the engine: NONCE MS, in hex and digits. It is
                         taken for so long; -EEXIST: it was already */
    NODES_GAP = 'g', /* likewise: all channels of a glob, where * is whatever there is, are to begin
                         a new epoch, and subscribers are to be told; -ENOTSUP: it cannot do that */
};

/* What one node has said. */
struct nodes_answer {
    struct nodes_answer *next;
    int err;
    size_t len;
    char text[];
};

struct nodes_ask {
    struct call call; /* err: 0; -ENOTCONN: nobody was asked; -ENOENT: there is no such node;
                         -ETIMEDOUT: some have not answered; -E2BIG: their answers are too long;
                         -ENOBUFS, -ENOMEM; or what one of them has said */
    void (*done)(void *shard, struct nodes_ask *ask);
    void (*drop)(
        void *context); /* nobody will see it: what `context` holds is free; NULL: nothing */
    void *context;
    enum nodes_kind kind;
    uint64_t to; /* one node; 0: all others */
    /* The broker's */
    uint64_t id;
    int64_t until_ns;
    unsigned expected, answered;
    size_t bytes;

    struct nodes_answer *answers;
    size_t len;
    char text[];
};

/* Returns NULL when memory is out. More than NODES_TEXT_MAX is refused when it is sent. */
struct nodes_ask *nodes_ask_create(enum nodes_kind kind, uint64_t to, struct span text);
/* NULL is allowed. The context is left alone. */
void nodes_ask_free(struct nodes_ask *ask);

/* Asks. Returns 0, and `done` follows; or -ENOBUFS: then it stays with the caller. */
int nodes_send(struct hub *hub, const struct hub_set *set, struct nodes_ask *ask);
/* Likewise for another helper, on its thread; `done` is given what it was made with. */
int nodes_send_by(struct helper *helper, const struct hub_set *set, struct nodes_ask *ask);

struct nodes_heard;
struct nodes_said;

/* What a node has to say to what is heard, once for each: shard 0 is told. */
typedef void nodes_ear(void *shard, struct nodes_heard *heard);

/* A question of another node. */
struct nodes_heard {
    struct call call;
    enum nodes_kind kind;
    uint64_t from, id; /* 0: it is an old order, and nobody waits */
    bool old;
    struct nodes_desk *desk; /* the broker's */
    char *answer;
    size_t answer_len;
    size_t len;
    char text[];
};

/* Answers; the text is copied. On the thread of shard 0: others have a call of their own to it. */
void nodes_reply(struct hub *hub, struct nodes_heard *heard, int err, struct span text);

/* ---- the broker's ---- */

/* Returns NULL when memory is out. */
struct nodes_heard *nodes_heard_create(enum nodes_kind kind, uint64_t from, uint64_t id,
                                       struct span text);
void nodes_heard_free(struct nodes_heard *heard);

bool nodes_is_order(enum nodes_kind kind);

/* What an engine has open: the questions of this node, and those of others that it has not answered
 * yet. On the broker's thread. */
struct nodes_desk {
    struct helper *helper;
    uint64_t self;
    nodes_ear *ear;
    void (*say)(void *engine, const struct nodes_heard *heard); /* to the node that asked */
    void *engine;
    struct nodes_ask *open[NODES_OPEN_MAX]; /* by the lowest bits of their numbers */
    unsigned open_at, open_count;
    unsigned heard_count;
};

/* Gives it a number; until its answers are expected it is UINT32_MAX of them. Returns 0 or
 * -ENOBUFS. */
int nodes_open(struct nodes_desk *desk, struct nodes_ask *ask, uint64_t random, int64_t until_ns);
/* The question of that number; NULL: it has been closed. */
struct nodes_ask *nodes_open_of(const struct nodes_desk *desk, uint64_t id);
/* Gives it back, with that error or what has been answered. */
void nodes_close(struct nodes_desk *desk, struct nodes_ask *ask, int err);
void nodes_close_all(struct nodes_desk *desk, int err);
/* Those that are not answered in time: -ETIMEDOUT. */
void nodes_close_old(struct nodes_desk *desk, int64_t now_ns);
/* Tells the ear, and says what that answers unless it is an old order. Returns 0; or -ENOBUFS: it
 * will not be answered, so its asker is told that somebody was silent. */
int nodes_hear(struct nodes_desk *desk, const struct nodes_said *said, bool old);

/* Adds what a node has said. Returns 0, -E2BIG or -ENOMEM. */
int nodes_answer_add(struct nodes_ask *ask, int err, struct span text);

/* What goes over the engine:  T from id k text  ·  T: Q a question, A an answer, each with two
 * numbers of 16 hex digits, and k its kind, or how it went (nodes_error). */
enum {
    NODES_NUMBER_BYTES = 16,
    NODES_HEAD_BYTES = 1 + 2 * NODES_NUMBER_BYTES + 1,
};

struct nodes_said {
    bool is_answer;
    uint64_t from, id;
    enum nodes_kind kind;
    int err;
    struct span text;
};

void nodes_head_write(char ret[NODES_HEAD_BYTES], const struct nodes_said *said);
/* Returns 0 or -EINVAL. */
int nodes_said_read(struct nodes_said *ret, struct span bytes);
