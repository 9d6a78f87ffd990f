#include "session/session_internal.h"

#include <errno.h>
#include <stdlib.h>

enum {
    GAPS_MIN = 4,
};

int replay_note(struct session *session, uint32_t subscription, uint64_t epoch, uint64_t offset)
{
    if (session->gap_count == session->gap_size) {
        unsigned size = session->gap_size > 0 ? 2U * session->gap_size : GAPS_MIN;
        struct session_gap *gaps = realloc(session->gaps, size * sizeof *gaps);
        if (!gaps)
            return -ENOMEM;
        session->gaps = gaps;
        session->gap_size = (uint16_t)size;
    }
    session->gaps[session->gap_count++] = (struct session_gap){subscription, epoch, offset};
    return 0;
}

static void remove_at(struct session *session, unsigned at)
{
    session->gap_count--;
    for (unsigned i = at; i < session->gap_count; i++)
        session->gaps[i] = session->gaps[i + 1];
    if (session->gap_count > 0)
        return;
    free(session->gaps);
    session->gaps = NULL;
    session->gap_size = 0;
}

void replay_forget(struct session *session, uint32_t subscription)
{
    for (unsigned i = 0; i < session->gap_count; i++) {
        if (session->gaps[i].subscription != subscription)
            continue;
        remove_at(session, i);
        return;
    }
}

/* The one that has waited for longest. */
static void ask(struct shard *shard, struct conn *conn, struct session *session)
{
    struct session_gap gap = session->gaps[0];
    struct ticket ticket = conn_ticket(shard, conn, 0);
    remove_at(session, 0);
    if (hub_resume(shard->hub, gap.subscription, &ticket, gap.epoch, gap.offset) < 0)
        session_fail(shard, conn, CLOSE_OVERLOADED);
}

void replay_go_on(struct shard *shard, struct conn *conn)
{
    if (conn->state != CONN_OPEN || !(conn->role & ROLE_SESSION))
        return;
    struct session *session = session_of(shard, conn);
    if (session->gap_count == 0 || conn->role & ROLE_CONNECTING)
        return;
    if (conn->out_block)
        conn->link |= LINK_CATCHES_UP;
    else
        ask(shard, conn, session);
}

void replay_drained(struct shard *shard, struct conn *conn)
{
    bool catches_up = conn->link & LINK_CATCHES_UP;
    conn->link &= ~(uint32_t)LINK_CATCHES_UP;
    conn_resume(shard, conn);
    if (catches_up)
        replay_go_on(shard, conn);
}
