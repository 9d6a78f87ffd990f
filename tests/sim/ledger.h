/* ledger: the truth about messages: what was sent, which number it got, and who may see what.
 *
 * Idea     Every message has an id, and its payload follows from the id alone. Its number (epoch
 *          and offset) is learned from whoever tells it first: the answer to its publisher, a
 *          reader that is told offsets, the shard that delivers it. All must agree. A reader has a
 *          cursor per channel: the next message must have the next number, unless the reader was
 *          told that something is missing.
 * Memory   The ledger's; ledger_done frees. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;

enum {
    LEDGER_PAYLOAD_MAX = 40000,
};

enum ledger_fate {
    LEDGER_SENT,    /* nobody has said what became of it */
    LEDGER_TAKEN,   /* it has a number */
    LEDGER_REFUSED, /* its publisher was told that it was not taken: nobody may see it */
};

struct ledger_message {
    unsigned channel;
    bool json;
    bool last; /* of its channel, as its publisher said */
    enum ledger_fate fate;
    uint64_t epoch;
    uint64_t offset;
    int64_t taken_ns; /* when that was heard first */
};

/* One life of a channel's numbering. */
struct ledger_epoch {
    unsigned channel;
    uint64_t epoch;
    uint64_t last;
    uint64_t end;  /* the number behind which there is none; 0: not known */
    uint64_t *ids; /* by offset - 1; 0: not known */
    size_t size;
};

struct ledger {
    struct sim *sim;
    struct ledger_message *messages; /* by id; 0 is none */
    uint64_t count;
    uint64_t size;
    struct ledger_epoch *epochs;
    size_t epoch_count;
    uint64_t newest[16]; /* by channel: the id of the last message that was acknowledged */
    uint64_t ends[16];   /* by channel: messages that were sent as the last */
};

/* Where a reader stands in a channel. */
struct ledger_cursor {
    unsigned channel;
    bool known;
    uint64_t epoch;
    uint64_t offset;
};

/* A number, of one life of its channel. */
struct ledger_place {
    uint64_t epoch, offset;
};

/* The newest number that is known of a channel, of the life that was heard of last. */
struct ledger_place ledger_newest(const struct ledger *ledger, unsigned channel);

void ledger_init(struct ledger *ledger, struct sim *sim);
void ledger_done(struct ledger *ledger);

/* A new message's id. */
uint64_t ledger_new(struct ledger *ledger, unsigned channel);
/* The same of one whose payload is JSON, in a line. */
uint64_t ledger_new_json(struct ledger *ledger, unsigned channel);

/* The payload of a message, into LEDGER_PAYLOAD_MAX bytes; returns its length. */
size_t ledger_payload(const struct ledger *ledger, uint64_t id, char *ret);
/* The same of any number, which need not be that of a message. */
size_t ledger_bytes(const struct ledger *ledger, uint64_t id, char *ret);

/* The id that a payload claims to be of. */
uint64_t ledger_id(const struct ledger *ledger, const char *payload, size_t len);

/* Whose payload this is; a breach if it is nobody's, or not exactly as it was sent. */
uint64_t ledger_identify(const struct ledger *ledger, unsigned channel, const char *payload,
                         size_t len);

/* Somebody told the number of a message. */
void ledger_learn(struct ledger *ledger, uint64_t id, uint64_t epoch, uint64_t offset);

/* Somebody stands there and was told that the channel has ended. */
void ledger_end(struct ledger *ledger, const struct ledger_cursor *cursor);
/* Whether the cursor is known to stand at the end. */
bool ledger_at_end(const struct ledger *ledger, const struct ledger_cursor *cursor);

/* Its publisher was refused. */
void ledger_refuse(struct ledger *ledger, uint64_t id);

/* A reader got a message. `epoch` and `offset` are what it was told, 0 where it was not. With
 * `gaps` it may have missed some since the last one, by the server's policy. */
void ledger_take(struct ledger *ledger, struct ledger_cursor *cursor, uint64_t id, uint64_t epoch,
                 uint64_t offset, bool gaps);

/* Whether a message is behind the cursor or at it: the reader has it, or was told otherwise. */
bool ledger_behind(const struct ledger *ledger, const struct ledger_cursor *cursor, uint64_t id);
