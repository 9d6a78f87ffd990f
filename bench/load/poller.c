/* poller: asks for the clients of a polling group, each once per interval, spread over it. */
#include "load/engine.h"

void poller_start(struct load *load, struct group *group)
{
    group->poller.active = true;
    group->poller.due_ns = (double)load->now_ns;
}

int64_t poller_step(struct load *load, struct group *group)
{
    struct poller *poller = &group->poller;
    if (!poller->active)
        return INT64_MAX;
    double interval_ns = (double)group->config.poll_interval_ms * 1e6;
    double now_ns = (double)load->now_ns;
    if (poller->due_ns < now_ns - interval_ns)
        poller->due_ns = now_ns - interval_ns;
    while (poller->due_ns <= now_ns) {
        struct subscriber *subscriber = &load->subscribers[group->first + poller->cursor];
        poller->cursor = (poller->cursor + 1) % group->config.clients;
        poller->due_ns += interval_ns / group->config.clients;
        if (!subscriber_connected(load, subscriber) || subscriber->flags & SUBSCRIBER_STALLED)
            continue;
        if (subscriber->flags & SUBSCRIBER_ASKED)
            group->counters.polls_late++;
        else
            group->config.transport->ask(load, subscriber);
    }
    return (int64_t)(poller->due_ns - now_ns);
}
