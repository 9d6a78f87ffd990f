#include "broker/broker_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/nats.h"
#include "broker/redis.h"
#include "broker/redis_cluster.h"
#include "broker/redis_ring.h"
#include "conf/namespaces.h"
#include "conf/password.h"
#include "conf/settings.h"

enum {
    PORT_MAX = 65535,
    REDIS_WORD_MAX = 512,
};

struct place {
    char host[REDIS_HOST_MAX];
    int port;
};

static int address_read(struct place *ret, const char *name, const char *text, char *why,
                        size_t why_size)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    const char *host = text;
    bool bare = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (bare) {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof ret->host - 2 || port <= 0 || port > PORT_MAX || *end != '\0') {
        snprintf(why, why_size, "%s = %s: needs an address and a port, as 127.0.0.1:6379", name,
                 text);
        return -EINVAL;
    }
    memcpy(ret->host, host, len);
    ret->host[len] = '\0';
    ret->port = (int)port;
    return 0;
}

/* NAME@address:port,address:port: which sentinels know it. */
static int sentinels_read(struct redis_sentinels *ret, const char *text, char *why, size_t why_size)
{
    const char *at = strchr(text, '@');
    size_t len = (size_t)(at - text);
    if (len == 0 || len >= sizeof ret->master) {
        snprintf(why, why_size, "redis = %s: needs a master's name of 1 to %d bytes before @", text,
                 REDIS_MASTER_MAX - 1);
        return -EINVAL;
    }
    memcpy(ret->master, text, len);
    ret->master[len] = '\0';
    for (const char *next = at + 1; next; ret->count++) {
        char one[REDIS_HOST_MAX + 16];
        struct place place;
        const char *comma = strchr(next, ',');
        int size = comma ? (int)(comma - next) : (int)strlen(next);
        snprintf(one, sizeof one, "%.*s", size, next);
        if (ret->count == REDIS_SENTINELS_MAX) {
            snprintf(why, why_size, "redis: more than %d sentinels", REDIS_SENTINELS_MAX);
            return -EINVAL;
        }
        if (address_read(&place, "redis", one, why, why_size) < 0)
            return -EINVAL;
        struct redis_sentinel *sentinel = &ret->at[ret->count];
        memcpy(sentinel->host, place.host, sizeof sentinel->host);
        sentinel->port = place.port;
        next = comma ? comma + 1 : NULL;
    }
    return 0;
}

static int redis_place_read(struct redis_config *ret, const char *text, char *why, size_t why_size)
{
    struct place place;
    if (strchr(text, '@'))
        return sentinels_read(&ret->sentinels, text, why, why_size);
    int err = address_read(&place, "redis", text, why, why_size);
    if (err < 0)
        return err;
    memcpy(ret->address.host, place.host, sizeof ret->address.host);
    ret->address.port = place.port;
    return 0;
}

static bool redis_prefix_is_good(const char *prefix)
{
    size_t len = strlen(prefix);
    return len > 0 && len < REDIS_PREFIX_MAX && strcspn(prefix, "{} \r\n") == len;
}

static int path_copy(char ret[REDIS_PATH_MAX], const char *name, const char *path, char *why,
                     size_t why_size)
{
    size_t len = strlen(path);
    if (len >= REDIS_PATH_MAX) {
        snprintf(why, why_size, "%s: longer than %d bytes", name, REDIS_PATH_MAX - 1);
        return -EINVAL;
    }
    memcpy(ret, path, len + 1);
    return 0;
}

static int redis_tls_read(struct redis_tls *ret, const struct settings *settings, char *why,
                          size_t why_size)
{
    const bool pair = (settings->redis_certificate[0] == '\0') == (settings->redis_key[0] == '\0');
    ret->on = settings->redis_tls;
    int err = path_copy(ret->ca, "redis_ca", settings->redis_ca, why, why_size);
    if (err == 0)
        err = path_copy(ret->certificate, "redis_certificate", settings->redis_certificate, why,
                        why_size);
    if (err == 0)
        err = path_copy(ret->key, "redis_key", settings->redis_key, why, why_size);
    if (err == 0 && !pair) {
        snprintf(why, why_size, "redis_certificate and redis_key: one needs the other");
        err = -EINVAL;
    }
    return err == 0 ? redis_tls_check(ret, why, why_size) : err;
}

/* All but where it is. */
static int redis_read(struct redis_config *ret, const struct settings *settings, char *why,
                      size_t why_size)
{
    *ret = (struct redis_config){
        .address.timeout_ms = (int)settings->broker_timeout_ms,
        .queue_max = (uint32_t)settings->broker_queue_max,
        .ttl_ms = settings->broker_position_ttl_s * 1000,
        .keys_max = (uint32_t)settings->idempotency_keys_max,
        .keys_ms = settings->idempotency_ms,
        .lasting_max = (uint32_t)settings->webhook_ids_max,
        .lasting_ms = settings->webhook_ids_s * 1000,
        .orders_max = (uint32_t)settings->revoked_max,
        .message_bytes_max = (size_t)settings->message_bytes_max,
    };
    int err = password_read(ret->address.password, sizeof ret->address.password, "redis",
                            settings->redis_password, why, why_size);
    if (err == 0)
        err = redis_tls_read(&ret->address.tls, settings, why, why_size);
    if (err < 0)
        return err;
    if (!redis_prefix_is_good(settings->redis_prefix)) {
        snprintf(why, why_size, "redis_prefix = %s: needs 1 to %d bytes, and no braces or spaces",
                 settings->redis_prefix, REDIS_PREFIX_MAX - 1);
        return -EINVAL;
    }
    snprintf(ret->address.user, sizeof ret->address.user, "%s", settings->redis_user);
    memcpy(ret->prefix, settings->redis_prefix, strlen(settings->redis_prefix) + 1);
    return 0;
}

/* Of a subject: a token; and it is the stream's name. */
static bool nats_prefix_is_good(const char *prefix)
{
    size_t len = strlen(prefix);
    return len > 0 && len < NATS_PREFIX_MAX &&
           strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
               len;
}

/* The most that any channel keeps. */
static int64_t messages_most(const struct settings *settings)
{
    const struct namespaces *namespaces = &settings->namespaces;
    int64_t most = settings->history_messages_max;
    for (unsigned i = 0; i < namespaces->count; i++)
        if (namespaces->list[i].history_messages > most)
            most = namespaces->list[i].history_messages;
    return most;
}

static int nats_tls_read(struct nats_tls *ret, const struct settings *settings, char *why,
                         size_t why_size)
{
    const char *ca = settings->nats_ca, *certificate = settings->nats_certificate;
    const char *key = settings->nats_key;
    ret->on = settings->nats_tls;
    if (!ret->on && (ca[0] != '\0' || certificate[0] != '\0' || key[0] != '\0'))
        snprintf(why, why_size, "nats_ca, nats_certificate and nats_key need nats_tls = on");
    else if ((certificate[0] == '\0') != (key[0] == '\0'))
        snprintf(why, why_size, "nats_certificate and nats_key: one needs the other");
    else if (strlen(ca) >= sizeof ret->ca || strlen(certificate) >= sizeof ret->certificate ||
             strlen(key) >= sizeof ret->key)
        snprintf(why, why_size, "nats_ca, nats_certificate or nats_key: longer than %d bytes",
                 NATS_PATH_MAX - 1);
    else {
        memcpy(ret->ca, ca, strlen(ca) + 1);
        memcpy(ret->certificate, certificate, strlen(certificate) + 1);
        memcpy(ret->key, key, strlen(key) + 1);
        return nats_link_tls_check(ret, why, why_size);
    }
    return -EINVAL;
}

static int nats_read(struct nats_config *ret, const struct settings *settings, char *why,
                     size_t why_size)
{
    int64_t ttl_ms = settings->broker_position_ttl_s * 1000;
    *ret = (struct nats_config){
        .address.timeout_ms = (int)settings->broker_timeout_ms,
        .address.messages_max = messages_most(settings),
        .address.age_ms = ttl_ms > settings->history_age_ms ? ttl_ms : settings->history_age_ms,
        .queue_max = (uint32_t)settings->broker_queue_max,
        .durable = settings->nats_durable,
        .message_bytes_max = (size_t)settings->message_bytes_max,
    };
    /* A ticket that was taken is known for as long as it is one. */
    if (ret->address.age_ms < settings->ticket_ttl_ms)
        ret->address.age_ms = settings->ticket_ttl_ms;
    struct place place;
    int err = address_read(&place, "nats", settings->nats, why, why_size);
    if (err == 0)
        err = password_read(ret->address.password, sizeof ret->address.password, "nats",
                            settings->nats_password, why, why_size);
    if (err == 0)
        err = nats_tls_read(&ret->address.tls, settings, why, why_size);
    if (err < 0)
        return err;
    if (!nats_prefix_is_good(settings->nats_prefix)) {
        snprintf(why, why_size, "nats_prefix = %s: needs 1 to %d letters, digits, - and _",
                 settings->nats_prefix, NATS_PREFIX_MAX - 1);
        return -EINVAL;
    }
    if (settings->nats_password[0] != '\0' && settings->nats_user[0] == '\0') {
        snprintf(why, why_size, "nats_password needs nats_user");
        return -EINVAL;
    }
    size_t user_len = strlen(settings->nats_user);
    if (user_len >= sizeof ret->address.user) {
        snprintf(why, why_size, "nats_user is too long");
        return -EINVAL;
    }
    if (strchr(place.host, ':'))
        snprintf(ret->address.host, sizeof ret->address.host, "[%.253s]", place.host);
    else
        snprintf(ret->address.host, sizeof ret->address.host, "%.255s", place.host);
    ret->address.port = place.port;
    memcpy(ret->address.user, settings->nats_user, user_len + 1);
    memcpy(ret->address.prefix, settings->nats_prefix, strlen(settings->nats_prefix) + 1);
    return 0;
}

/* ---- which ---- */

/* Adds what the next word names, if there is one. Returns 1, 0: there is none, or negative errno
 * and a sentence. */
static int redis_next(struct redis_ring *ring, const struct redis_config *common,
                      const char **words, char *why, size_t why_size)
{
    struct redis_config config = *common;
    char text[REDIS_WORD_MAX];
    *words += strspn(*words, " \t");
    size_t len = strcspn(*words, " \t");
    if (len == 0)
        return 0;
    if (len >= sizeof text || ring->count == REDIS_SERVERS_MAX) {
        snprintf(why, why_size, "redis: more than %d bytes of a word, or %d of them",
                 REDIS_WORD_MAX - 1, (int)REDIS_SERVERS_MAX);
        return -EINVAL;
    }
    memcpy(text, *words, len);
    text[len] = '\0';
    *words += len;
    int err = redis_place_read(&config, text, why, why_size);
    if (err == 0 && ring->cluster && config.sentinels.count > 0) {
        snprintf(why, why_size, "redis = %s: redis_cluster = on takes nodes, and no sentinels",
                 text);
        err = -EINVAL;
    }
    config.seed += ring->count;
    if (err == 0) {
        err = redis_ring_add(ring, &config, text);
        if (err < 0)
            snprintf(why, why_size, "redis: memory is out");
    }
    explicit_bzero(config.address.password, sizeof config.address.password);
    return err < 0 ? err : 1;
}

static int choose_redis(struct broker_choice *ret, const struct settings *settings, uint64_t seed,
                        char *why, size_t why_size)
{
    struct redis_config config;
    const char *words = settings->redis;
    int err = redis_read(&config, settings, why, why_size);
    if (err < 0)
        return err;
    config.seed = seed;
    struct redis_ring *ring = redis_ring_create();
    if (ring && settings->redis_cluster)
        err = redis_cluster_create(ring, &config);
    for (err = ring && err == 0; err > 0;)
        err = redis_next(ring, &config, &words, why, why_size);
    if (ring)
        ring->seeds = ring->count;
    explicit_bzero(config.address.password, sizeof config.address.password);
    if (err < 0) {
        redis_ring_free(ring);
        return err;
    }
    ret->ops = &redis_ring_engine;
    ret->engine = ring;
    ret->required = settings->redis_required;
    snprintf(ret->where, sizeof ret->where, "Redis at %.300s", settings->redis);
    return 0;
}

static int choose_nats(struct broker_choice *ret, const struct settings *settings, uint64_t seed,
                       char *why, size_t why_size)
{
    struct nats_config config;
    int err = nats_read(&config, settings, why, why_size);
    if (err < 0)
        return err;
    config.seed = seed;
    ret->ops = &nats_engine;
    ret->engine = nats_create(&config);
    ret->required = settings->nats_required;
    snprintf(ret->where, sizeof ret->where, "NATS at %s:%d", config.address.host,
             config.address.port);
    explicit_bzero(config.address.password, sizeof config.address.password);
    return 0;
}

int broker_choose(struct broker_choice *ret, const struct settings *settings, uint64_t seed,
                  char *why, size_t why_size)
{
    const bool redis = settings->redis[0] != '\0', nats = settings->nats[0] != '\0';
    *ret = (struct broker_choice){0};
    if (redis && nats) {
        snprintf(why, why_size, "redis and nats are both set: a cluster has one of them");
        return -EINVAL;
    }
    if (!redis && !nats)
        return 0;
    int err = redis ? choose_redis(ret, settings, seed, why, why_size)
                    : choose_nats(ret, settings, seed, why, why_size);
    if (err == 0 && !ret->engine) {
        snprintf(why, why_size, "%s: memory is out", redis ? "redis" : "nats");
        return -ENOMEM;
    }
    return err;
}
