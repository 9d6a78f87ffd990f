/* What must hold in the end: everybody has what it must have, and everything is given back. */
#include <inttypes.h>

#include "carrier/quic_internal.h"
#include "client.h"
#include "conn/secure.h"
#include "h2_link.h"

enum {
    HERALD_MESSAGES = 3, /* on each channel */
    HERALD_TRIES = 240,  /* of 50 ms: longer than any deadline of the server */
    IDLE_S_MAX = 60,     /* without a byte for who is still owed some */
};

/* The kernel has no more faults, and nobody new comes. A quarter leaves, and whoever talks
 * nonsense; the first seat becomes the herald's. */
static void calm_down(struct sim *sim)
{
    struct fake_config config = fake_config_calm();
    config.delay_ns_max = SIM_MS;
    config.shuffled = true;
    fake_net_configure(sim->net, &config);
    sim->calm = true;
    sim->calm_ns = sim_now(sim);
    for (unsigned i = 0; i < sim->client_count; i++)
        if (client_is_here(&sim->clients[i]) &&
            (i % 4 == 0 || sim->clients[i].role == ROLE_NUISANCE))
            client_leave(&sim->clients[i]);
}

/* A last message on a channel, which all who still listen must get. There may be no room for
 * it: no slot for the herald, or no channel. */
static void herald(struct sim *sim, unsigned channel)
{
    struct client *client = &sim->clients[0];
    uint64_t before = sim->ledger.count;
    for (unsigned tries = 0; tries < HERALD_TRIES && sim->ledger.newest[channel] < before;
         tries++) {
        if (!client_is_here(client)) {
            client_open_as(client, ROLE_PUBLISH);
            client_ask_publish(client, channel);
        }
        sim_play(sim, UINT64_MAX, sim_now(sim) + 50 * SIM_MS);
    }
    if (client_is_here(client))
        client_leave(client);
    sim->stats.unheralded += sim->ledger.newest[channel] < before;
}

static bool nothing_waits_for(const struct sim *sim, const struct client *client)
{
    const struct ring *ring;
    uint32_t slot;
    if (client->h3)
        return true; /* what waits for it is on the network */
    if (client->carried)
        return h2_link_queued(client->carried) == 0;
    if (!fake_client_slot(client->link, &ring, &slot))
        return true;
    for (unsigned i = 0; i < sim->server.shard_count; i++)
        if (sim->shards[i]->ring == ring)
            return conn_queued(conn_at(sim->shards[i], slot)) == 0;
    return true;
}

static bool stream_has_everything(const struct sim *sim, const struct client *client, char why[80])
{
    if (client->close_seen || client->leaving) {
        snprintf(why, 80, "said goodbye, and never got to the end");
        return false;
    }
    if (client->role == ROLE_CENTRIFUGE)
        return seat_has_everything(sim, client, why);
    if (client->role == ROLE_ECHO) {
        snprintf(why, 80, "never got its echo %" PRIu64, client->echoed);
        return client->echoed == client->echoes;
    }
    if (!client->standing && (client->state == CLIENT_SSE || client->envelope)) {
        snprintf(why, 80, "was never told where it stands");
        return false;
    }
    /* Where only the latest is kept, that of another channel may displace it. */
    if (sim->settings.slow_reader != SLOW_READER_DISCONNECT && client->reading_count > 1) {
        snprintf(why, 80, "never emptied its queue");
        return nothing_waits_for(sim, client);
    }
    for (unsigned i = 0; i < client->reading_count; i++) {
        const struct ledger_cursor *cursor = &client->reading[i];
        uint64_t last = sim->ledger.newest[cursor->channel];
        if (ledger_at_end(&sim->ledger, cursor)) {
            snprintf(why, 80, "was never told that channel %u has ended", cursor->channel);
            return false;
        }
        bool due = last >= sim->herald_first || cursor->known;
        /* Nobody heralds a tale: its last message may be of a life that it was forgotten with. */
        if (cursor->channel >= SIM_CHANNELS_MAX &&
            sim->ledger.messages[last].epoch != cursor->epoch)
            continue;
        if (last > 0 && due && !ledger_behind(&sim->ledger, cursor, last)) {
            snprintf(why, 80, "never got message %" PRIu64 " of channel %u", last, cursor->channel);
            return false;
        }
    }
    return true;
}

/* Nobody has accepted it. */
static bool is_waiting(const struct client *client)
{
    const struct fake_client *end = client_end(client);
    return end && fake_client_waits(end);
}

static bool owed_nothing(const struct client *client)
{
    return !client_is_here(client) || client->role == ROLE_NUISANCE || client->vanished ||
           is_waiting(client);
}

/* Whether a client has all that it must get; if not, what it lacks. */
static bool is_answered(const struct sim *sim, const struct client *client, char why[80])
{
    (void)sim;
    snprintf(why, 80, "in role %d was never answered", (int)client->role);
    return owed_nothing(client) || client_streams(client);
}

static bool has_everything(const struct sim *sim, const struct client *client, char why[80])
{
    return owed_nothing(client) || !client_streams(client) ||
           stream_has_everything(sim, client, why);
}

/* Some have pipes of a few bytes: they get the time that they need. */
static void wait_for_all(struct sim *sim,
                         bool (*has)(const struct sim *, const struct client *, char why[80]))
{
    char why[80];
    for (unsigned i = 0; i < sim->client_count; i++) {
        unsigned idle_s = 0;
        while (!has(sim, &sim->clients[i], why)) {
            uint64_t before = sim->clients[i].bytes_read;
            sim_check(sim, idle_s < IDLE_S_MAX, "client %u %s", i, why);
            sim_play(sim, UINT64_MAX, sim_now(sim) + SIM_S);
            idle_s = sim->clients[i].bytes_read == before ? idle_s + 1 : 0;
        }
    }
}

/* Whoever vanished is found out: by heartbeats, by deadlines; and whose leave was lost, by age. */
static void the_vanished_are_missed(struct sim *sim)
{
    const struct settings *settings = &sim->settings;
    int64_t longest_ms = settings->head_timeout_ms + settings->body_timeout_ms +
                         settings->idle_timeout_ms + settings->longpoll_hold_ms +
                         settings->stall_timeout_ms * 2 + settings->heartbeat_ms * 3 +
                         (sim->secure ? settings->tls_handshake_timeout_ms : 0) +
                         (sim->crowded ? settings->namespaces.list[0].presence_age_ms : 0);
    sim_play(sim, UINT64_MAX, sim_now(sim) + (longest_ms + LINGER_MS) * SIM_MS + SIM_S);
    for (unsigned i = 0; i < sim->client_count; i++) {
        const struct client *client = &sim->clients[i];
        const struct ring *ring;
        uint32_t slot;
        sim_check(sim,
                  !client->vanished || !client_end(client) ||
                      !fake_client_slot(client_end(client), &ring, &slot),
                  "client %u, role %d, has vanished, and still has a slot", i, (int)client->role);
    }
}

static void nobody_spins(struct sim *sim)
{
    uint64_t before = sim->turns;
    sim_play(sim, UINT64_MAX, sim_now(sim) + 5 * SIM_S);
    uint64_t turns = sim->turns - before;
    sim_check(sim, turns < 3000 * sim->server.shard_count, "%" PRIu64 " turns in 5 idle seconds",
              turns);
}

void sim_end_trouble(struct sim *sim)
{
    calm_down(sim);
    wait_for_all(sim, is_answered);
    sim_play(sim, UINT64_MAX, sim_now(sim) + SIM_S); /* for subscriptions on their way */
    sim->herald_first = sim->ledger.count;
    for (unsigned n = 0; n < HERALD_MESSAGES * sim->channel_count; n++)
        herald(sim, n % sim->channel_count);
    wait_for_all(sim, has_everything);
    the_vanished_are_missed(sim);
    if (sim->sessions)
        seats_are_present(sim);
    nobody_spins(sim);
}

/* No more subscribers than the rate lets in, and a rush. */
static void admission_was_kept(const struct sim *sim)
{
    for (unsigned i = 0; i < sim->server.shard_count; i++) {
        const struct shard *shard = sim->shards[i];
        const struct admission *admission = &shard->admission;
        uint64_t admitted = counter_read(&shard->counters.admitted);
        if (admission->interval_ns == 0)
            continue;
        int64_t time_ns = sim_now(sim) - SIM_START_NS + admission->burst_ns;
        uint64_t most = (uint64_t)(time_ns / admission->interval_ns) + 1;
        sim_check(sim, admitted <= most, "shard %u let in %" PRIu64 " subscribers of %" PRIu64, i,
                  admitted, most);
    }
}

static bool is_zero(const void *memory, size_t size)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* No handshake is lent, nobody waits for one, and no keys are left. */
static void secrets_are_gone(const struct sim *sim, const struct shard *shard)
{
    const struct secure *secure = shard->secure;
    sim_check(sim, tls_handshakes_in_use(secure->handshakes) == 0, "handshakes left");
    sim_check(sim, secure->begun.count + secure->hellos.count == 0, "somebody waits");
    sim_check(sim, secure->oldest == TIMERS_NONE && secure->newest == TIMERS_NONE,
              "somebody holds a handshake");
    sim_check(sim, counter_read(&shard->counters.tls_connections) == 0, "TLS connections left");
    for (uint32_t slot = 0; slot < secure->slots; slot++) {
        const union secure_line *line = secure_line(secure, slot);
        size_t early = sizeof line->early;
        sim_check(sim,
                  !line->early.handshake &&
                      is_zero((const char *)line + early, sizeof *line - early),
                  "slot %u: keys left", slot);
    }
}

/* No connection is known, none is under way, and the memory of all has come back. */
static void quic_is_over(const struct sim *sim, const struct shard *shard)
{
    const struct quic_port *port = quic_port_of(shard);
    const struct arenas *arenas = &port->arenas;
    sim_check(sim, port->carrier.count == 0 && port->handshakes == 0 && port->strays == 0,
              "QUIC: %u connections, %u handshakes, %u strays left", port->carrier.count,
              port->handshakes, port->strays);
    sim_check(sim, port->cids.count == 0, "QUIC: %u connection IDs left",
              (unsigned)port->cids.count);
    sim_check(sim, alarms_next_ns(&port->alarms) == INT64_MAX, "QUIC: alarms left");
    sim_check(sim, arenas->warm_count + arenas->cold_count == arenas->region_count * ARENA_REGION,
              "QUIC: of %u regions %u arenas are back", arenas->region_count,
              arenas->warm_count + arenas->cold_count);
}

static bool is_port(const struct shard *shard, uint32_t slot)
{
    const struct quic_port *port = quic_port_of(shard);
    return port && port->carrier.slot == slot;
}

static void slots_are_free(const struct sim *sim, const struct shard *shard)
{
    for (uint32_t slot = 0; slot < shard->slab_slots; slot++)
        sim_check(sim,
                  is_port(shard, slot) ||
                      (shard->slab[slot].state == CONN_FREE && !shard->slab[slot].extra &&
                       !shard->slab[slot].out_block),
                  "shard %u: slot %u is not free", shard->index, slot);
    for (unsigned kind = 0; kind < BUDGET_COUNT; kind++)
        sim_check(sim, shard->budgets[kind].bytes == 0 && shard->budgets[kind].holders == 0,
                  "shard %u: of budget %u %llu bytes are left", shard->index, kind,
                  (unsigned long long)shard->budgets[kind].bytes);
}

void sim_end_visits(struct sim *sim)
{
    sim->calm = true;
    sim->calm_ns = sim_now(sim);
    for (unsigned i = 0; i < sim->client_count; i++)
        if (client_is_here(&sim->clients[i]))
            client_leave(&sim->clients[i]);
    admission_was_kept(sim);
    sim_play(sim, UINT64_MAX, sim_now(sim) + 60 * SIM_S);
    for (unsigned i = 0; i < sim->server.shard_count; i++) {
        const struct shard *shard = sim->shards[i];
        struct hub_stats stats;
        hub_stats_read(shard->hub, &stats);
        sim_check(sim, shard->live == 0, "shard %u: %u connections left", i, shard->live);
        sim_check(sim, shard->ring->stats.slots_used == 0, "shard %u: %u slots left", i,
                  shard->ring->stats.slots_used);
        sim_check(sim, shard->timers.armed == 0, "shard %u: %u timers left", i,
                  shard->timers.armed);
        sim_check(sim, stats.subscriptions == 0, "shard %u: %" PRIu64 " subscriptions left", i,
                  stats.subscriptions);
        slots_are_free(sim, shard);
        if (sim->quic)
            quic_is_over(sim, shard);
    }
    if (sim->sessions)
        seats_are_present(sim);
    for (unsigned i = 0; sim->secure && i < sim->server.shard_count; i++)
        secrets_are_gone(sim, sim->shards[i]);
    sim_check(sim, fake_net_open(sim->net) == 0, "%u connections left", fake_net_open(sim->net));
}

void sim_end_server(struct sim *sim)
{
    sim->draining = true;
    for (unsigned i = 0; i < sim->server.shard_count; i++)
        shard_stop(sim->shards[i]);
    sim_play(sim, UINT64_MAX,
             sim_now(sim) + sim->settings.drain_ms * SIM_MS + (LINGER_MS + 1000) * SIM_MS);
    for (unsigned i = 0; i < sim->server.shard_count; i++) {
        const struct shard *shard = sim->shards[i];
        sim_check(sim, shard_done(shard), "shard %u has not drained", i);
        sim_check(sim, shard->live == 0 || !sim->calm, "shard %u drained with %u connections", i,
                  shard->live);
    }
    for (unsigned i = 0; i < sim->client_count; i++) {
        struct client *client = &sim->clients[i];
        sim_check(sim,
                  !client_is_here(client) || !sim->calm || client->vanished || is_waiting(client),
                  "client %u, role %d: the server went away without a word", i, (int)client->role);
        if (client_is_here(client))
            client_leave(client);
    }
}
