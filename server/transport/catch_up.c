#include "transport/catch_up.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "transport/standing.h"

struct catch_up {
    uint64_t pending; /* a bit for each channel */
    struct position reached[SETTINGS_CHANNELS_MAX];
};
static_assert(SETTINGS_CHANNELS_MAX <= 64, "a bit for each channel");

static struct catch_up *catch_up_of(const struct conn *conn)
{
    return conn->extra ? conn->extra->catch_up : NULL;
}

int catch_up_note(struct shard *shard, struct conn *conn, unsigned place, uint64_t epoch,
                  uint64_t offset)
{
    struct conn_extra *extra = conn_extra(conn);
    if (extra && !extra->catch_up)
        extra->catch_up = calloc(1, sizeof *extra->catch_up);
    if (!extra || !extra->catch_up) {
        conn_extra_trim(shard, conn);
        return -ENOMEM;
    }
    extra->catch_up->pending |= UINT64_C(1) << place;
    extra->catch_up->reached[place] = (struct position){epoch, offset};
    return 0;
}

void catch_up_done(struct shard *shard, struct conn *conn, unsigned place)
{
    struct catch_up *catch_up = catch_up_of(conn);
    if (!catch_up)
        return;
    catch_up->pending &= ~(UINT64_C(1) << place);
    if (catch_up->pending == 0) {
        catch_up_end(conn);
        conn_extra_trim(shard, conn);
    }
}

bool catch_up_position(const struct conn *conn, unsigned place, struct position *ret)
{
    const struct catch_up *catch_up = catch_up_of(conn);
    if (!catch_up || !(catch_up->pending >> place & 1))
        return false;
    *ret = catch_up->reached[place];
    return true;
}

/* The first channel that is not live. */
static void ask(struct shard *shard, struct conn *conn, const struct catch_up *catch_up)
{
    unsigned place = (unsigned)__builtin_ctzll(catch_up->pending);
    uint32_t subscription = conn->subscriptions;
    for (unsigned i = 0; i < place; i++)
        subscription = hub_next_of(shard->hub, subscription);
    struct ticket ticket = conn_ticket(shard, conn, place);
    const struct position *reached = &catch_up->reached[place];
    if (hub_resume(shard->hub, subscription, &ticket, reached->epoch, reached->offset) < 0)
        conn_end(shard, conn, END_CLOSE, CLOSE_OVERLOADED);
}

void catch_up_go_on(struct shard *shard, struct conn *conn)
{
    const struct catch_up *catch_up = catch_up_of(conn);
    if (!catch_up || conn->state != CONN_OPEN || conn->subscriptions == HUB_NONE)
        return;
    if (conn->out_block)
        conn->link |= LINK_CATCHES_UP;
    else
        ask(shard, conn, catch_up);
}

void catch_up_drained(struct shard *shard, struct conn *conn)
{
    bool catches_up = conn->link & LINK_CATCHES_UP;
    conn->link &= ~(uint32_t)LINK_CATCHES_UP;
    conn_resume(shard, conn);
    if (catches_up)
        catch_up_go_on(shard, conn);
}

void catch_up_end(struct conn *conn)
{
    struct catch_up *catch_up = catch_up_of(conn);
    if (!catch_up)
        return;
    free(catch_up);
    conn->extra->catch_up = NULL;
    conn->link &= ~(uint32_t)LINK_CATCHES_UP;
}
