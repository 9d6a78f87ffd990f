#include "conn/top.h"

#include <string.h>

#include "wire/span.h"

/* Behind a pause the window that is over is an empty one. */
static void turn_over(struct top *top, int64_t now_ns)
{
    int64_t age_ns = now_ns - top->now.began_ns;
    if (age_ns < TOP_WINDOW_NS)
        return;
    if (age_ns < 2 * TOP_WINDOW_NS)
        top->over = top->now;
    else
        top->over.count = 0;
    top->now.count = 0;
    top->now.began_ns = now_ns;
}

static struct top_row *row_of(struct top_window *window, struct span name)
{
    struct top_row *least = &window->rows[0];
    for (unsigned i = 0; i < window->count; i++) {
        struct top_row *row = &window->rows[i];
        if (span_equal(span_of(row->name, row->name_len), name))
            return row;
        if (row->deliveries < least->deliveries)
            least = row;
    }
    if (window->count < TOP_ROWS) {
        least = &window->rows[window->count++];
        least->deliveries = 0;
    }
    least->messages = 0;
    least->name_len = (uint8_t)name.len;
    memcpy(least->name, name.ptr, name.len);
    return least;
}

void top_note(struct top *top, int64_t now_ns, const struct hub_batch *batch)
{
    if (now_ns >= top->until_ns)
        return;
    turn_over(top, now_ns);
    struct top_row *row = row_of(&top->now, span_of(batch->name, batch->name_len));
    row->messages += batch->count;
    row->deliveries += (uint64_t)batch->count * batch->subscribers;
    row->subscribers = batch->subscribers;
}

const struct top_window *top_watch(struct top *top, int64_t now_ns)
{
    turn_over(top, now_ns);
    top->until_ns = now_ns + TOP_WATCH_NS;
    return &top->over;
}
