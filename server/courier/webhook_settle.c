/* webhook_settle: what was done becomes a commit, and a commit is on the disk.
 *
 *   turns ──► queue_commit ──► syncer ──► answers to who waits
 *                 ▲               │
 *                 └── the next, with all that came meanwhile
 *
 * Nobody waits for what is only told, as that an event is delivered: it is committed LAZY_MS later,
 * and on the disk with the next event. If it is lost before that it is delivered again. */
#include "courier/webhooks_internal.h"

#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"
#include "courier/syncer.h"
#include "hub/helper.h"

enum {
    LAZY_MS = 50,
    PAUSE_MS = 1000, /* behind a transaction that failed, until it is tried again */
};

/* Held until what it changed is on disk. */
void webhooks_hold(struct call_list *list, struct call *call)
{
    call->next = NULL;
    if (list->first)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
}

void webhooks_gauges_set(struct webhooks *webhooks)
{
    struct webhook_counters *counters = &webhooks->counters;
    struct queue_stats stats;
    queue_stats_read(webhooks->queue, &stats);
    atomic_store_explicit(&counters->pending, (uint64_t)stats.waiting, memory_order_relaxed);
    atomic_store_explicit(&counters->dead, (uint64_t)stats.dead, memory_order_relaxed);
    atomic_store_explicit(&counters->queue_bytes, (uint64_t)stats.bytes, memory_order_relaxed);
    atomic_store_explicit(&counters->events_lost,
                          atomic_load_explicit(&webhooks->events.lost, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&counters->dropped, stats.dropped, memory_order_relaxed);
    atomic_store_explicit(&counters->dead_purged, stats.dead_purged, memory_order_relaxed);
    atomic_store_explicit(&counters->endpoints, HASH_CNT(hh, webhooks->by_id),
                          memory_order_relaxed);
}

void webhooks_full_set(struct webhooks *webhooks)
{
    bool full = !webhooks->queue || webhooks->disk_fails || !queue_has_room(webhooks->queue);
    atomic_store_explicit(&webhooks->counters.full, full, memory_order_relaxed);
    atomic_store_explicit(&webhooks->events.witness.full,
                          full && webhooks->settings->webhook_refuse_publish, memory_order_relaxed);
}

void webhooks_void(struct webhook_ask *ask)
{
    static const char text[] =
        "{\"error\":{\"code\":100,\"message\":\"the queue is not written: disk\"}}";
    free(ask->answer);
    ask->answer = strdup(text);
    ask->answer_len = ask->answer ? strlen(text) : 0;
}

static void tally(struct webhooks *webhooks, bool is_on_disk)
{
    struct webhook_counters *counters = &webhooks->counters;
    if (is_on_disk) {
        webhook_count(&counters->events_accepted, webhooks->turn.accepted);
        webhook_count(&counters->delivered, webhooks->turn.delivered);
        webhook_count(&counters->attempts_failed, webhooks->turn.failed);
        webhook_count(&counters->buried, webhooks->turn.buried);
        webhook_count(&counters->replayed, webhooks->turn.replayed);
    } else {
        webhook_count(&counters->disk_failures, 1);
        webhook_count(&counters->events_refused, webhooks->turn.accepted);
        webhooks->pause_until_ms = webhooks->now_ms + PAUSE_MS;
    }
    memset(&webhooks->turn, 0, sizeof webhooks->turn);
}

/* ---- commits ---- */

int webhooks_commit(struct webhooks *webhooks)
{
    int err = queue_commit(webhooks->queue);
    if (err < 0)
        webhooks->failed = err;
    return err;
}

static void answer_all(struct webhooks *webhooks, struct call_list *list, int err)
{
    while (list->first) {
        struct call *call = list->first;
        struct webhook_ask *ask = (struct webhook_ask *)call;
        list->first = call->next;
        if (err < 0 && ask->changes)
            webhooks_void(ask);
        helper_answer(webhooks->helper, call);
    }
}

/* Who waited for a sync that is over has an answer. */
static void take_synced(struct webhooks *webhooks)
{
    int err;
    if (!webhooks->is_syncing || !syncer_end(webhooks->syncer, &err))
        return;
    webhooks->is_syncing = false;
    if (err < 0) {
        webhook_count(&webhooks->counters.disk_failures, 1);
        webhooks->disk_fails = true;
        webhooks->pause_until_ms = webhooks->now_ms + PAUSE_MS;
    }
    answer_all(webhooks, &webhooks->synced, err);
}

/* What came since the last commit is refused when this one fails; what is known of deliveries is
 * written by the next. */
static int commit_all(struct webhooks *webhooks)
{
    bool tried = queue_is_changed(webhooks->queue);
    int err = webhooks_commit(webhooks);
    if (webhooks->failed < 0)
        err = webhooks->failed;
    webhooks->disk_fails = err < 0 || (webhooks->disk_fails && !tried);
    webhooks->failed = 0;
    webhooks->changed_ms = 0;
    webhooks_registered(webhooks, err);
    tally(webhooks, err == 0);
    if (err < 0)
        answer_all(webhooks, &webhooks->held, err);
    return err;
}

static bool is_waited_for(const struct webhooks *webhooks)
{
    return webhooks->held.first || webhooks->turn.accepted > 0 || webhooks->failed < 0;
}

static bool is_late(struct webhooks *webhooks)
{
    if (!queue_is_changed(webhooks->queue))
        return false;
    if (webhooks->changed_ms == 0)
        webhooks->changed_ms = webhooks->now_ms;
    return webhooks->now_ms >= webhooks->changed_ms + LAZY_MS;
}

static void commit_and_sync(struct webhooks *webhooks)
{
    if (commit_all(webhooks) < 0)
        return;
    webhooks->synced = webhooks->held;
    webhooks->held = (struct call_list){0};
    webhooks->is_syncing = true;
    syncer_begin(webhooks->syncer);
}

void webhooks_settle(struct webhooks *webhooks)
{
    take_synced(webhooks);
    bool tries = webhooks->disk_fails && webhooks->now_ms >= webhooks->pause_until_ms;
    if (tries)
        queue_try(webhooks->queue);
    bool late = is_late(webhooks) || tries;
    if (is_waited_for(webhooks)) {
        if (!webhooks->is_syncing)
            commit_and_sync(webhooks);
    } else if (late) {
        commit_all(webhooks);
    }
    webhooks_gauges_set(webhooks);
    webhooks_full_set(webhooks);
}

int64_t webhooks_settle_ms(const struct webhooks *webhooks)
{
    if (webhooks->disk_fails)
        return webhooks->pause_until_ms;
    if (is_waited_for(webhooks) || webhooks->changed_ms == 0)
        return INT64_MAX; /* the syncer's bell rings */
    return webhooks->changed_ms + LAZY_MS;
}

void webhooks_stop(struct webhooks *webhooks)
{
    syncer_wait(webhooks->syncer);
    take_synced(webhooks);
    commit_and_sync(webhooks);
    syncer_wait(webhooks->syncer);
    take_synced(webhooks);
    webhooks_gauges_set(webhooks);
}
