#include "relay/delay.h"

#include <assert.h>
#include <stddef.h>

void delay_init(struct delay *delay, char *bytes, uint32_t size, struct delay_mark *marks,
                uint32_t mark_count)
{
    assert(size > 0 && (size & (size - 1)) == 0);
    assert(mark_count > 1 && (mark_count & (mark_count - 1)) == 0);
    *delay = (struct delay){
        .bytes = bytes,
        .size = size,
        .marks = marks,
        .mark_count = mark_count,
    };
}

static struct delay_mark *mark_at(const struct delay *delay, uint32_t index)
{
    return &delay->marks[index & (delay->mark_count - 1)];
}

/* One mark is kept for the end. */
static bool marks_full(const struct delay *delay)
{
    return delay->mark_in - delay->mark_out >= delay->mark_count - 1;
}

static uint32_t until_wrap(const struct delay *delay, uint64_t position)
{
    return delay->size - (uint32_t)(position & (delay->size - 1));
}

struct iovec delay_room(const struct delay *delay)
{
    uint32_t free_bytes = delay->size - (uint32_t)(delay->written - delay->taken);
    uint32_t piece = until_wrap(delay, delay->written);
    if (delay->ended || marks_full(delay) || free_bytes == 0)
        return (struct iovec){0};
    return (struct iovec){
        .iov_base = delay->bytes + (delay->written & (delay->size - 1)),
        .iov_len = free_bytes < piece ? free_bytes : piece,
    };
}

static void mark(struct delay *delay, int64_t due_ns)
{
    assert(delay->mark_in - delay->mark_out < delay->mark_count);
    if (due_ns > delay->last_due_ns)
        delay->last_due_ns = due_ns;
    *mark_at(delay, delay->mark_in++) = (struct delay_mark){
        .end = delay->written,
        .due_ns = delay->last_due_ns,
    };
}

void delay_push(struct delay *delay, uint32_t len, int64_t due_ns)
{
    assert(len > 0 && len <= delay_room(delay).iov_len);
    delay->written += len;
    mark(delay, due_ns);
}

void delay_end(struct delay *delay, int64_t due_ns)
{
    assert(!delay->ended);
    delay->ended = true;
    mark(delay, due_ns);
}

int64_t delay_next_ns(const struct delay *delay)
{
    return delay->mark_in == delay->mark_out ? DELAY_NEVER
                                             : mark_at(delay, delay->mark_out)->due_ns;
}

struct iovec delay_due(const struct delay *delay, int64_t now_ns)
{
    uint64_t end = delay->taken;
    for (uint32_t i = delay->mark_out; i != delay->mark_in; i++) {
        if (mark_at(delay, i)->due_ns > now_ns)
            break;
        end = mark_at(delay, i)->end;
    }
    uint64_t len = end - delay->taken;
    uint32_t piece = until_wrap(delay, delay->taken);
    return (struct iovec){
        .iov_base = delay->bytes + (delay->taken & (delay->size - 1)),
        .iov_len = len < piece ? len : piece,
    };
}

/* The mark of the end stays: delay_over looks at it. */
void delay_take(struct delay *delay, uint32_t len, int64_t now_ns, struct histogram *late)
{
    assert(len <= delay->written - delay->taken);
    delay->taken += len;
    while (delay->mark_out != delay->mark_in) {
        const struct delay_mark *first = mark_at(delay, delay->mark_out);
        bool is_end = delay->ended && delay->mark_out + 1 == delay->mark_in;
        if (first->end > delay->taken || is_end)
            return;
        histogram_record(late, now_ns > first->due_ns ? (uint64_t)(now_ns - first->due_ns) : 0);
        delay->mark_out++;
    }
}

bool delay_over(const struct delay *delay, int64_t now_ns)
{
    return delay->ended && delay->taken == delay->written && delay_next_ns(delay) <= now_ns;
}
