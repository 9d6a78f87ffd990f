#include "core/timers.h"

#include <assert.h>

static struct timer_link *link_of(const struct timers *timers, uint32_t element)
{
    return (struct timer_link *)(void *)(timers->elements + element * timers->stride +
                                         timers->link_at);
}

static uint32_t tick_of(int64_t ns)
{
    return (uint32_t)(ns / TIMERS_TICK_NS);
}

void timers_init(struct timers *timers, void *elements, size_t stride, size_t link_at,
                 int64_t now_ns)
{
    *timers = (struct timers){
        .elements = elements,
        .stride = stride,
        .link_at = link_at,
        .now = tick_of(now_ns),
        .firing = TIMERS_NONE,
    };
    for (unsigned i = 0; i < TIMERS_BUCKETS; i++)
        timers->bucket[i] = TIMERS_NONE;
}

void timer_link_init(struct timer_link *link)
{
    *link = (struct timer_link){TIMERS_NONE, TIMERS_NONE, TIMERS_NONE};
}

void timers_cancel(struct timers *timers, uint32_t element)
{
    struct timer_link *link = link_of(timers, element);
    if (link->deadline == TIMERS_NONE)
        return;
    unsigned bucket = link->deadline % TIMERS_BUCKETS;
    if (timers->firing == element)
        timers->firing = link->next;
    if (link->next != TIMERS_NONE)
        link_of(timers, link->next)->previous = link->previous;
    if (link->previous != TIMERS_NONE)
        link_of(timers, link->previous)->next = link->next;
    else
        timers->bucket[bucket] = link->next;
    if (timers->bucket[bucket] == TIMERS_NONE)
        timers->used[bucket / 64] &= ~(UINT64_C(1) << bucket % 64);
    timer_link_init(link);
    assert(timers->armed > 0);
    timers->armed--;
}

void timers_arm(struct timers *timers, uint32_t element, int64_t deadline_ns)
{
    timers_cancel(timers, element);
    uint32_t deadline = tick_of(deadline_ns) + 1;
    if ((int32_t)(deadline - timers->now) <= 0)
        deadline = timers->now + 1;

    unsigned bucket = deadline % TIMERS_BUCKETS;
    uint32_t head = timers->bucket[bucket];
    *link_of(timers, element) = (struct timer_link){head, TIMERS_NONE, deadline};
    if (head != TIMERS_NONE)
        link_of(timers, head)->previous = element;
    timers->bucket[bucket] = element;
    timers->used[bucket / 64] |= UINT64_C(1) << bucket % 64;
    timers->armed++;
}

int64_t timers_deadline_ns(const struct timers *timers, uint32_t element)
{
    uint32_t deadline = link_of(timers, element)->deadline;
    return deadline == TIMERS_NONE ? 0 : deadline * TIMERS_TICK_NS;
}

/* Returns how many it fired. */
static uint32_t fire_bucket(struct timers *timers, void (*fire)(void *, uint32_t), void *context)
{
    uint32_t fired = 0;
    uint32_t element = timers->bucket[timers->now % TIMERS_BUCKETS];
    while (element != TIMERS_NONE) {
        timers->firing = link_of(timers, element)->next;
        if ((int32_t)(link_of(timers, element)->deadline - timers->now) <= 0) {
            timers_cancel(timers, element);
            fire(context, element);
            fired++;
        }
        element = timers->firing;
    }
    timers->firing = TIMERS_NONE;
    return fired;
}

bool timers_advance(struct timers *timers, int64_t now_ns, uint32_t most,
                    void (*fire)(void *context, uint32_t element), void *context)
{
    uint32_t target = tick_of(now_ns), fired = 0;
    /* After a long stop one round over all buckets finds everything that is due, if it is a whole
     * one. */
    if ((int32_t)(target - timers->now) > TIMERS_BUCKETS) {
        timers->now = target - TIMERS_BUCKETS;
        most = UINT32_MAX;
    }
    while ((int32_t)(target - timers->now) > 0 && fired < most) {
        timers->now++;
        fired += fire_bucket(timers, fire, context);
    }
    return (int32_t)(target - timers->now) > 0;
}

int64_t timers_wait_ns(const struct timers *timers, int64_t now_ns, int64_t max_ns)
{
    if (timers->armed == 0)
        return max_ns;
    for (uint32_t i = 1; i <= TIMERS_BUCKETS; i++) {
        unsigned bucket = (timers->now + i) % TIMERS_BUCKETS;
        if (timers->used[bucket / 64] == 0) {
            i += 63 - bucket % 64;
            continue;
        }
        if (timers->used[bucket / 64] >> bucket % 64 & 1) {
            int64_t due = (int64_t)(timers->now + i) * TIMERS_TICK_NS - now_ns;
            due = due < 0 ? 0 : due;
            return due < max_ns ? due : max_ns;
        }
    }
    return max_ns;
}
