/* doubts: messages of which nobody will ever know whether they were published: the connection ended
 * before the answer, or the server said that it does not know either. Who has one has it once, and
 * who has not has lost nothing.
 *
 * Threads  the owner's.
 * Memory   in place.
 * Bounds   DOUBTS_MAX; further ones count as published. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    DOUBTS_MAX = 1024,
};

struct doubts {
    uint32_t count;
    uint32_t numbers[DOUBTS_MAX]; /* rising */
};

void doubts_add(struct doubts *doubts, uint32_t number);
bool doubts_have(const struct doubts *doubts, uint32_t number);

/* How many there are in one of so many channels, with sequences from `from` to before `to`. */
uint32_t doubts_between(const struct doubts *doubts, uint32_t channels, uint32_t channel,
                        uint32_t from, uint32_t to);
