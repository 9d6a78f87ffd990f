/* nodes_desk: what is asked and not answered, whatever the engine is. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "broker/nodes.h"
#include "hub/helper.h"

enum {
    SLOT_BITS = 12,
};
static_assert(NODES_OPEN_MAX == 1 << SLOT_BITS, "a question's number ends with its place");

bool nodes_is_order(enum nodes_kind kind)
{
    return kind == NODES_ORDER || kind == NODES_REVOKE;
}

/* ---- questions ---- */

static unsigned slot_of(uint64_t id)
{
    return id & (NODES_OPEN_MAX - 1);
}

int nodes_open(struct nodes_desk *desk, struct nodes_ask *ask, uint64_t random, int64_t until_ns)
{
    if (desk->open_count == NODES_OPEN_MAX)
        return -ENOBUFS;
    while (desk->open[slot_of(desk->open_at)])
        desk->open_at++;
    unsigned at = slot_of(desk->open_at++);
    desk->open[at] = ask;
    desk->open_count++;
    ask->id = (random | 1) << SLOT_BITS | at;
    ask->until_ns = until_ns;
    ask->expected = UINT32_MAX;
    ask->answered = 0;
    return 0;
}

struct nodes_ask *nodes_open_of(const struct nodes_desk *desk, uint64_t id)
{
    struct nodes_ask *ask = desk->open[slot_of(id)];
    return ask && ask->id == id ? ask : NULL;
}

void nodes_close(struct nodes_desk *desk, struct nodes_ask *ask, int err)
{
    desk->open[slot_of(ask->id)] = NULL;
    desk->open_count--;
    if (err < 0)
        ask->call.err = err;
    helper_answer(desk->helper, &ask->call);
}

void nodes_close_all(struct nodes_desk *desk, int err)
{
    for (unsigned i = 0; desk->open_count > 0 && i < NODES_OPEN_MAX; i++)
        if (desk->open[i])
            nodes_close(desk, desk->open[i], err);
}

void nodes_close_old(struct nodes_desk *desk, int64_t now_ns)
{
    for (unsigned i = 0; desk->open_count > 0 && i < NODES_OPEN_MAX; i++)
        if (desk->open[i] && desk->open[i]->until_ns <= now_ns)
            nodes_close(desk, desk->open[i], -ETIMEDOUT);
}

/* ---- what others ask ---- */

static void heard_run(void *shard, struct call *call)
{
    struct nodes_heard *heard = (struct nodes_heard *)call;
    heard->desk->ear(shard, heard);
}

static void heard_done(void *broker, struct call *call)
{
    (void)broker;
    struct nodes_heard *heard = (struct nodes_heard *)call;
    heard->desk->heard_count--;
    if (!heard->old)
        heard->desk->say(heard->desk->engine, heard);
    nodes_heard_free(heard);
}

static void heard_drop(struct call *call)
{
    nodes_heard_free((struct nodes_heard *)call);
}

int nodes_hear(struct nodes_desk *desk, const struct nodes_said *said, bool old)
{
    static const struct call_ops ops = {heard_run, heard_done, heard_drop};
    struct nodes_heard *heard =
        desk->heard_count < NODES_HEARD_MAX
            ? nodes_heard_create(said->kind, said->from, said->id, said->text)
            : NULL;
    if (!heard)
        return -ENOBUFS;
    heard->call.ops = &ops;
    heard->old = old;
    heard->desk = desk;
    if (helper_call(desk->helper, 0, &heard->call) < 0) {
        nodes_heard_free(heard);
        return -ENOBUFS;
    }
    desk->heard_count++;
    return 0;
}
