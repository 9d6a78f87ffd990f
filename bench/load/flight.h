/* flight: the messages of a group that are on their way, and when each has reached everybody.
 *
 *     number % LOAD_FLIGHTS ─► { number, intended, sent, how many it must reach, how many it has }
 *
 * What one batch of receives brings is first gathered per message (`fresh`), and put into the
 * histograms once per message and batch: they all have the same time.
 *
 * Threads  the owner's.
 * Memory   inside struct flights.
 * Bounds   LOAD_FLIGHTS messages. One that is under way when its place is needed is given up. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/histogram.h"
#include "load/load.h"

struct flight {
    uint32_t number; /* 0: none */
    uint32_t expected;
    uint32_t delivered;
    uint32_t fresh; /* deliveries of the batch being read */
    int64_t intended_ns;
    int64_t sent_ns;
    bool open;
};

struct flights {
    uint32_t open;   /* under way */
    uint32_t last;   /* number of the last launch; numbers only rise */
    uint32_t oldest; /* none below it is under way */
    uint32_t touched_count;
    uint64_t incomplete; /* given up */
    uint64_t missing;    /* deliveries that those lacked */
    uint32_t touched[LOAD_FLIGHTS];
    struct flight slots[LOAD_FLIGHTS];
};

/* A message is on its way to `expected` subscribers. */
void flights_launch(struct flights *flights, uint32_t number, uint32_t expected,
                    int64_t intended_ns, int64_t sent_ns);

/* One more subscriber has it. Returns false when the message is not known, or no longer. */
bool flights_note(struct flights *flights, uint32_t number);

/* The batch is over, and was received at now_ns. */
void flights_settle(struct flights *flights, int64_t now_ns, struct histogram *corrected,
                    struct histogram *uncorrected);

/* A subscriber is gone that would have received the messages from, from + step, …. */
void flights_leave(struct flights *flights, uint64_t from, uint32_t step);

/* When the oldest message that is under way was due; INT64_MAX: none is. */
int64_t flights_oldest_ns(struct flights *flights);

/* Whatever is under way is not waited for any longer. */
void flights_give_up(struct flights *flights);
