#include "hub/hub.h"
#include "hub/hub_internal.h"

#include <stdlib.h>

struct hub *hub_create(struct hub_set *set, unsigned index, const struct hub_ops *ops, void *shard)
{
    assert(index < set->config.shards);
    struct hub *hub = malloc(sizeof *hub);
    if (!hub)
        return NULL;
    *hub = (struct hub){
        .set = set,
        .config = &set->config,
        .ops = *ops,
        .shard = shard,
        .index = index,
        .items_per_lane =
            set->slots < TURN_ITEMS_PER_LANE ? set->slots : (unsigned)TURN_ITEMS_PER_LANE,
        .visits_max = set->config.turn_visits ? set->config.turn_visits : (unsigned)TURN_VISITS,
        /* Apart from each other, and the same again for the same seed. */
        .home.repeats.max = set->config.repeats_max,
        .home.lasting.max = set->config.lasting_max,
        .home.random = set->config.seed ^ ((uint64_t)index << 56),
        .remote.reset_part = TABLE_PARTS,
    };
    set->hubs[index] = hub;
    if (exchange_init(hub) || local_init(hub) ||
        subscription_pool_init(&hub->subscriptions, set->config.subscriptions_max)) {
        hub_free(hub);
        return NULL;
    }
    return hub;
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    hub->set->hubs[hub->index] = NULL;
    exchange_done(hub);
    remote_done(hub);
    gap_done(hub);
    local_done(hub);
    home_done(hub);
    subscription_pool_done(&hub->subscriptions);
    free(hub);
}

void hub_handle(struct hub *hub, unsigned from, const struct item *item)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_PUBLISH:
    case ITEM_SUBSCRIBE:
    case ITEM_READ:
    case ITEM_UNSUBSCRIBE:
        home_handle(hub, from, item);
        break;
    case ITEM_LIVE:
    case ITEM_SUBSCRIBED:
    case ITEM_READ_DONE:
    case ITEM_PUBLISHED:
        local_handle(hub, item);
        break;
    case ITEM_CALL:
    case ITEM_CALLED:
        calls_take(&hub->exchange.calls, from, item->call, hub->shard);
        break;
    }
}

/* What was taken so far is enough for this turn, or what came now would wait. */
static bool enough(const struct hub *hub)
{
    return hub->created >= TURN_CREATED || hub->replayed >= TURN_REPLAYED ||
           hub->replayed_bytes >= TURN_REPLAYED_BYTES || local_waits(hub);
}

/* Returns true when there is more. What is taken must be answered: without a place for the answers
 * it stays in the lane. */
static bool take_lane(struct hub *hub, unsigned source)
{
    struct item items[TAKE_ITEMS];
    unsigned left = hub->items_per_lane;
    do {
        unsigned want = left < TAKE_ITEMS ? left : (unsigned)TAKE_ITEMS;
        if (exchange_reserve(hub, source) < 0)
            return true;
        unsigned count = exchange_take(hub, source, items, want);
        for (unsigned i = 0; i < count; i++)
            hub_handle(hub, source, &items[i]);
        if (count < want)
            return false;
        left -= count;
    } while (left > 0 && !enough(hub));
    return true;
}

static void take_lanes(struct hub *hub)
{
    lane_ready(hub->set->lanes, hub->index, &hub->exchange.ready);
    for (unsigned source = lane_bits_next(&hub->exchange.ready, 0); source < LANE_PARTICIPANTS_MAX;
         source = lane_bits_next(&hub->exchange.ready, source + 1)) {
        if (local_waits(hub))
            break;
        if (!take_lane(hub, source))
            lane_bits_remove(&hub->exchange.ready, source);
    }
}

static void take_own(struct hub *hub)
{
    struct item_queue *own = &hub->exchange.own;
    for (unsigned taken = 0; taken < TURN_ITEMS_OWN && own->count > 0 && !enough(hub); taken++) {
        struct item item = *item_queue_first(own);
        item_queue_drop(own);
        hub_handle(hub, hub->index, &item);
    }
}

/* Whether there is work that waits for nobody. */
static bool busy(const struct hub *hub)
{
    return hub->exchange.own.count > 0 || hub->local.dirty_first || local_waits(hub) ||
           lane_bits_any(&hub->exchange.ready) || calls_has_own(&hub->exchange.calls) ||
           hub->remote.more || hub->gaps;
}

bool hub_turn(struct hub *hub, int64_t now_ns)
{
    assert(!hub->in_turn);
    hub->in_turn = true;
    hub->now_ns = now_ns;
    hub->visits = 0;
    hub->created = 0;
    hub->replayed = 0;
    hub->replayed_bytes = 0;

    exchange_retry(hub);
    if (local_deliver(hub)) {
        take_own(hub);
        calls_take_own(&hub->exchange.calls, hub->shard);
        take_lanes(hub);
        if (hub->gaps)
            gap_turn(hub);
        if (hub->config->broker)
            remote_turn(hub);
        /* The other shards start on theirs while this one delivers. */
        exchange_flush(hub);
        local_deliver(hub);
    }
    bool more = local_sweep(hub);
    more |= home_sweep(hub);
    exchange_flush(hub);

    hub->in_turn = false;
    return more || busy(hub);
}

bool hub_sleep(struct hub *hub)
{
    struct exchange *exchange = &hub->exchange;
    if (busy(hub) || lane_bits_any(&exchange->unflushed))
        return false;
    for (unsigned target = lane_bits_next(&exchange->overflowed, 0); target < LANE_PARTICIPANTS_MAX;
         target = lane_bits_next(&exchange->overflowed, target + 1)) {
        if (lane_starve(hub->set->lanes, hub->index, target))
            return false;
    }
    return !calls_starve(&exchange->calls) && lane_sleep(hub->set->lanes, hub->index);
}

void hub_awake(struct hub *hub)
{
    lane_awake(hub->set->lanes, hub->index);
}

static uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void hub_stats_read(const struct hub *hub, struct hub_stats *stats)
{
    const struct hub_counters *counters = &hub->counters;
    *stats = (struct hub_stats){
        .published = counter_read(&counters->published),
        .delivered = counter_read(&counters->delivered),
        .subscriptions = counter_read(&counters->subscriptions),
        .channels = counter_read(&counters->channels),
        .history_bytes = counter_read(&counters->history_bytes),
        .history_messages = counter_read(&counters->history_messages),
        .recovered = counter_read(&counters->recovered),
        .unrecoverable = counter_read(&counters->unrecoverable),
        .lane_full = counter_read(&counters->lane_full),
        .refused = counter_read(&counters->refused),
        .remote_live = counter_read(&counters->remote_live),
        .remote_duplicates = counter_read(&counters->remote_duplicates),
        .remote_joins = counter_read(&counters->remote_joins),
        .remote_gaps = counter_read(&counters->remote_gaps),
        .remote_filled = counter_read(&counters->remote_filled),
        .remote_lost = counter_read(&counters->remote_lost),
        .repeated = counter_read(&counters->repeated),
        .outdated = counter_read(&counters->outdated),
        .repeats = counter_read(&counters->repeats),
        .lasting_keys = counter_read(&counters->lasting_keys),
    };
}
