/* window: the records of one partition that are under way, in their order.
 *
 *     retired │ done  sent  done  sent │ waits  waits
 *             └ head                   └ next          numbers go on from record to record
 *
 * Idea     What is published may be answered in any order; an offset is committed when all before
 *          it are done. Where one failed, what is behind it fails, too (hub/helper.h, lines): when
 *          all that was sent is answered, those are sent again, in order.
 * Threads  The consumer's.
 * Memory   24 bytes for each, doubled as they come, and given back by window_done; records are the
 *          caller's.
 * Bounds   The caller's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum window_state {
    WINDOW_WAITS,
    WINDOW_SENT,
    WINDOW_DONE,
};

struct window_entry {
    void *record; /* NULL once it is done */
    int64_t offset;
    uint32_t bytes;
    uint8_t state; /* enum window_state */
};

struct window {
    struct window_entry *entries;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t head, next, end;
    uint32_t sent;  /* and not answered */
    bool is_broken; /* something failed: nothing is sent until all is answered */
};

/* Appends one that waits. Returns 0 or -ENOMEM. */
int window_push(struct window *window, void *record, int64_t offset, uint32_t bytes);

/* The first that waits to be sent, or NULL; its number. */
struct window_entry *window_next(struct window *window, uint32_t *ret_number);
/* That one was sent. */
void window_sent(struct window *window);
/* That one is done without having been sent. */
void window_skip(struct window *window);

/* The entry of that number, which was sent. */
struct window_entry *window_at(struct window *window, uint32_t number);
/* It was answered: it is done, or is to be sent again. Returns true when that was the last answer
 * of a broken run: window_again. */
bool window_answered(struct window *window, uint32_t number, bool done);
/* What is not done waits again. */
void window_again(struct window *window);

/* Takes those away that are done, with nothing before them that is not. Returns how many, and the
 * offset of the last. */
uint32_t window_retire(struct window *window, int64_t *ret_offset);

static inline uint32_t window_count(const struct window *window)
{
    return window->end - window->head;
}

/* Takes the first away, whatever it is; false: there is none. */
bool window_drop(struct window *window, struct window_entry *ret);
void window_done(struct window *window);
