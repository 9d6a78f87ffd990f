/* subscriber: the life of one, on its link.
 *
 *   its link is down ─► OPEN ─answer─► ANSWERED ─position, where there is one─► UP
 *          ▲                                                                    │
 *          └──────── subscriber_fail, link_fail, link_close ◄───────────────────┘ */
#include "load/engine.h"

void subscriber_ask(struct load *load, struct subscriber *subscriber)
{
    const struct link *link = link_of(load, subscriber);
    subscriber->flags |= SUBSCRIBER_OPEN;
    subscriber->kept = 0;
    link_protocol(load, link)->ask(load, subscriber);
}

/* ---- up ---- */

/* Streams are mostly answered in their order, so that the last is mostly what is looked for. */
static bool all_up(const struct load *load, const struct link *link)
{
    const struct subscriber *first = link_first(load, link);
    for (uint32_t i = link_streams(load, link); i > 0; i--)
        if (!(first[i - 1].flags & SUBSCRIBER_UP))
            return false;
    return true;
}

static void link_is_up(struct load *load, struct link *link)
{
    if (link->phase == LINK_UP || !all_up(load, link))
        return;
    opener_done(load, link);
    link->phase = LINK_UP;
    link->attempts = 0;
    link->flags &= (uint8_t)~LINK_CYCLING;
    if (!link_publishes(load, link))
        link_group(load, link)->links_up++;
}

void subscriber_is_up(struct load *load, struct subscriber *subscriber)
{
    bool again = subscriber->flags & SUBSCRIBER_UP; /* its link was between two connections */
    subscriber->flags |= SUBSCRIBER_UP | SUBSCRIBER_ANSWERED;
    if (!again && !subscriber_publishes(load, subscriber)) {
        struct group *group = group_of(load, subscriber);
        group->up++;
        group->counters.missed += ledger_behind(&subscriber->place, channel_last(load, subscriber));
        if (subscriber_ready(subscriber))
            ready_enter(load, subscriber);
    }
    link_is_up(load, link_of(load, subscriber));
}

void subscriber_hint(struct subscriber *subscriber, uint32_t wait_ms)
{
    uint64_t ticks = ((uint64_t)wait_ms + WAIT_TICK_MS - 1) / WAIT_TICK_MS;
    subscriber->hint = ticks < UINT16_MAX ? (uint16_t)ticks : UINT16_MAX;
}

void subscriber_hint_answer(struct subscriber *subscriber, struct span retry_after,
                            struct span body)
{
    static const char member[] = "\"retry_ms\":";
    const char *found = body.len > 0 ? memmem(body.ptr, body.len, member, sizeof member - 1) : NULL;
    struct span text = retry_after;
    uint32_t unit_ms = found ? 1 : 1000;
    if (found)
        text = span_skip(body, (size_t)(found - body.ptr) + sizeof member - 1);
    uint64_t wait = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        wait =
            wait < UINT16_MAX * UINT64_C(1000) ? wait * 10 + (uint64_t)(text.ptr[i] - '0') : wait;
    subscriber_hint(subscriber, (uint32_t)(wait * unit_ms));
}

/* ---- leaving ---- */

void subscriber_leave(struct load *load, struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    group->up--;
    if (subscriber->flags & SUBSCRIBER_STALLED)
        group->stalled--;
    if (subscriber_ready(subscriber))
        ready_leave(load, subscriber);
    if (group_is(group, PROTOCOL_ECHOES) && subscriber->flags & SUBSCRIBER_ASKED)
        group->echoes--;
    if (subscriber->position.epoch == 0)
        subscriber->place = (struct ledger_place){0};
    subscriber->flags &= (uint8_t) ~(SUBSCRIBER_UP | SUBSCRIBER_STALLED);
}

void subscriber_hang_up(struct load *load, struct subscriber *subscriber)
{
    const uint8_t cycling =
        link_of(load, subscriber)->flags & LINK_CYCLING ? SUBSCRIBER_UP | SUBSCRIBER_STALLED : 0;
    if (subscriber->stash) {
        const struct stash *stash = stash_at(&load->stashes, subscriber->stash - 1U);
        group_of(load, subscriber)->torn += stash->half.messages;
        stash_give(&load->stashes, subscriber->stash - 1U);
    }
    subscriber->stash = 0;
    subscriber->flags &= cycling;
}

static bool link_has_subscribers(struct load *load, struct link *link)
{
    const struct subscriber *first = link_first(load, link);
    for (uint32_t i = link_streams(load, link); i > 0; i--)
        if (subscriber_open(&first[i - 1]))
            return true;
    return false;
}

void subscriber_fail(struct load *load, struct subscriber *subscriber, enum load_failure failure)
{
    struct link *link = link_of(load, subscriber);
    const struct protocol *protocol = link_protocol(load, link);
    if (!protocol->left || link->phase != LINK_UP) {
        link_fail(load, link, failure);
        return;
    }
    if (!subscriber_open(subscriber))
        return;
    if (subscriber->flags & SUBSCRIBER_UP) {
        group_of(load, subscriber)->counters.closes[failure]++;
        subscriber_leave(load, subscriber);
    }
    subscriber_hang_up(load, subscriber);
    protocol->left(load, subscriber);
    if (!link_has_subscribers(load, link)) /* it is opened anew, as one of HTTP/1.1 is */
        link_close(load, link, false);
}

enum load_failure status_failure(struct load *load, struct subscriber *subscriber, int status)
{
    group_of(load, subscriber)->counters.status = (int)status;
    return status == 503 ? LOAD_FAIL_SHED : LOAD_FAIL_STATUS;
}

/* ---- messages ---- */

void subscriber_unrecovered(struct load *load, struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    group->counters.unrecovered++;
    if (!group->config.anew)
        return;
    if (subscriber_ready(subscriber))
        ready_leave(load, subscriber);
    subscriber->place = (struct ledger_place){0};
}

/* Whether it says which message it is, and that it belongs here. */
static bool known(const struct load *load, const struct subscriber *subscriber,
                  const struct payload *payload)
{
    const struct group *group = &load->groups[subscriber->group];
    uint32_t number = payload->number;
    return number != 0 && number != UINT32_MAX &&
           channel_of_number(group, number) == channel_of_subscriber(load, subscriber);
}

/* One in doubt may come behind its successors: the engine was given it by a node that has ended
 * since. */
static bool came_late(const struct group *group, const struct subscriber *subscriber,
                      uint32_t channel, uint32_t sequence)
{
    uint32_t number = (sequence - 1) * group->channels + channel + 1;
    return sequence < subscriber->place.expected && doubts_have(&group->doubts, number);
}

/* Notes a message in the ledger. What is in doubt is not lost if it does not come. */
static void note(struct load *load, struct subscriber *subscriber, uint32_t sequence)
{
    struct group *group = group_of(load, subscriber);
    struct load_ledger *ledger = &group->ledger;
    struct ledger_place *place = &subscriber->place;
    uint32_t client = subscriber_index(load, subscriber) - group->first;
    if (group->doubts.count == 0 || place->expected == 0) {
        ledger_note(ledger, place, sequence, client);
        return;
    }
    uint32_t channel = channel_of_subscriber(load, subscriber);
    uint64_t out_of_order = ledger->out_of_order;
    bool late = came_late(group, subscriber, channel, sequence);
    uint32_t missed =
        doubts_between(&group->doubts, group->channels, channel, place->expected, sequence);
    ledger_note(ledger, place, sequence, client);
    if (late && ledger->out_of_order > out_of_order) { /* it was never taken for lost */
        ledger->out_of_order--;
        ledger->lost++;
        group->counters.doubtful--;
    } else if (!late) {
        ledger->lost -= missed;
        group->counters.doubtful += missed;
    }
}

void subscriber_deliver(struct load *load, struct subscriber *subscriber,
                        const struct payload *payload)
{
    struct group *group = group_of(load, subscriber);
    uint32_t number = payload->number;
    if (subscriber_publishes(load, subscriber))
        return;
    if (!known(load, subscriber, payload)) {
        group->ledger.corrupt++;
        return;
    }
    if (payload->changed || payload->length != bytes_of_number(group, number))
        group->ledger.corrupt++;
    group->counters.deliveries++;
    bool ready = subscriber_ready(subscriber);
    note(load, subscriber, sequence_of_number(group, number));
    if (!ready && subscriber_ready(subscriber))
        ready_enter(load, subscriber);
    if (number <= group->turn_after) { /* whatever it waited for was not this turn's */
        group->counters.late++;
        return;
    }
    group->counters.payload_bytes += payload->length;
    if (flights_note(&group->flights, number)) {
        load->touched_groups |= UINT64_C(1) << subscriber->group;
        return;
    }
    int64_t late_ns = load->now_ns - (int64_t)payload->intended_ns;
    uint64_t latency_ns = late_ns > 0 ? (uint64_t)late_ns : 0;
    histogram_record(group->corrected, latency_ns);
    histogram_record(group->uncorrected, latency_ns);
}

struct span subscriber_target(const struct load *load, const struct subscriber *subscriber,
                              const char *path, char buf[LOAD_TARGET_MAX])
{
    static const char since[] = "&since=", start[] = "start";
    const struct group *group = &load->groups[subscriber->group];
    bool from_start = group->config.since_start && subscriber->position.epoch == 0;
    struct span target = span_from(path);
    if (subscriber->position.epoch == 0 && !from_start && group->config.channels == 0)
        return target;
    assert(target.len + CHANNEL_SUFFIX_MAX + sizeof since + POSITION_SIZE_MAX < LOAD_TARGET_MAX);
    memcpy(buf, path, target.len);
    size_t len = target.len;
    if (group->config.channels > 0)
        len += channel_suffix_write(buf + len, channel_of_subscriber(load, subscriber));
    if (subscriber->position.epoch == 0 && !from_start)
        return span_of(buf, len);
    memcpy(buf + len, since, sizeof since - 1);
    len += sizeof since - 1;
    if (subscriber->position.epoch != 0)
        return span_of(buf, len + position_write(buf + len, &subscriber->position, 1));
    memcpy(buf + len, start, sizeof start - 1);
    return span_of(buf, len + sizeof start - 1);
}
