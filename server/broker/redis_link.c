#include "broker/redis_link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/encoding.h"

enum {
    OUTPUT_MIN = 16 << 10,
    OUTPUT_KEPT = 1 << 20, /* of an output that is empty */
    READ_BYTES = 64 << 10,
    TURN_BYTES = 1 << 20,
    LENGTH_MAX = 24, /* of a number with its marks */
};

/* ---- what a reply may make room for ---- */

/* How many a list has: an int up to hiredis 0.14, which Debian 12 has. */
#if HIREDIS_MAJOR >= 1
typedef size_t list_size;
#else
typedef int list_size;
#endif

/* hiredis' own, but for lists. */
struct redis_functions {
    redisReplyObjectFunctions table;
    void *(*list)(const redisReadTask *task, list_size elements);
};

static void *list_create(const redisReadTask *task, list_size elements)
{
    const struct redis_functions *functions = task->privdata;
    return elements <= REDIS_ELEMENTS_MAX ? functions->list(task, elements) : NULL;
}

int redis_link_make(struct redis_link *ret, const struct redis_socket *socket)
{
    redisReader *reader = redisReaderCreate();
    struct redis_functions *functions = reader ? malloc(sizeof *functions) : NULL;
    *ret = (struct redis_link){.reader = reader, .functions = functions, .socket = *socket};
    if (!functions) {
        redis_link_close(ret);
        return -ENOMEM;
    }
    *functions = (struct redis_functions){*reader->fn, reader->fn->createArray};
    functions->table.createArray = list_create;
    reader->fn = &functions->table;
    reader->privdata = functions;
    return 0;
}

void redis_link_close(struct redis_link *link)
{
    if (!link->reader)
        return;
    redisReaderFree(link->reader);
    free(link->functions);
    free(link->output.bytes);
    redis_socket_close(&link->socket);
    *link = (struct redis_link){0};
}

/* ---- greeting: blocking, each step within the timeout ---- */

static int fail(const struct redis_link *link, const struct redis_address *address,
                const redisReply *reply, const char *what, char *why, size_t why_size)
{
    const char *said = redis_socket_said(&link->socket);
    if (reply && reply->type == REDIS_REPLY_ERROR)
        said = reply->str;
    else if (reply)
        said = "an answer of another kind than Redis gives";
    snprintf(why, why_size, "redis = %s:%d: %s: %s", address->host, address->port, what,
             said ? said : "no answer");
    return reply ? -EACCES : -EHOSTUNREACH;
}

static int flush_all(struct redis_link *link, int timeout_ms)
{
    int left;
    while ((left = redis_link_flush(link)) > 0)
        if (!redis_socket_wait(&link->socket, true, timeout_ms))
            return -ETIMEDOUT;
    return left;
}

redisReply *redis_link_ask(struct redis_link *link, const char *const *words, int count,
                           int timeout_ms)
{
    struct span arguments[REDIS_ARGUMENTS_MAX];
    redisReply *reply = NULL;
    assert(count <= REDIS_ARGUMENTS_MAX);
    for (int i = 0; i < count; i++)
        arguments[i] = span_from(words[i]);
    int err = redis_link_send(link, arguments, count);
    if (err == 0)
        err = flush_all(link, timeout_ms);
    while (err == 0 && !reply) {
        err = redis_link_reply(link, &reply);
        int more = err == 0 && !reply ? redis_link_receive(link, 0) : 0;
        if (err < 0 || reply || more > 0)
            continue;
        err = more;
        if (err == 0)
            err = redis_link_reply(link, &reply);
        if (err == 0 && !reply && !redis_socket_wait(&link->socket, false, timeout_ms))
            err = -ETIMEDOUT;
    }
    return reply;
}

static redisReply *ask(struct redis_link *link, const struct redis_address *address,
                       const char *const *words, int count)
{
    return redis_link_ask(link, words, count, address->timeout_ms);
}

static int authenticate(struct redis_link *link, const struct redis_address *address, char *why,
                        size_t why_size)
{
    const char *const words[] = {"AUTH", address->user, address->password};
    const char *const alone[] = {"AUTH", address->password};
    if (address->password[0] == '\0')
        return 0;
    bool has_user = address->user[0] != '\0';
    redisReply *reply = ask(link, address, has_user ? words : alone, has_user ? 3 : 2);
    int err = 0;
    if (!reply || reply->type != REDIS_REPLY_STATUS)
        err = fail(link, address, reply, "AUTH", why, why_size);
    freeReplyObject(reply);
    return err;
}

/* The value of a line "name:value" of INFO. */
static bool info_value(char ret[REDIS_VALUE_MAX], const char *text, const char *name)
{
    const char *at = strstr(text, name);
    if (!at)
        return false;
    at += strlen(name);
    size_t len = strcspn(at, "\r\n");
    if (len == 0 || len >= REDIS_VALUE_MAX)
        return false;
    memcpy(ret, at, len);
    ret[len] = '\0';
    return true;
}

static int mode_is_wrong(const struct redis_address *address, char *why, size_t why_size)
{
    snprintf(why, why_size, "redis = %s:%d: %s", address->host, address->port,
             address->cluster ? "is no node of a Redis Cluster: set redis_cluster = off"
                              : "is a node of a Redis Cluster: set redis_cluster = on");
    return -EINVAL;
}

static int ask_mode(struct redis_link *link, const struct redis_address *address, char *why,
                    size_t why_size)
{
    const char *const words[] = {"INFO", "server"};
    redisReply *reply = ask(link, address, words, 2);
    int err = 0;
    char mode[REDIS_VALUE_MAX];
    if (!reply || reply->type != REDIS_REPLY_STRING)
        err = fail(link, address, reply, "INFO server", why, why_size);
    else if (info_value(mode, reply->str, "redis_mode:") &&
             (strcmp(mode, "cluster") == 0) != address->cluster)
        err = mode_is_wrong(address, why, why_size);
    freeReplyObject(reply);
    return err;
}

/* Whoever may not ask gets no promise. */
static bool config_is(struct redis_link *link, const struct redis_address *address,
                      const char *name, const char *value)
{
    const char *const words[] = {"CONFIG", "GET", name};
    redisReply *reply = ask(link, address, words, 3);
    bool is = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
              reply->element[1]->type == REDIS_REPLY_STRING &&
              strcmp(reply->element[1]->str, value) == 0;
    freeReplyObject(reply);
    return is;
}

/* Whoever may not is asked for less. */
static bool may_transact(struct redis_link *link, const struct redis_address *address)
{
    const char *const begin[] = {"MULTI"}, *const end[] = {"EXEC"};
    redisReply *begun = ask(link, address, begin, 1);
    redisReply *ended = ask(link, address, end, 1);
    bool may = begun && begun->type == REDIS_REPLY_STATUS && ended &&
               ended->type == REDIS_REPLY_ARRAY && ended->elements == 0;
    freeReplyObject(begun);
    freeReplyObject(ended);
    return may;
}

static int load_scripts(struct redis_link *link, const struct redis_address *address,
                        struct redis_greeting *greeting, char *why, size_t why_size)
{
    int err = 0;
    for (unsigned i = 0; i < SCRIPT_COUNT && err == 0; i++) {
        const char *const words[] = {"SCRIPT", "LOAD", script_texts[address->cluster][i]};
        redisReply *reply = ask(link, address, words, 3);
        if (reply && reply->type == REDIS_REPLY_STRING && reply->len + 1 == REDIS_SHA_MAX)
            memcpy(greeting->shas[i], reply->str, REDIS_SHA_MAX);
        else
            err = fail(link, address, reply, "SCRIPT LOAD", why, why_size);
        freeReplyObject(reply);
    }
    return err;
}

int redis_life_read(struct redis_greeting *greeting, const redisReply *reply)
{
    char role[REDIS_VALUE_MAX], life[REDIS_VALUE_MAX], before[REDIS_VALUE_MAX];
    uint64_t now_ms;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING)
        return -EPROTO;
    const redisReply *info = reply->element[0], *now = reply->element[1];
    if (encoding_number(&now_ms, span_of(now->str, (size_t)now->len)) < 0 ||
        !info_value(role, info->str, "role:") || !info_value(life, info->str, "master_replid:") ||
        !info_value(before, info->str, "master_replid2:") ||
        strspn(life, "0123456789abcdef") != strlen(life))
        return -EPROTO;
    if (strcmp(role, "master") != 0)
        return 0;
    bool is_new = greeting->life[0] != '\0' && strcmp(greeting->life, life) != 0;
    memcpy(greeting->life, life, sizeof life);
    greeting->seen_ms = now_ms;
    greeting->durable &= strspn(before, "0") == strlen(before);
    return is_new;
}

/* What is found here is of now: scripts look by themselves when it is too old. */
static int ask_life(struct redis_link *link, const struct redis_address *address,
                    struct redis_greeting *greeting, char *why, size_t why_size)
{
    const char *const words[] = {"EVALSHA", greeting->shas[SCRIPT_LOOK], "0"};
    greeting->life[0] = '\0';
    greeting->seen_ms = 0;
    redisReply *reply = ask(link, address, words, 3);
    int err = reply ? redis_life_read(greeting, reply) : -EHOSTUNREACH;
    if (err < 0)
        err = fail(link, address, reply, "INFO replication in a script", why, why_size);
    freeReplyObject(reply);
    return err < 0 ? err : 0;
}

static int greet(struct redis_link *link, const struct redis_address *address,
                 struct redis_greeting *greeting, char *why, size_t why_size)
{
    int err = authenticate(link, address, why, why_size);
    if (err < 0 || !greeting)
        return err;
    err = ask_mode(link, address, why, why_size);
    if (err == 0)
        err = load_scripts(link, address, greeting, why, why_size);
    if (err == 0)
        greeting->transacts = may_transact(link, address);
    if (err == 0)
        greeting->durable = config_is(link, address, "appendonly", "yes") &&
                            config_is(link, address, "appendfsync", "always");
    return err < 0 ? err : ask_life(link, address, greeting, why, why_size);
}

int redis_link_open(struct redis_link *link, const struct redis_address *address,
                    struct redis_greeting *ret_greeting, char *why, size_t why_size)
{
    struct redis_socket socket;
    char what[256];
    *link = (struct redis_link){0};
    int err = redis_socket_open(&socket, address, what, sizeof what);
    if (err < 0) {
        snprintf(why, why_size, "redis = %s:%d: cannot connect: %s", address->host, address->port,
                 what);
        return err;
    }
    err = redis_link_make(link, &socket);
    if (err < 0)
        snprintf(why, why_size, "redis: memory is out");
    else
        err = greet(link, address, ret_greeting, why, why_size);
    if (err < 0)
        redis_link_close(link);
    return err;
}

/* ---- what goes and comes ---- */

static int reserve(struct redis_output *output, size_t more)
{
    if (output->at == output->len)
        output->at = output->len = 0;
    if (output->size - output->len >= more)
        return 0;
    size_t size = output->size > 0 ? output->size : OUTPUT_MIN;
    while (size - output->len < more)
        size *= 2;
    char *bytes = realloc(output->bytes, size);
    if (!bytes)
        return -ENOMEM;
    output->bytes = bytes;
    output->size = size;
    return 0;
}

static void number_write(struct redis_output *output, char mark, size_t number)
{
    char digits[LENGTH_MAX];
    size_t at = sizeof digits;
    digits[--at] = '\n';
    digits[--at] = '\r';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    digits[--at] = mark;
    memcpy(output->bytes + output->len, digits + at, sizeof digits - at);
    output->len += sizeof digits - at;
}

int redis_link_send(struct redis_link *link, const struct span *arguments, int count)
{
    struct redis_output *output = &link->output;
    size_t bytes = LENGTH_MAX;
    for (int i = 0; i < count; i++)
        bytes += LENGTH_MAX + arguments[i].len + 2;
    if (reserve(output, bytes) < 0)
        return -ENOMEM;
    number_write(output, '*', (size_t)count);
    for (int i = 0; i < count; i++) {
        number_write(output, '$', arguments[i].len);
        if (arguments[i].len > 0)
            memcpy(output->bytes + output->len, arguments[i].ptr, arguments[i].len);
        output->len += arguments[i].len;
        memcpy(output->bytes + output->len, "\r\n", 2);
        output->len += 2;
    }
    return 0;
}

int redis_link_flush(struct redis_link *link)
{
    struct redis_output *output = &link->output;
    while (output->at < output->len) {
        ssize_t count =
            redis_socket_write(&link->socket, output->bytes + output->at, output->len - output->at);
        if (count <= 0)
            return count < 0 ? -EIO : 1;
        output->at += (size_t)count;
    }
    if (output->size > OUTPUT_KEPT) {
        free(output->bytes);
        *output = (struct redis_output){0};
    }
    return 0;
}

int redis_link_receive(struct redis_link *link, int64_t now_ns)
{
    char bytes[READ_BYTES];
    for (size_t left = TURN_BYTES; left > 0; left -= sizeof bytes) {
        ssize_t count = redis_socket_read(&link->socket, bytes, sizeof bytes);
        if (count <= 0)
            return (int)count;
        link->heard_ns = now_ns;
        if (redisReaderFeed(link->reader, bytes, (size_t)count) != REDIS_OK ||
            link->reader->len > REDIS_BUFFER_MAX)
            return -EIO;
        if (!link->socket.tls && (size_t)count < sizeof bytes)
            return 0; /* level-triggered: what has come since is seen by poll */
    }
    return 1;
}

int redis_link_reply(struct redis_link *link, redisReply **ret)
{
    void *reply = NULL;
    if (redisReaderGetReply(link->reader, &reply) != REDIS_OK)
        return -EPROTO;
    *ret = reply;
    return 0;
}
