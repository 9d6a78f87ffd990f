/* counters: what the caller may read. */
#include "load/engine.h"

const struct load_counters *load_counters(const struct load *load, unsigned group)
{
    assert(group < load->group_count);
    return &load->groups[group].counters;
}

void load_ledger_read(const struct load *load, unsigned group_index, struct load_ledger *ret)
{
    assert(group_index < load->group_count);
    const struct group *group = &load->groups[group_index];
    *ret = group->ledger;
    /* What is asked for again because its answer was cut off is no duplicate. */
    ret->duplicate -= ret->duplicate < group->torn ? ret->duplicate : group->torn;
    bool published = group->config.publish != NULL;
    for (uint32_t i = 0; i < group->config.clients && published; i++) {
        const struct subscriber *subscriber = &load->subscribers[group->first + i];
        if (!(subscriber->flags & SUBSCRIBER_STALLED))
            ret->lost += subscriber_behind(load, subscriber);
    }
    if (group_is(group, PROTOCOL_LOSSY)) {
        ret->superseded = ret->lost;
        ret->lost = 0;
    }
    ret->expected = ret->delivered + ret->lost;
}

uint32_t subscriber_behind(const struct load *load, const struct subscriber *subscriber)
{
    const struct group *group = &load->groups[subscriber->group];
    uint32_t last = channel_last(load, subscriber);
    uint32_t behind = ledger_behind(&subscriber->place, last);
    return behind == 0 ? 0
                       : behind - doubts_between(&group->doubts, group->channels,
                                                 channel_of_subscriber(load, subscriber),
                                                 subscriber->place.expected, last + 1);
}

bool group_behind(const struct load *load, const struct group *group)
{
    for (uint32_t i = 0; i < group->config.clients; i++) {
        const struct subscriber *subscriber = &load->subscribers[group->first + i];
        if (subscriber_ready(subscriber) && subscriber_behind(load, subscriber) > 0)
            return true;
    }
    return false;
}

uint32_t load_lacking(const struct load *load, unsigned group_index, uint64_t number)
{
    assert(group_index < load->group_count);
    const struct group *group = &load->groups[group_index];
    uint32_t lacking = 0;
    for (uint32_t i = 0; i < group->config.clients; i++) {
        const struct subscriber *subscriber = &load->subscribers[group->first + i];
        lacking += subscriber_connected(load, subscriber) && subscriber->place.expected <= number;
    }
    return lacking;
}

uint32_t load_up(const struct load *load, uint32_t group)
{
    if (group != LOAD_ALL)
        return load->groups[group].up;
    uint32_t sum = 0;
    for (unsigned i = 0; i < load->group_count; i++)
        sum += load->groups[i].up;
    return sum;
}

uint32_t load_links_up(const struct load *load, unsigned group)
{
    assert(group < load->group_count);
    return load->groups[group].links_up;
}

uint32_t load_informed(const struct load *load, unsigned group)
{
    assert(group < load->group_count);
    return load->groups[group].ready;
}

uint32_t load_clients(const struct load *load, uint32_t group)
{
    return group == LOAD_ALL ? load->publishers_first : load->groups[group].config.clients;
}

struct histogram *load_latency(struct load *load, unsigned group)
{
    assert(group < load->group_count);
    return load->groups[group].corrected;
}

struct histogram *load_latency_uncorrected(struct load *load, unsigned group)
{
    assert(group < load->group_count);
    return load->groups[group].uncorrected;
}
