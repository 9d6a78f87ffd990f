#include "conn/budgets.h"

#include "conn/secure.h"
#include "conn/shard.h"

static uint64_t held(const struct shard *shard, enum budget_kind kind)
{
    /* What leaves in this turn is there, too, and nobody's fault. */
    if (kind == BUDGET_OUTPUT)
        return shard->blocks.bytes + shard->places_bytes +
               (uint64_t)shard->budgets[kind].holders * sizeof(struct conn_extra);
    return shard->budgets[kind].bytes;
}

static uint64_t limit(const struct shard *shard, enum budget_kind kind)
{
#define LIMIT(NAME, setting, ...)                                                                  \
    case BUDGET_##NAME:                                                                            \
        return (uint64_t)shard->settings->setting;
    switch (kind) {
        BUDGETS(LIMIT)
    case BUDGET_COUNT:
        break;
    }
    return UINT64_MAX;
}

static enum close_reason reason_of(enum budget_kind kind)
{
#define REASON(NAME, setting, gauge, reason, ...) CLOSE_##reason,
    static const uint8_t reasons[] = {BUDGETS(REASON)};
    return (enum close_reason)reasons[kind];
}

bool budgets_spent(const struct shard *shard, enum budget_kind kind)
{
    return held(shard, kind) > limit(shard, kind);
}

/* Takes from a connection what it holds of its input, and tells it. */
static void give_up_input(struct shard *shard, struct conn *conn)
{
    struct conn_extra *extra = conn->extra;
    stash_free(&extra->input);
    stash_free(&extra->record);
    stash_free(&extra->message);
    budget_clear(&shard->budgets[BUDGET_INPUT], &extra->held);
    if (conn->link & LINK_HANDSHAKE)
        secure_give_up(shard, conn);
    else
        conn_transport(shard, conn)->give_up(shard, conn);
    conn_end(shard, conn, END_LINGER, CLOSE_INPUT_TOTAL);
}

/* One that has not said whose it is, or is ending, is told nothing, nor one whose transport has no
 * words for it. */
static bool is_told(const struct shard *shard, const struct conn *conn)
{
    return conn->state == CONN_OPEN && !(conn->link & LINK_PROXY) &&
           (conn->link & LINK_HANDSHAKE || conn_transport(shard, conn)->give_up);
}

static void relieve_of(struct shard *shard, struct conn *conn, enum budget_kind kind)
{
    if (kind == BUDGET_INPUT && is_told(shard, conn))
        give_up_input(shard, conn);
    else
        conn_end(shard, conn, END_CLOSE, reason_of(kind));
}

void budgets_relieve(struct shard *shard, enum budget_kind kind)
{
    uint32_t slot;
    while (budgets_spent(shard, kind) &&
           (slot = budget_worst(&shard->budgets[kind], shard->now_ns)) != BUDGET_NONE)
        relieve_of(shard, conn_at(shard, slot), kind);
}

void budgets_charge_input(struct shard *shard, struct conn *conn)
{
    struct conn_extra *extra = conn->extra;
    if (!extra)
        return;
    uint64_t bytes = (uint64_t)extra->input.size + extra->record.size + extra->message.size;
    if (extra->transport_state)
        bytes += extra->state_bytes;
    if (bytes > 0)
        bytes += sizeof *extra;
    budget_set(&shard->budgets[BUDGET_INPUT], &extra->held, conn_slot(shard, conn), bytes,
               shard->now_ns);
    budgets_relieve(shard, BUDGET_INPUT);
}

void budgets_charge_output(struct shard *shard, struct conn *conn)
{
    budget_set(&shard->budgets[BUDGET_OUTPUT], &conn->extra->owed, conn_slot(shard, conn),
               conn_keeps(conn) + sizeof *conn->extra, shard->now_ns);
    budget_set(&shard->budgets[BUDGET_KEPT], &conn->extra->kept, conn_slot(shard, conn),
               conn->extra->kept_bytes, shard->now_ns);
}

void budgets_show(struct shard *shard)
{
#define SHOW(NAME, setting, gauge, ...)                                                            \
    counter_set(&shard->counters.gauge, held(shard, BUDGET_##NAME));
    BUDGETS(SHOW)
}
