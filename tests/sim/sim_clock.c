/* The scheduler. Shards and clients take turns in an order that the seed decides; time passes when
 * nobody has anything to do now, and a little with every turn. */
#include "client.h"
#include "conn/check.h"

#include <inttypes.h>

#include "failing_alloc.h"

enum {
    ANSWERS_BYTES = 64 * 1024, /* of heads and positions, and of small answers together */
    TURN_NS_MAX = 30000,
    PAUSE_NS_MAX = 100000000,
    ACTORS_MAX = SIM_SHARDS_MAX + SIM_CLIENTS_MAX,
};

static int64_t shard_due(const struct sim *sim, unsigned index)
{
    int64_t due_ns = ring_fake_due(sim->shards[index]->ring);
    due_ns = due_ns < sim->run_at_ns[index] ? due_ns : sim->run_at_ns[index];
    return due_ns > sim->busy_until_ns[index] ? due_ns : sim->busy_until_ns[index];
}

/* What a connection between requests and their answers can be owed at most: what fits together, and
 * an answer, which has one message however large, every byte of which may be written as six. */
static uint64_t owed_max(const struct sim *sim)
{
    uint64_t answer = (uint64_t)sim->settings.queue_bytes_max;
    uint64_t message = 6 * LEDGER_PAYLOAD_MAX;
    return ANSWERS_BYTES + (answer > message ? answer : message);
}

static bool asks(const struct conn *conn)
{
    return conn->transport == TRANSPORT_HTTP || conn->transport == TRANSPORT_POLL ||
           conn->transport == TRANSPORT_LONGPOLL || conn->transport == TRANSPORT_PUBLISH;
}

static void check_answers(const struct sim *sim, const struct shard *shard)
{
    for (uint32_t slot = 0; slot < shard->slots_high; slot++) {
        const struct conn *conn = &shard->slab[slot];
        sim_check(sim,
                  conn->state != CONN_OPEN || !asks(conn) || conn_queued(conn) <= owed_max(sim),
                  "slot %u is owed %" PRIu64 " bytes of answers", slot, conn_queued(conn));
    }
}

static void check_connections(const struct sim *sim, const struct shard *shard)
{
    uint32_t slot;
    const char *broken = shard_check(shard, &slot);
    sim_check(sim, !broken, "shard %u, slot %d: %s", shard->index, (int)slot, broken);
    check_answers(sim, shard);
}

/* In some seeds one of its allocations finds no memory now and then. */
static int64_t turn(struct sim *sim, struct shard *shard)
{
    if (!sim->starved || sim->calm || !sim_chance(sim, 150))
        return shard_turn(shard, sim_now(sim));
    failing_alloc_arm((unsigned)sim_below(sim, 20));
    failing_alloc.inside = true;
    int64_t wait_ns = shard_turn(shard, sim_now(sim));
    failing_alloc.inside = false;
    sim->stats.failed += failing_alloc_disarm();
    return wait_ns;
}

void sim_keep(struct sim *sim, void (*keep)(struct sim *sim, const struct hub_batch *batch),
              const struct hub_batch *batch)
{
    bool inside = failing_alloc.inside;
    failing_alloc.inside = false;
    keep(sim, batch);
    failing_alloc.inside = inside;
}

/* What shard_run does around one wait. */
static void shard_act(struct sim *sim, unsigned index)
{
    struct shard *shard = sim->shards[index];
    int err = ring_wait(shard->ring, 0);
    sim_check(sim, err == 0, "shard %u: ring_wait %d", index, err);
    hub_awake(shard->hub);
    int64_t wait_ns = turn(sim, shard);
    sim->turns++;
    check_connections(sim, shard);
    int64_t took = 1 + (int64_t)sim_below(sim, TURN_NS_MAX);
    if (sim_chance(sim, 5))
        took += (int64_t)sim_below(sim, PAUSE_NS_MAX); /* the machine had other things to do */
    if (wait_ns > 0 && !hub_sleep(shard->hub))
        wait_ns = 0;
    sim->busy_until_ns[index] = sim_now(sim) + took;
    sim->run_at_ns[index] = sim->busy_until_ns[index] + wait_ns;
}

static int64_t due_of(const struct sim *sim, unsigned actor)
{
    unsigned shards = sim->server.shard_count;
    return actor < shards ? shard_due(sim, actor) : sim->clients[actor - shards].act_at_ns;
}

void sim_play(struct sim *sim, uint64_t acts, int64_t until_ns)
{
    unsigned shards = sim->server.shard_count, actors = shards + sim->client_count;
    while (acts > 0 && sim_now(sim) < until_ns) {
        unsigned ready[ACTORS_MAX], count = 0;
        int64_t next_ns = INT64_MAX;
        for (unsigned actor = 0; actor < actors; actor++) {
            int64_t due_ns = due_of(sim, actor);
            if (due_ns <= sim_now(sim))
                ready[count++] = actor;
            else if (due_ns < next_ns)
                next_ns = due_ns;
        }
        if (count == 0) {
            fake_net_advance(sim->net, next_ns < until_ns ? next_ns : until_ns);
            continue;
        }
        unsigned actor = ready[sim_below(sim, count)];
        if (actor < shards) {
            shard_act(sim, actor);
        } else {
            client_act(&sim->clients[actor - shards]);
            acts--;
        }
    }
}
