#include "hub/calls.h"

#include <errno.h>
#include <stdlib.h>

#include "hub/hub_internal.h"

int calls_init(struct calls *calls, struct hub_set *set, unsigned self)
{
    *calls = (struct calls){.set = set, .self = self};
    calls->to = calloc(hub_participants(&set->config), sizeof *calls->to);
    return calls->to ? 0 : -ENOMEM;
}

/* ---- a list ---- */

static void append(struct call_list *list, struct call *call)
{
    call->next = NULL;
    if (list->first)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
}

static struct call *take_first(struct call_list *list)
{
    struct call *call = list->first;
    if (call)
        list->first = call->next;
    return call;
}

void calls_done(struct calls *calls)
{
    struct call *call;
    for (unsigned i = 0; calls->to && i < hub_participants(&calls->set->config); i++)
        while ((call = take_first(&calls->to[i])))
            call->ops->drop(call);
    free(calls->to);
}

/* ---- asking and answering ---- */

static void say(struct calls *calls, unsigned target, struct call *call)
{
    append(&calls->to[target], call);
    if (target != calls->self)
        lane_bits_add(&calls->waiting, target);
}

int calls_ask(struct calls *calls, unsigned target, struct call *call)
{
    assert(target < hub_participants(&calls->set->config));
    struct call_list *list = &calls->to[target];
    if (list->open >= calls->set->config.overflow_max)
        return -ENOBUFS;
    list->open++;
    call->answered = false;
    call->from = (uint16_t)calls->self;
    say(calls, target, call);
    return 0;
}

void calls_answer(struct calls *calls, struct call *call)
{
    assert(call->ops->done && !call->answered);
    call->answered = true;
    say(calls, call->from, call);
}

/* ---- handing over ---- */

/* It wants no answer, and belongs to its target now. */
static void handed_over(struct call_list *list, bool is_event)
{
    if (is_event)
        list->open--;
}

static void send_list(struct calls *calls, unsigned target, struct lane_bits *unflushed)
{
    struct call_list *list = &calls->to[target];
    for (unsigned most = calls->set->slots / 4 + 1; most > 0 && list->first; most--) {
        struct call *call = list->first;
        struct call *next = call->next;
        bool is_event = !call->ops->done;
        const struct item item = {.kind = call->answered ? ITEM_CALLED : ITEM_CALL, .call = call};
        if (lane_push(calls->set->lanes, calls->self, target, &item) < 0)
            return;
        list->first = next;
        handed_over(list, is_event);
        lane_bits_add(unflushed, target);
    }
    if (!list->first)
        lane_bits_remove(&calls->waiting, target);
}

void calls_send(struct calls *calls, struct lane_bits *unflushed)
{
    for (unsigned target = lane_bits_next(&calls->waiting, 0); target < LANE_PARTICIPANTS_MAX;
         target = lane_bits_next(&calls->waiting, target + 1))
        send_list(calls, target, unflushed);
}

bool calls_starve(const struct calls *calls)
{
    for (unsigned target = lane_bits_next(&calls->waiting, 0); target < LANE_PARTICIPANTS_MAX;
         target = lane_bits_next(&calls->waiting, target + 1)) {
        if (lane_starve(calls->set->lanes, calls->self, target))
            return true;
    }
    return false;
}

/* ---- taking ---- */

void calls_take(struct calls *calls, unsigned from, struct call *call, void *participant)
{
    if (!call->answered) {
        call->ops->run(participant, call);
        return;
    }
    assert(calls->to[from].open > 0);
    calls->to[from].open--;
    call->ops->done(participant, call);
}

void calls_take_own(struct calls *calls, void *participant)
{
    struct call_list *own = &calls->to[calls->self];
    struct call_list now = *own;
    struct call *call;
    own->first = NULL;
    while ((call = take_first(&now))) {
        if (!call->answered)
            handed_over(own, !call->ops->done);
        calls_take(calls, calls->self, call, participant);
    }
}
