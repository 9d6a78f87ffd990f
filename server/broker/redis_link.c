#include "broker/redis_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void close_quietly(struct redis_link *link)
{
    if (link->context)
        redisFree(link->context);
    link->context = NULL;
    free(link->functions);
    link->functions = NULL;
}

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

int redis_link_bound(struct redis_link *link)
{
    redisReader *reader = link->context->reader;
    struct redis_functions *functions = malloc(sizeof *functions);
    if (!functions)
        return -ENOMEM;
    *functions = (struct redis_functions){*reader->fn, reader->fn->createArray};
    functions->table.createArray = list_create;
    reader->fn = &functions->table;
    reader->privdata = functions;
    link->functions = functions;
    return 0;
}

void redis_link_close(struct redis_link *link)
{
    close_quietly(link);
}

/* ---- greeting: blocking, each step within the timeout ---- */

static int fail(const struct redis_link *link, const struct redis_address *address,
                const redisReply *reply, const char *what, char *why, size_t why_size)
{
    const char *said = "no answer";
    if (reply && reply->type == REDIS_REPLY_ERROR)
        said = reply->str;
    else if (reply)
        said = "an answer of another kind than Redis gives";
    else if (link->context && link->context->err)
        said = link->context->errstr;
    snprintf(why, why_size, "redis = %s:%d: %s: %s", address->host, address->port, what, said);
    return reply ? -EACCES : -EHOSTUNREACH;
}

static redisReply *ask(struct redis_link *link, const char *const *words, int count)
{
    return redisCommandArgv(link->context, count, (const char **)(uintptr_t)words, NULL);
}

static int authenticate(struct redis_link *link, const struct redis_address *address, char *why,
                        size_t why_size)
{
    const char *const words[] = {"AUTH", address->user, address->password};
    const char *const alone[] = {"AUTH", address->password};
    if (address->password[0] == '\0')
        return 0;
    bool has_user = address->user[0] != '\0';
    redisReply *reply = ask(link, has_user ? words : alone, has_user ? 3 : 2);
    int err = 0;
    if (!reply || reply->type != REDIS_REPLY_STATUS)
        err = fail(link, address, reply, "AUTH", why, why_size);
    freeReplyObject(reply);
    return err;
}

/* The value of a line "name:value" of INFO. */
static bool info_value(char *ret, size_t size, const char *text, const char *name)
{
    const char *at = strstr(text, name);
    if (!at)
        return false;
    at += strlen(name);
    size_t len = strcspn(at, "\r\n");
    if (len == 0 || len >= size)
        return false;
    memcpy(ret, at, len);
    ret[len] = '\0';
    return true;
}

static int ask_run(struct redis_link *link, const struct redis_address *address,
                   struct redis_greeting *greeting, char *why, size_t why_size)
{
    const char *const words[] = {"INFO", "server"};
    redisReply *reply = ask(link, words, 2);
    int err = 0;
    if (!reply || reply->type != REDIS_REPLY_STRING ||
        !info_value(greeting->run, sizeof greeting->run, reply->str, "run_id:"))
        err = fail(link, address, reply, "INFO server", why, why_size);
    freeReplyObject(reply);
    return err;
}

/* Whoever may not ask gets no promise. */
static bool config_is(struct redis_link *link, const char *name, const char *value)
{
    const char *const words[] = {"CONFIG", "GET", name};
    redisReply *reply = ask(link, words, 3);
    bool is = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
              reply->element[1]->type == REDIS_REPLY_STRING &&
              strcmp(reply->element[1]->str, value) == 0;
    freeReplyObject(reply);
    return is;
}

/* A replica follows what its master has acknowledged from behind, however it writes it down. */
static bool was_never_replica(struct redis_link *link)
{
    const char *const words[] = {"INFO", "replication"};
    redisReply *reply = ask(link, words, 2);
    char role[REDIS_RUN_MAX], before[REDIS_RUN_MAX];
    bool never = reply && reply->type == REDIS_REPLY_STRING &&
                 info_value(role, sizeof role, reply->str, "role:") &&
                 info_value(before, sizeof before, reply->str, "master_replid2:") &&
                 strcmp(role, "master") == 0 && strspn(before, "0") == strlen(before);
    freeReplyObject(reply);
    return never;
}

static int load_scripts(struct redis_link *link, const struct redis_address *address,
                        struct redis_greeting *greeting, char *why, size_t why_size)
{
    int err = 0;
    for (unsigned i = 0; i < SCRIPT_COUNT && err == 0; i++) {
        const char *const words[] = {"SCRIPT", "LOAD", script_texts[i]};
        redisReply *reply = ask(link, words, 3);
        if (reply && reply->type == REDIS_REPLY_STRING && reply->len + 1 == REDIS_SHA_MAX)
            memcpy(greeting->shas[i], reply->str, REDIS_SHA_MAX);
        else
            err = fail(link, address, reply, "SCRIPT LOAD", why, why_size);
        freeReplyObject(reply);
    }
    return err;
}

static int greet(struct redis_link *link, const struct redis_address *address,
                 struct redis_greeting *greeting, char *why, size_t why_size)
{
    int err = authenticate(link, address, why, why_size);
    if (err < 0 || !greeting)
        return err;
    err = ask_run(link, address, greeting, why, why_size);
    if (err == 0)
        err = load_scripts(link, address, greeting, why, why_size);
    if (err == 0)
        greeting->durable = config_is(link, "appendonly", "yes") &&
                            config_is(link, "appendfsync", "always") && was_never_replica(link);
    return err;
}

int redis_link_open(struct redis_link *link, const struct redis_address *address,
                    struct redis_greeting *ret_greeting, char *why, size_t why_size)
{
    const struct timeval limit = {address->timeout_ms / 1000, address->timeout_ms % 1000 * 1000};
    *link = (struct redis_link){.context =
                                    redisConnectWithTimeout(address->host, address->port, limit)};
    int err = 0;
    if (!link->context || link->context->err)
        err = fail(link, address, NULL, "cannot connect", why, why_size);
    if (err == 0 && redis_link_bound(link) < 0)
        err = fail(link, address, NULL, "memory is out", why, why_size);
    if (err == 0 && redisSetTimeout(link->context, limit) != REDIS_OK)
        err = fail(link, address, NULL, "SO_RCVTIMEO", why, why_size);
    if (err == 0)
        err = greet(link, address, ret_greeting, why, why_size);
    if (err < 0) {
        close_quietly(link);
        return err;
    }
    redisEnableKeepAlive(link->context);
    link->context->flags &= ~REDIS_BLOCK;
    fcntl(link->context->fd, F_SETFL, fcntl(link->context->fd, F_GETFL) | O_NONBLOCK);
    return 0;
}

/* ---- what goes and comes ---- */

int redis_link_send(struct redis_link *link, const struct span *arguments, int count)
{
    const char *words[REDIS_ARGUMENTS_MAX];
    size_t lens[REDIS_ARGUMENTS_MAX];
    for (int i = 0; i < count && i < REDIS_ARGUMENTS_MAX; i++) {
        words[i] = arguments[i].ptr ? arguments[i].ptr : "";
        lens[i] = arguments[i].len;
    }
    return redisAppendCommandArgv(link->context, count, words, lens) == REDIS_OK ? 0 : -ENOMEM;
}

int redis_link_flush(struct redis_link *link)
{
    int done = 0;
    if (redisBufferWrite(link->context, &done) != REDIS_OK)
        return -EIO;
    return done ? 0 : 1;
}

int redis_link_receive(struct redis_link *link, int64_t now_ns)
{
    struct pollfd wait = {.fd = link->context->fd, .events = POLLIN};
    if (poll(&wait, 1, 0) <= 0)
        return 0;
    link->heard_ns = now_ns;
    if (redisBufferRead(link->context) != REDIS_OK || link->context->reader->len > REDIS_BUFFER_MAX)
        return -EIO;
    return 0;
}

int redis_link_reply(struct redis_link *link, redisReply **ret)
{
    void *reply = NULL;
    if (redisGetReplyFromReader(link->context, &reply) != REDIS_OK)
        return -EPROTO;
    *ret = reply;
    return 0;
}
