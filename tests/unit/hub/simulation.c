/* simulation: the schedule. What the callbacks must be is in sim_model.c. */
#include "simulation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* splitmix64 */
uint32_t sim_random(struct sim *sim, uint32_t below)
{
    uint64_t z = (sim->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

/* Everything tiny, so that every bound is met. */
static void configure(struct sim *sim)
{
    sim->exact = sim_random(sim, 2) == 0;
    sim->config = (struct hub_config){
        .shards = 1 + sim_random(sim, SIM_SHARDS),
        .helpers = sim_random(sim, SIM_HELPERS + 1),
        .seed = sim->random,
        .channels_max = sim_random(sim, 2) ? SIM_CHANNELS : 2,
        .subscriptions_max = SIM_SUBSCRIPTIONS,
        .history_messages_max = sim_random(sim, 10),
        .history_bytes_max = 100 + sim_random(sim, 1000),
        .history_age_ns = sim->exact ? INT64_MAX : 1 + sim_random(sim, 300),
        .history_total_bytes_max = sim->exact ? UINT64_MAX : 500 + sim_random(sim, 2000),
        .reply_bytes_max = 1 + sim_random(sim, 200),
        .linger_ns = sim_random(sim, 200),
        .overflow_max = 1 + sim_random(sim, 10),
        .turn_visits = sim_random(sim, 2) ? 1 + sim_random(sim, 20) : 0,
        .lane_slots = 1u << sim_random(sim, 5),
    };
}

struct sim *sim_open(uint64_t seed, struct coverage *coverage)
{
    struct sim *sim = calloc(1, sizeof *sim);
    assert_non_null(sim);
    sim->coverage = coverage;
    sim->random = seed;
    configure(sim);
    sim->set = hub_set_create(&sim->config);
    assert_non_null(sim->set);
    for (unsigned i = 0; i < sim->config.shards; i++) {
        struct sim_shard *shard = &sim->shards[i];
        *shard = (struct sim_shard){.sim = sim, .index = i};
        for (unsigned conn = 0; conn < SIM_CONNS; conn++)
            shard->chains[conn] = HUB_NONE;
        shard->hub = hub_create(sim->set, i, &sim_ops, shard);
        assert_non_null(shard->hub);
    }
    sim_open_helpers(sim);
    return sim;
}

static void cover(struct sim *sim)
{
    for (unsigned i = 0; i < sim->config.shards; i++) {
        struct hub_stats stats;
        hub_stats_read(sim->shards[i].hub, &stats);
        sim->coverage->published += stats.published;
        sim->coverage->delivered += stats.delivered;
        sim->coverage->recovered += stats.recovered;
        sim->coverage->unrecoverable += stats.unrecoverable;
        sim->coverage->lane_full += stats.lane_full;
        sim->coverage->refused += stats.refused;
    }
}

void sim_close(struct sim *sim)
{
    cover(sim);
    sim_close_helpers(sim);
    for (unsigned i = 0; i < sim->config.shards; i++)
        hub_free(sim->shards[i].hub);
    hub_set_free(sim->set);
    assert_int_equal(sim->calls_open, 0);
    for (uint32_t i = 0; i < sim->publications_count; i++) {
        assert_int_equal(sim->publications[i].message->refs, 1);
        message_unref(sim->publications[i].message);
    }
    free(sim);
}

static void publish(struct sim *sim, struct sim_shard *shard)
{
    static const char payload[256];
    char name[4];
    unsigned channel = sim_random(sim, SIM_CHANNELS);
    size_t len = sim_name(channel, name);
    assert_true(sim->publications_count < SIM_MESSAGES);
    uint32_t tag = sim->publications_count;
    struct publication *publication = &sim->publications[tag];
    struct message *message = message_create(name, len, hub_hash(sim->set, name, len), payload,
                                             sim_random(sim, sizeof payload), false);
    assert_non_null(message);
    struct ticket ticket = {.conn = 0, .tag = tag};
    bool ask = sim_random(sim, 4) > 0;
    /* Known before the call returns, because nothing may happen within it. */
    int err = hub_publish(shard->hub, ask ? &ticket : NULL, message_ref(message));
    if (err) {
        assert_int_equal(err, -ENOBUFS);
        message_unref(message);
        message_unref(message);
        return;
    }
    *publication = (struct publication){message, channel, !ask};
    sim->publications_count++;
}

/* A place in the channel that was true once, or nearly so, or never. */
static struct hub_since since_random(struct sim *sim, unsigned channel)
{
    struct hub_since since = {.from = (enum hub_from)sim_random(sim, 3)};
    if (since.from != HUB_FROM_POSITION || sim->publications_count == 0)
        return since;
    uint32_t back = sim_random(sim, 12);
    for (uint32_t i = sim->publications_count; i-- > 0;) {
        const struct publication *publication = &sim->publications[i];
        if (publication->channel != channel || publication->message->epoch == 0 || back-- > 0)
            continue;
        since.epoch = publication->message->epoch;
        since.offset = publication->message->offset + sim_random(sim, 3) - 1;
        break;
    }
    return since;
}

static void subscribe(struct sim *sim, struct sim_shard *shard)
{
    char name[4];
    unsigned channel = sim_random(sim, SIM_CHANNELS);
    size_t len = sim_name(channel, name);
    struct hub_since since = since_random(sim, channel);
    struct ticket ticket = {.conn = sim_random(sim, SIM_CONNS), .tag = sim->tags++};
    uint32_t *chain = &shard->chains[ticket.conn];
    uint32_t before = *chain;
    uint32_t subscription;
    int err = hub_subscribe(shard->hub, chain, &ticket, name, len, &since, &subscription);
    if (err) {
        assert_true(err == -ENOBUFS || err == -ENOSPC);
        assert_int_equal(*chain, before);
        return;
    }
    assert_int_equal(*chain, subscription);
    assert_int_equal(hub_next_of(shard->hub, subscription), before);
    assert_int_equal(shard->readers[subscription].state, READER_NONE);
    shard->readers[subscription] = (struct reader){
        .state = READER_PENDING,
        .conn = ticket.conn,
        .tag = ticket.tag,
        .channel = channel,
        .since = since,
    };
}

static void unsubscribe(struct sim *sim, struct sim_shard *shard)
{
    uint32_t *chain = &shard->chains[sim_random(sim, SIM_CONNS)];
    uint32_t subscription = *chain;
    for (unsigned skip = sim_random(sim, 4); skip > 0 && subscription != HUB_NONE; skip--)
        subscription = hub_next_of(shard->hub, subscription);
    if (subscription == HUB_NONE)
        return;
    shard->readers[subscription].state = READER_NONE;
    hub_unsubscribe(shard->hub, chain, subscription);
}

static void end_conn(struct sim_shard *shard, uint32_t conn)
{
    for (unsigned i = 0; i < 2 * SIM_SUBSCRIPTIONS; i++) {
        if (shard->readers[i].conn == conn)
            shard->readers[i].state = READER_NONE;
    }
    hub_unsubscribe_all(shard->hub, &shard->chains[conn]);
    assert_int_equal(shard->chains[conn], HUB_NONE);
}

static void read(struct sim *sim, struct sim_shard *shard)
{
    char name[4];
    unsigned channel = sim_random(sim, SIM_CHANNELS);
    size_t len = sim_name(channel, name);
    assert_true(sim->reads_count < SIM_READS);
    struct ticket ticket = {.tag = sim->reads_count};
    struct hub_since since = since_random(sim, channel);
    int err = hub_read(shard->hub, &ticket, name, len, &since);
    if (err) {
        assert_int_equal(err, -ENOBUFS);
        return;
    }
    sim->reads[sim->reads_count++] =
        (struct reader){.state = READER_PENDING, .channel = channel, .since = since};
}

void sim_request(struct sim *sim, struct sim_shard *shard)
{
    uint32_t draw = sim_random(sim, 100);
    if (draw < 8)
        sim_ask(sim, shard->index);
    else if (draw < 47)
        publish(sim, shard);
    else if (draw < 70)
        subscribe(sim, shard);
    else if (draw < 83)
        unsubscribe(sim, shard);
    else if (draw < 87)
        end_conn(shard, sim_random(sim, SIM_CONNS));
    else
        read(sim, shard);
}

void sim_resume(struct sim_shard *shard)
{
    for (uint32_t i = 0; i < 2 * SIM_SUBSCRIPTIONS; i++) {
        struct reader *reader = &shard->readers[i];
        if (reader->state != READER_PARTED)
            continue;
        const struct ticket ticket = {.conn = reader->conn, .tag = reader->tag};
        int err = hub_resume(shard->hub, i, &ticket, reader->epoch, reader->cursor);
        assert_true(err == 0 || err == -ENOBUFS);
        if (err == 0)
            reader->state = READER_PENDING;
    }
}

static void sleep_if_idle(struct sim *sim, struct sim_shard *shard)
{
    shard->asleep = hub_sleep(shard->hub);
    if (shard->asleep)
        sim->coverage->starved += lane_bits_any(&shard->hub->exchange.overflowed);
}

void sim_step(struct sim *sim)
{
    if (sim->config.helpers > 0 && sim_random(sim, 6) == 0) {
        sim_step_helper(sim);
        return;
    }
    struct sim_shard *shard = &sim->shards[sim_random(sim, sim->config.shards)];
    uint32_t draw = sim_random(sim, 100);
    if (draw < 45) {
        if (!shard->asleep)
            sim_resume(shard);
        if (!shard->asleep && draw % 3 == 0)
            sim_answer_kept(sim, shard->index);
        if (!shard->asleep && !hub_turn(shard->hub, sim->now_ns) && draw % 2)
            sleep_if_idle(sim, shard);
        return;
    }
    if (draw < 48) {
        /* Too early perhaps: then it says no. */
        if (!shard->asleep)
            sleep_if_idle(sim, shard);
        return;
    }
    if (draw < 55) {
        sim->now_ns += sim_random(sim, 20);
        return;
    }
    /* What a socket brings ends the sleep as well. */
    if (shard->asleep) {
        hub_awake(shard->hub);
        shard->asleep = false;
    }
    sim_request(sim, shard);
}

static void check_reader(const struct sim_shard *shard, uint32_t subscription)
{
    const struct sim *sim = shard->sim;
    const struct reader *reader = &shard->readers[subscription];
    assert_int_not_equal(reader->state, READER_PENDING);
    if (reader->state != READER_LIVE)
        return;
    uint64_t newest = 0;
    for (uint32_t i = 0; i < sim->publications_count; i++) {
        const struct message *message = sim->publications[i].message;
        if (sim->publications[i].channel == reader->channel && message->epoch == reader->epoch &&
            message->offset > newest)
            newest = message->offset;
    }
    assert_true(reader->cursor >= newest);
    sim_check_position(shard, subscription);
}

static bool all_asleep(const struct sim *sim)
{
    bool asleep = true;
    for (unsigned i = 0; i < sim->config.shards; i++)
        asleep &= sim->shards[i].asleep;
    return asleep;
}

/* Nobody is woken by hand here: a wake that got lost leaves something unanswered. */
static bool has_parted(const struct sim_shard *shard)
{
    for (uint32_t i = 0; i < 2 * SIM_SUBSCRIPTIONS; i++)
        if (shard->readers[i].state == READER_PARTED)
            return true;
    return false;
}

static bool at_rest(const struct sim *sim)
{
    for (unsigned i = 0; i < sim->config.shards; i++)
        if (has_parted(&sim->shards[i]))
            return false;
    return all_asleep(sim) && sim_helpers_rest(sim);
}

void sim_rest(struct sim *sim)
{
    for (unsigned round = 0; round < SIM_ROUNDS && !at_rest(sim); round++) {
        for (unsigned i = 0; i < sim->config.shards; i++) {
            struct sim_shard *shard = &sim->shards[i];
            if (has_parted(shard) || sim->parties[i].kept_count > 0) {
                hub_awake(shard->hub);
                shard->asleep = false;
                sim_resume(shard);
                sim_answer_kept(sim, i);
            }
            if (!shard->asleep && !hub_turn(shard->hub, sim->now_ns))
                sleep_if_idle(sim, shard);
        }
        sim_rest_helpers(sim);
    }
    assert_true(at_rest(sim));
    assert_int_equal(sim->calls_open, 0);
    for (uint32_t i = 0; i < sim->publications_count; i++)
        assert_true(sim->publications[i].answered);
    for (uint32_t i = 0; i < sim->reads_count; i++)
        assert_int_equal(sim->reads[i].state, READER_NONE);
    for (unsigned i = 0; i < sim->config.shards; i++) {
        for (uint32_t k = 0; k < 2 * SIM_SUBSCRIPTIONS; k++)
            check_reader(&sim->shards[i], k);
    }
}

static void wake_all(struct sim *sim)
{
    for (unsigned i = 0; i < sim->config.shards; i++) {
        hub_awake(sim->shards[i].hub);
        sim->shards[i].asleep = false;
    }
}

void sim_wind_down(struct sim *sim)
{
    sim->calm = true;
    for (unsigned i = 0; i < sim->config.shards; i++) {
        for (uint32_t conn = 0; conn < SIM_CONNS; conn++)
            end_conn(&sim->shards[i], conn);
    }
    wake_all(sim);
    sim_rest(sim);
    /* First the subscribers' shards let go, then the homes. */
    for (unsigned i = 0; i < 3; i++) {
        sim->now_ns += sim->config.linger_ns + (sim->exact ? 0 : sim->config.history_age_ns);
        wake_all(sim);
        sim_rest(sim);
    }
    for (unsigned i = 0; i < sim->config.shards; i++) {
        const struct hub *hub = sim->shards[i].hub;
        struct hub_stats stats;
        hub_stats_read(hub, &stats);
        assert_int_equal(stats.subscriptions, 0);
        assert_null(table_any(&hub->local.table, &(unsigned){0}));
        assert_null(hub->local.idle);
        assert_null(hub->home.idle);
        if (sim->exact && sim->config.history_messages_max > 0)
            continue; /* what was published is kept for ever */
        assert_int_equal(stats.channels, 0);
        assert_int_equal(stats.history_messages, 0);
        assert_int_equal(stats.history_bytes, 0);
        assert_null(table_any(&hub->home.table, &(unsigned){0}));
    }
}
