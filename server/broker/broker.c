#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/redis.h"
#include "conf/settings.h"
#include "hub/helper.h"

enum {
    WHERE_MAX = REDIS_HOST_MAX + 16,
    PORT_MAX = 65535,
};

struct broker {
    struct redis *redis;
    struct hub_set *set;
    struct broker_waker waker;
    struct helper *helper;
    pthread_t thread;
    bool started;
    char where[WHERE_MAX];
};

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void ask(void *context, struct remote_ask *ask)
{
    struct broker *broker = context;
    redis_ask(broker->redis, ask);
}

const struct broker_ops broker_ops = {.ask = ask};

void broker_question(struct broker *broker, struct nodes_ask *ask)
{
    redis_question(broker->redis, ask);
}

/* ---- settings ---- */

static int address_read(struct redis_address *ret, const char *text, char *why, size_t why_size)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    const char *host = text;
    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof ret->host || port <= 0 || port > PORT_MAX || *end != '\0') {
        snprintf(why, why_size, "redis = %s: needs an address and a port, as 127.0.0.1:6379", text);
        return -EINVAL;
    }
    memcpy(ret->host, host, len);
    ret->host[len] = '\0';
    ret->port = (int)port;
    return 0;
}

static int file_read(char *ret, size_t size, const char *path, char *why, size_t why_size)
{
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(ret, 1, size - 1, file) : 0;
    ret[len] = '\0';
    ret[strcspn(ret, "\r\n")] = '\0';
    if (file)
        fclose(file);
    if (ret[0] != '\0')
        return 0;
    snprintf(why, why_size, "redis_password = file:%s: cannot be read, or is empty", path);
    return -EINVAL;
}

static int secret_read(char *ret, size_t size, const char *text, char *why, size_t why_size)
{
    static const char from_file[] = "file:", from_env[] = "env:";
    ret[0] = '\0';
    if (text[0] == '\0')
        return 0;
    if (strncmp(text, from_file, strlen(from_file)) == 0)
        return file_read(ret, size, text + strlen(from_file), why, why_size);
    const char *value =
        strncmp(text, from_env, strlen(from_env)) == 0 ? getenv(text + strlen(from_env)) : NULL;
    if (!value || value[0] == '\0' || strlen(value) >= size) {
        snprintf(why, why_size,
                 "redis_password: needs file:PATH or env:NAME, and the password to stand there");
        return -EINVAL;
    }
    memcpy(ret, value, strlen(value) + 1);
    return 0;
}

static bool prefix_is_good(const char *prefix)
{
    size_t len = strlen(prefix);
    return len > 0 && len < REDIS_PREFIX_MAX && strcspn(prefix, "{} \r\n") == len;
}

static int config_read(struct redis_config *ret, const struct settings *settings, char *why,
                       size_t why_size)
{
    *ret = (struct redis_config){
        .address.timeout_ms = (int)settings->broker_timeout_ms,
        .queue_max = (uint32_t)settings->broker_queue_max,
        .ttl_ms = settings->broker_position_ttl_s * 1000,
        .keys_max = (uint32_t)settings->idempotency_keys_max,
        .keys_ms = settings->idempotency_ms,
        .orders_max = (uint32_t)settings->revoked_max,
        .message_bytes_max = (size_t)settings->message_bytes_max,
    };
    int err = address_read(&ret->address, settings->redis, why, why_size);
    if (err == 0)
        err = secret_read(ret->address.password, sizeof ret->address.password,
                          settings->redis_password, why, why_size);
    if (err < 0)
        return err;
    if (!prefix_is_good(settings->redis_prefix)) {
        snprintf(why, why_size, "redis_prefix = %s: needs 1 to %d bytes, and no braces or spaces",
                 settings->redis_prefix, REDIS_PREFIX_MAX - 1);
        return -EINVAL;
    }
    snprintf(ret->address.user, sizeof ret->address.user, "%s", settings->redis_user);
    memcpy(ret->prefix, settings->redis_prefix, strlen(settings->redis_prefix) + 1);
    return 0;
}

/* ---- life ---- */

int broker_create(struct broker **ret, const struct settings *settings, uint64_t seed, char *why,
                  size_t why_size)
{
    struct redis_config config;
    *ret = NULL;
    if (settings->redis[0] == '\0')
        return 0;
    int err = config_read(&config, settings, why, why_size);
    if (err < 0)
        return err;
    config.seed = seed;
    struct broker *broker = calloc(1, sizeof *broker);
    if (broker)
        broker->redis = redis_create(&config);
    explicit_bzero(config.address.password, sizeof config.address.password);
    if (!broker || !broker->redis) {
        free(broker);
        snprintf(why, why_size, "redis: memory is out");
        return -ENOMEM;
    }
    snprintf(broker->where, sizeof broker->where, "%s:%d", config.address.host,
             config.address.port);
    err = redis_connect(broker->redis, why, why_size);
    if (err < 0 && settings->redis_required) {
        broker_free(broker);
        return err;
    }
    *ret = broker;
    return 0;
}

static void wake(void *context, unsigned shard)
{
    const struct broker *broker = context;
    broker->waker.wake(broker->waker.context, shard);
}

/* Until something comes, or its time. */
static void rest(struct broker *broker)
{
    struct pollfd fds[1 + REDIS_FDS] = {{.fd = helper_bell(broker->helper)->fd, .events = POLLIN}};
    int timeout_ms;
    unsigned count = 1 + redis_wait(broker->redis, fds + 1, clock_ns(), &timeout_ms);
    if (helper_sleep(broker->helper)) {
        poll(fds, count, timeout_ms);
        if (fds[0].revents)
            bell_wait(helper_bell(broker->helper), 0);
    }
    helper_awake(broker->helper);
}

static void *run(void *context)
{
    struct broker *broker = context;
    redis_attach(broker->redis, broker->helper, broker->set, broker->waker.node, broker->waker.ear);
    bool more = false;
    while (more || !helper_stopping(broker->helper)) {
        redis_turn(broker->redis, clock_ns());
        more = helper_turn(broker->helper);
        redis_turn(broker->redis, clock_ns());
        if (!more)
            rest(broker);
    }
    redis_stop(broker->redis);
    helper_turn(broker->helper);
    return NULL;
}

int broker_start(struct broker *broker, struct hub_set *set, const struct broker_waker *waker)
{
    static const struct helper_ops ops = {wake};
    broker->set = set;
    broker->waker = *waker;
    broker->helper = helper_create(set, 0, &ops, broker);
    if (!broker->helper)
        return -ENOMEM;
    int err = pthread_create(&broker->thread, NULL, run, broker);
    broker->started = err == 0;
    return -err;
}

void broker_end(struct broker *broker)
{
    if (!broker || !broker->started)
        return;
    helper_stop(broker->set, 0);
    pthread_join(broker->thread, NULL);
    broker->started = false;
}

void broker_free(struct broker *broker)
{
    if (!broker)
        return;
    assert(!broker->started);
    helper_free(broker->helper);
    redis_free(broker->redis);
    free(broker);
}

unsigned broker_stats_read(const struct broker *broker, struct broker_row ret[BROKER_ROWS_MAX])
{
    const struct redis_counters *counters = redis_counters(broker->redis);
    unsigned count = 0;
#define ROW(row_name, row_kind, row_help)                                                          \
    ret[count++] =                                                                                 \
        (struct broker_row){#row_name, row_kind, row_help,                                         \
                            atomic_load_explicit(&counters->row_name, memory_order_relaxed)};
    REDIS_COUNTERS(ROW)
#undef ROW
    assert(count <= BROKER_ROWS_MAX);
    return count;
}

const char *broker_where(const struct broker *broker)
{
    return broker->where;
}
