#include "cluster.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/server_api.h"
#include "auth/held.h"
#include "broker/broker.h"
#include "carrier/http2.h"
#include "conf/settings.h"
#include "conn/shard.h"
#include "couriers.h"
#include "hub/hub.h"
#include "kafka/kafka.h"
#include "session/orders.h"
#include "session/presence.h"
#include "session/session.h"

enum {
    HUB_OVERFLOW_MAX = 65536,
    HUB_LINGER_S = 30,
};

int cluster_create(struct broker **ret, struct server *server, const struct settings *settings,
                   uint64_t seed, char *why, size_t why_size)
{
    int err = broker_create(ret, settings, seed, why, why_size);
    if (err == 0)
        err = couriers_create(server, settings, why, why_size);
    return err < 0 ? err : kafka_create(&server->kafka, settings, why, why_size);
}

static struct hub_config hub_config(const struct settings *settings, unsigned shards,
                                    const struct broker *broker, const struct kafka *kafka,
                                    unsigned couriers, struct hub_witness *witness, uint64_t seed)
{
    uint32_t lines = shard_connections((uint64_t)settings->max_connections, shards);
    if (settings->http2)
        lines += streams_of_shard(settings, shards);
    struct hub_config config = {
        .shards = shards,
        .channels_max = (uint32_t)settings->channels_max,
        .subscriptions_max = (uint32_t)settings->subscriptions_per_connection * lines,
        .history_messages_max = (uint32_t)settings->history_messages_max,
        .history_bytes_max = (uint64_t)settings->history_bytes_max,
        .history_age_ns = settings->history_age_ms * 1000000,
        .repeats_max = (uint32_t)settings->idempotency_keys_max,
        .repeats_ns = settings->idempotency_ms * 1000000,
        .lasting_max = (uint32_t)settings->webhook_ids_max,
        .lasting_ns = settings->webhook_ids_s * INT64_C(1000000000),
        .namespaces = &settings->namespaces,
        .history_total_bytes_max = (uint64_t)settings->history_total_bytes_max,
        .last_bytes_max = (uint64_t)settings->delta_bytes_max,
        .last_total_bytes_max = (uint64_t)settings->delta_total_bytes_max,
        .reply_bytes_max = (uint64_t)settings->queue_bytes_max,
        .seed = seed,
        .linger_ns = HUB_LINGER_S * INT64_C(1000000000),
        .overflow_max = HUB_OVERFLOW_MAX,
        .helpers = (broker ? 1 : 0) + couriers + (kafka ? 1 : 0),
        .lines = kafka ? (unsigned)KAFKA_LINES : 0,
        .witness = witness,
        .broker = broker ? &broker_ops : NULL,
        .remote_bytes_max = (uint64_t)settings->broker_bytes_max,
    };
    return config;
}

struct hub_set *cluster_hubs(const struct settings *settings, const struct broker *broker,
                             const struct kafka *kafka, unsigned couriers,
                             struct hub_witness *witness, uint64_t seed)
{
    const struct hub_config config =
        hub_config(settings, (unsigned)settings->shards, broker, kafka, couriers, witness, seed);
    return hub_set_create(&config);
}

static void wake_shard(void *context, unsigned shard)
{
    const struct server *server = context;
    ring_wake(server->shards[shard]->ring);
}

/* What other nodes ask comes to shard 0. */
static void hear(void *context, struct nodes_heard *heard)
{
    struct shard *shard = context;
    switch (heard->kind) {
    case NODES_PRESENCE:
    case NODES_PRESENCE_STATS:
        presence_heard(shard, heard);
        break;
    case NODES_CHANNELS:
        channels_heard(shard, heard);
        break;
    case NODES_INFO:
        info_heard(shard, heard);
        break;
    case NODES_EMULATION:
        emulation_heard(shard, heard);
        break;
    case NODES_ORDER:
        order_heard(shard, heard);
        break;
    case NODES_REVOKE:
        revoke_heard(shard, heard);
        break;
    case NODES_TAKE:
    case NODES_GAP:
        assert(!"nobody asks another node for that");
    }
}

static void gap_made(void *kafka, struct nodes_ask *ask)
{
    kafka_told(kafka, &ask->call.ticket, ask->call.err);
    nodes_ask_free(ask);
}

static int gap_make(struct helper *helper, const struct hub_set *set, const struct ticket *ticket,
                    const char *glob)
{
    struct nodes_ask *ask = nodes_ask_create(NODES_GAP, 0, span_from(glob));
    if (!ask)
        return -ENOMEM;
    ask->done = gap_made;
    ask->call.ticket = *ticket;
    int err = nodes_send_by(helper, set, ask);
    if (err < 0)
        nodes_ask_free(ask);
    return err;
}

static int read_kafka(const struct broker *broker, struct server *server, unsigned which)
{
    const struct kafka_waker waker = {wake_shard, server, broker ? gap_make : NULL};
    int err = server->kafka ? kafka_start(server->kafka, server->hubs, which, &waker) : 0;
    if (err < 0)
        fprintf(stderr, "ringside-server: the thread that reads Kafka: %s\n", strerror(-err));
    return err;
}

int cluster_start(struct broker *broker, struct server *server)
{
    if (broker && server->settings->ticket_key[0] != '\0')
        server->hold = tickets_hold;
    const struct broker_waker waker = {
        .wake = wake_shard, .context = server, .ear = hear, .node = server->node};
    int err = broker ? broker_start(broker, server->hubs, &waker) : 0;
    if (err < 0)
        fprintf(stderr, "ringside-server: the broker's thread: %s\n", strerror(-err));
    return err < 0 ? err : read_kafka(broker, server, (broker ? 1 : 0) + couriers_count(server));
}

void cluster_announce(const struct broker *broker, const struct server *server)
{
    if (broker)
        printf("one node of a cluster around %s\n", broker_where(broker));
    if (server->kafka)
        printf("reads Kafka at %s, by %s\n", kafka_where(server->kafka), kafka_library());
}

void cluster_end(struct broker *broker, struct server *server)
{
    kafka_end(server->kafka);
    broker_end(broker);
    couriers_end(server);
}
