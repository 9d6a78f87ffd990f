/* The server of a simulation, made from a seed; and one life of it. */
#include "sim.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "api/api.h"
#include "auth/auth.h"
#include "carrier/http2.h"
#include "carrier/quic.h"
#include "changes.h"
#include "conn/client.h"
#include "core/message.h"
#include "h3_link.h"
#include "http/origins.h"
#include "seat.h"
#include "secure_link.h"
#include "session/session.h"
#include "transport/answering.h"
#include "transport/encoder.h"

enum {
    ACTS = 30000,
    NARROW_BYTES = 500,
};

/* From a message's number to its delivery on another shard: some turns and pauses, not the time
 * that a shard sleeps when nobody wakes it. */
#define LATE_NS_MAX (600 * SIM_MS)

static struct sim *running;

/* ---- chance and breaches ---- */

/* splitmix64 */
uint64_t sim_random(struct sim *sim)
{
    uint64_t z = (sim->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return sim_random(sim) % bound;
}

bool sim_chance(struct sim *sim, unsigned permille)
{
    return sim_below(sim, 1000) < permille;
}

int64_t sim_now(const struct sim *sim)
{
    return fake_net_now(sim->net);
}

void sim_breach(const struct sim *sim, const char *file, int line, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 " at %.6f s (%s:%d): ", sim->seed, (double)sim_now(sim) / 1e9,
            file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

static int64_t between(struct sim *sim, int64_t low, int64_t high)
{
    return low + (int64_t)sim_below(sim, (uint64_t)(high - low + 1));
}

/* Any order of magnitude as likely as another. */
static int64_t between_wide(struct sim *sim, int64_t low, int64_t high)
{
    int64_t most = (high - low) / (INT64_C(1) << sim_below(sim, 10));
    return between(sim, low, low + most);
}

/* ---- the server ---- */

static void sessions_draw(struct sim *sim)
{
    struct settings *settings = &sim->settings;
    struct namespace *all = &settings->namespaces.list[0];
    sim->sessions = sim->seed >= 1000 && sim->seed / 10 % 5 < 3;
    if (!sim->sessions)
        return;
    seat_key_publish();
    snprintf(settings->token_keys, sizeof settings->token_keys, "HS256:env:RINGSIDE_SIM_KEY");
    settings->session_channels_max = sim_chance(sim, 300) ? between(sim, 1, 4) : 128;
    settings->token_grace_ms = between(sim, 0, 20) * 1000;
    all->presence = sim_chance(sim, 800);
    all->join_leave = sim_chance(sim, 400);
    all->presence_age_ms = 1000;
}

/* From 2,000 on. */
static void changes_draw(struct sim *sim)
{
    struct settings *settings = &sim->settings;
    sim->changes = sim->seed >= 2000;
    if (!sim->changes)
        return;
    settings->websocket_deflate = true;
    settings->deflate_window_bits = between(sim, 9, 15);
    settings->compress_bytes_min = between_wide(sim, 1, 2000);
    settings->delta_bytes_max = sim_chance(sim, 200) ? between(sim, 0, 300) : 262144;
    settings->delta_total_bytes_max = between_wide(sim, 100, 40000000);
}

/* From 3,000 on. */
static void quic_draw(struct sim *sim)
{
    struct settings *settings = &sim->settings;
    sim->quic = sim->seed >= 3000;
    if (!sim->quic)
        return;
    settings->http3 = true;
    settings->quic_idle_timeout_ms = between_wide(sim, 1000, 30000);
    settings->quic_retry_over = sim_chance(sim, 300) ? between(sim, 0, 5) : 100;
}

/* As the kernel's program in server/udp.c: by the first byte of the ID that a packet is for. */
static unsigned route(const void *data, size_t size, unsigned sockets)
{
    const uint8_t *bytes = data;
    size_t at = size > 0 && bytes[0] & 0x80 ? 6 : 1;
    return size > at ? bytes[at] % sockets : 0;
}

/* From no trouble at all to a way that loses every fifth. Where nothing routes, packets come to any
 * shard, and are handed on. */
static void way_draw(struct sim *sim, struct fake_config *config)
{
    config->packet_lost = (unsigned)between_wide(sim, 0, 200);
    config->packet_twice = (unsigned)between_wide(sim, 0, 100);
    config->packet_cut = (unsigned)between_wide(sim, 0, 50);
    config->packet_spoilt = (unsigned)between_wide(sim, 0, 50);
    config->packet_delay_ns_max = between_wide(sim, 0, 100 * SIM_MS);
    fake_net_configure(sim->net, config);
    if (sim_chance(sim, 500))
        fake_net_route(sim->net, route);
}

static void settings_draw(struct sim *sim)
{
    struct settings *settings = &sim->settings;
    settings_default(settings);
    settings->shards = between(sim, 1, SIM_SHARDS_MAX);
    settings->max_connections = sim_chance(sim, 300) ? between(sim, 8, 40) : 1000;
    settings->drain_ms = between(sim, 0, 2000);
    settings->head_bytes_max = between_wide(sim, 1024, 8192);
    settings->head_timeout_ms = between(sim, 300, 5000);
    settings->body_timeout_ms = between(sim, 300, 10000);
    settings->idle_timeout_ms = between(sim, 300, 10000);
    settings->message_bytes_max = sim_chance(sim, 250) ? 4000 : LEDGER_PAYLOAD_MAX;
    settings->channels_max = sim_chance(sim, 200) ? between(sim, 1, 6) : 1000;
    settings->history_messages_max = between_wide(sim, 1, 200);
    settings->history_bytes_max = between_wide(sim, 1000, 4000000);
    settings->history_age_ms = between_wide(sim, 100, 60000);
    settings->history_total_bytes_max = between_wide(sim, 20000, 40000000);
    settings->queue_bytes_max = between_wide(sim, 1024, 1000000);
    settings->slow_reader =
        sim_chance(sim, 600) ? SLOW_READER_DISCONNECT : (enum slow_reader_policy)sim_below(sim, 3);
    settings->queue_total_bytes_max = between_wide(sim, 65536, 40000000);
    settings->input_total_bytes_max = between_wide(sim, 65536, 40000000);
    settings->stall_timeout_ms = between(sim, 500, 10000);
    settings->heartbeat_ms = between(sim, 300, 10000);
    settings->longpoll_hold_ms = between(sim, 50, 4000);
    settings->websocket_publish = sim_chance(sim, 900);
    settings->echo = true;
    /* By the seed itself: drawn, it would change what all others do. */
    settings->heartbeats_skipped_max = (int64_t)(sim->seed % 5);
    if (sim->seed % 3 == 1) {
        settings->admits_per_s = INT64_C(1) << sim->seed / 3 % 8;
        settings->admit_burst_ms = (int64_t)(sim->seed % 5) * 200;
        settings->admit_wait_ms_max = 1000 + (int64_t)(sim->seed % 7) * 1000;
    }
    /* Counted, and never too many: the clients are all of one address. */
    if (sim->seed % 5 == 2)
        settings->address_connections_max = SIM_CLIENTS_MAX * 1000;
    settings->proxy_protocol = sim->seed % 7 == 4;
    settings->http2 = sim->seed % 5 >= 3;
    if (settings->http2) {
        settings->http2_streams_max = between_wide(sim, 2, 100);
        settings->streams_max = sim_chance(sim, 300) ? between(sim, 8, 60) : 1000;
        settings->http2_resets_per_s = sim_chance(sim, 300) ? between(sim, 1, 20) : 100;
        settings->http2_total_bytes_max = between_wide(sim, 1 << 20, 40000000);
        sim->starved = sim->seed % 5 == 4;
    }
    sessions_draw(sim);
    changes_draw(sim);
    quic_draw(sim);
    if (sim->seed % 4 == 3 || sim->quic) {
        sim->secure = secure_world_create();
        settings->tls_handshakes_max = between_wide(sim, 1, 200);
        settings->tls_handshakes_per_turn = between(sim, 1, 16);
        settings->tls_handshakes_per_s = sim_chance(sim, 300) ? between_wide(sim, 5, 500) : 0;
        settings->tls_handshake_timeout_ms = between(sim, 300, 10000);
    }
    char why[256];
    int err = settings_check(settings, why, sizeof why);
    sim_check(sim, err == 0, "settings: %s", why);
}

static uint32_t overflow_draw(struct sim *sim)
{
    sim->crowded = sim_chance(sim, 200);
    return sim->crowded ? (uint32_t)between(sim, 1, 20) : 65536;
}

static struct hub_config hub_draw(struct sim *sim)
{
    const struct settings *settings = &sim->settings;
    return (struct hub_config){
        .shards = (unsigned)settings->shards,
        .seed = sim->seed,
        .channels_max = (uint32_t)settings->channels_max,
        .subscriptions_max = sim_chance(sim, 100) ? 10 : 1000,
        .history_messages_max = (uint32_t)settings->history_messages_max,
        .history_bytes_max = (uint64_t)settings->history_bytes_max,
        .history_age_ns = settings->history_age_ms * SIM_MS,
        .history_total_bytes_max = (uint64_t)settings->history_total_bytes_max,
        .last_bytes_max = (uint64_t)settings->delta_bytes_max,
        .last_total_bytes_max = (uint64_t)settings->delta_total_bytes_max,
        .reply_bytes_max = (uint64_t)settings->queue_bytes_max,
        .linger_ns = between_wide(sim, 10 * SIM_MS, 30 * SIM_S),
        .turn_visits = sim_chance(sim, 500) ? (unsigned)between(sim, 1, 30) : 0,
        .overflow_max = overflow_draw(sim),
        .lane_slots = 1U << between(sim, 1, 8),
    };
}

/* Every live message passes here, with its number. */
static void note(struct sim *sim, const struct hub_batch *batch)
{
    (void)sim;
    if (batch->messages[0]->kind != MESSAGE_PUBLICATION)
        return;
    for (unsigned i = 0; i < batch->count; i++) {
        const struct message *message = batch->messages[i];
        uint64_t id = ledger_id(&running->ledger, message_payload(message), message->payload_len);
        ledger_learn(&running->ledger, id, message->epoch, message->offset);
        int64_t late_ns = sim_now(running) - running->ledger.messages[id].taken_ns;
        sim_check(running, late_ns < LATE_NS_MAX,
                  "message %" PRIu64 " is delivered %.3f s after it had its number", id,
                  (double)late_ns / 1e9);
    }
}

static void witness(struct shard *shard, const struct hub_batch *batch)
{
    sim_keep(running, note, batch);
    encoder_begin(shard, batch);
}

/* A descriptor is all that the shard wants: it closes it when it drains. */
static int listener_make(struct shard *shard, enum listener listener)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert(fd >= 0);
    shard_listen(shard, listener, fd);
    return fd;
}

static void server_make(struct sim *sim)
{
    char why[256];
    struct origins *origins;
    int err = origins_create(&origins, "*", why, sizeof why);
    sim_check(sim, err == 0, "origins: %s", why);
    struct auth *auth = NULL;
    err = sim->sessions ? auth_create(&auth, &sim->settings, why, sizeof why) : 0;
    sim_check(sim, err == 0, "tokens: %s", why);
    const struct hub_config config = hub_draw(sim);
    sim->server = (struct server){
        .settings = &sim->settings,
        .transports = server_transports,
        .batch_begin = witness,
        .batch_done = encoder_release,
        .batch_end = encoder_done,
        .sessions_end = sessions_end,
        .answers_turn = answering_turn,
        .routes = server_routes,
        .tls = sim->secure ? sim->secure->server : NULL,
        .identities = sim->secure ? sim->secure->identities : NULL,
        .http2 = sim->settings.http2 ? http2_library_create() : NULL,
        .quic = sim->quic ? quic_library_create() : NULL,
        .datagrams = {[DATAGRAM_QUIC] = sim->quic ? &quic_datagrams : NULL},
        .origins = origins,
        .auth = auth,
        .hubs = hub_set_create(&config),
        .shards = sim->shards,
        .shard_count = (unsigned)sim->settings.shards,
        .seed = sim_random(sim),
    };
    const uint64_t seed[] = {sim->seed, sim->seed};
    assert(sim->server.hubs);
    err = clients_table(&sim->server.addresses, &sim->settings, seed);
    sim_check(sim, err == 0, "the table of addresses: %s", strerror(-err));
    uint32_t each =
        shard_connections((uint64_t)sim->settings.max_connections, sim->server.shard_count);
    for (unsigned i = 0; i < sim->server.shard_count; i++) {
        const struct ring_config ring = {
            .capacity = each + (uint32_t)sim_below(sim, 8),
            .peers = sim->server.addresses != NULL,
        };
        err = shard_create(&sim->shards[i], &sim->server, i, ring_fake_create(sim->net, &ring),
                           sim_now(sim), why, sizeof why);
        sim_check(sim, err == 0, "shard %u: %s", i, why);
        sim->listeners[i] = listener_make(sim->shards[i], LISTENER_PLAIN);
        if (sim->secure)
            sim->secure_listeners[i] = listener_make(sim->shards[i], LISTENER_TLS);
        err = sim->quic ? shard_datagrams(sim->shards[i], DATAGRAM_QUIC, H3_PORT) : 0;
        sim_check(sim, err == 0, "shard %u: datagrams: %s", i, strerror(-err));
        sim->run_at_ns[i] = sim_now(sim);
    }
}

static void server_free(struct sim *sim)
{
    for (unsigned i = 0; i < sim->server.shard_count; i++)
        shard_free(sim->shards[i]);
    hub_set_free(sim->server.hubs);
    http2_library_free((struct http2_library *)(uintptr_t)sim->server.http2);
    quic_library_free((struct quic_library *)(uintptr_t)sim->server.quic);
    addresses_free(sim->server.addresses);
    auth_free(sim->server.auth);
    origins_free((struct origins *)(uintptr_t)sim->server.origins);
}

static void report(const struct sim *sim)
{
    const struct sim_stats *stats = &sim->stats;
    printf("  %u shards, %u clients, %u channels, %.1f s: %" PRIu64 " connections, %" PRIu64
           " published, %" PRIu64 " delivered, %" PRIu64 " recovered, %" PRIu64 " lost, %" PRIu64
           " refused, %" PRIu64 " resets, %" PRIu64 " stalls, %" PRIu64 " unheralded, %" PRIu64
           " turns\n",
           sim->server.shard_count, sim->client_count, sim->channel_count,
           (double)sim_now(sim) / 1e9, stats->connections, stats->published, stats->delivered,
           stats->recovered, stats->lost, stats->refused, stats->resets, stats->stalls,
           stats->unheralded, sim->turns);
    if (sim->server.http2 || sim->quic)
        printf("  HTTP/2 and 3: %" PRIu64 " streams on %" PRIu64 " connections, %" PRIu64
               " messages by them\n",
               stats->streams, stats->roads, stats->carried);
    if (sim->quic)
        printf("  QUIC: %" PRIu64 " connections, %" PRIu64 " opened, %" PRIu64 " moves, %" PRIu64
               " sessions of WebTransport, %" PRIu64 " datagrams\n",
               stats->quic_roads, stats->quic_open, stats->moves, stats->sessions,
               stats->datagrams);
    if (sim->sessions)
        printf("  sessions: %" PRIu64 " messages by them\n", stats->by_session);
    if (sim->changes)
        printf("  %" PRIu64 " messages as what changed, %" PRIu64 " deflated, %" PRIu64 " ends\n",
               stats->deltas, stats->inflated, stats->ends);
    if (sim->starved)
        printf("  %" PRIu64 " allocations found no memory\n", stats->failed);
    if (sim->secure)
        printf("  TLS: %" PRIu64 " handshakes in full, %" PRIu64 " resumed\n", sim->secure->full,
               sim->secure->resumed);
}

uint64_t sim_run(uint64_t seed, bool verbose)
{
    static const unsigned troubles[] = {0, 1, 1, 3, 10};
    struct sim sim = {.seed = seed, .random = seed};
    struct fake_config config = fake_config_wild(seed);
    running = &sim;
    h3_random_seed(seed);
    sim.trouble = troubles[sim_below(&sim, sizeof troubles / sizeof troubles[0])];
    config.reset = (unsigned)sim_below(&sim, 2);
    config.pipe_bytes_min = sim_chance(&sim, 500) ? (uint32_t)between_wide(&sim, 16, 4000) : 4000;
    sim.narrow = config.pipe_bytes_min < NARROW_BYTES;
    sim.net = fake_net_create(&config);
    fake_net_advance(sim.net, SIM_START_NS);
    ledger_init(&sim.ledger, &sim);
    settings_draw(&sim);
    if (sim.quic)
        way_draw(&sim, &config);
    sim.client_count = (unsigned)between_wide(&sim, 16, SIM_CLIENTS_MAX);
    sim.channel_count = (unsigned)between(&sim, 1, SIM_CHANNELS_MAX);
    sim.messages_max = (unsigned)between(&sim, 100, 3000);
    server_make(&sim);
    sim.clients = calloc(sim.client_count, sizeof *sim.clients);
    assert(sim.clients);
    for (unsigned i = 0; i < sim.client_count; i++)
        client_init(&sim.clients[i], &sim, i);

    sim_play(&sim, ACTS, INT64_MAX);
    if (sim_chance(&sim, 700))
        sim_end_trouble(&sim);
    if (sim_chance(&sim, 500))
        sim_end_visits(&sim);
    else
        sim_end_server(&sim);
    if (verbose)
        report(&sim);

    uint64_t trace = fake_net_trace(sim.net) ^ sim.stats.delivered << 40 ^ sim.random;
    for (unsigned i = 0; i < sim.client_count; i++)
        if (client_is_here(&sim.clients[i]))
            client_leave(&sim.clients[i]);
    server_free(&sim);
    fake_net_free(sim.net);
    secure_world_free(sim.secure);
    ledger_done(&sim.ledger);
    changes_done();
    free(sim.clients);
    running = NULL;
    return trace;
}
