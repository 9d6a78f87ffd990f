/* history: the newest messages of one channel.
 *
 *   offsets    last-count+1 … last          no gaps: the place of an offset is arithmetic
 *              ┌───┬───┬───┬───┐
 *   ring       │ o │ o │ o │ o │            pointers; grows by doubling
 *              └───┴───┴───┴───┘
 *
 * Threads  The home shard's.
 * Memory   Holds one reference per message.
 * Bounds   The caller drops what is over a bound: history.c only stores. */
#pragma once

#include <stdint.h>

struct message;

struct history {
    struct message **ring;
    uint64_t bytes; /* of history_cost */
    uint32_t head;
    uint32_t count;
    uint32_t capacity; /* a power of two, or 0 */
};

/* What a kept message takes: its head and name count, or a flood of empty payloads would be free.
 */
uint64_t history_cost(const struct message *message);

/* Makes room for one more, so that the append cannot fail. Returns 0 or -ENOMEM. */
int history_reserve(struct history *history);
/* Takes a reference of its own. */
void history_append(struct history *history, struct message *message);
/* Drops the oldest. */
void history_drop(struct history *history);
/* 0 is the oldest. */
struct message *history_at(const struct history *history, uint32_t index);
/* Drops all and gives the ring back; the history may be used again. */
void history_done(struct history *history);
