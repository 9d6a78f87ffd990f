/* redis_link: one connection to Redis: for commands, or for what is published. Internal to broker/.
 *
 *   redis_link_open ── blocks up to the timeout ──► greeted: AUTH, what Redis is, scripts loaded
 *   redis_link_send ─► output ─► redis_link_flush ─► socket ─► redis_link_receive ─► replies
 *
 * Threads  The broker's; redis_link_open also on the thread that starts it.
 * Memory   The output, and hiredis' reader; a reply is the caller's to free.
 * Bounds   The caller's: it sends no more than it has asks for. Of what comes REDIS_BUFFER_MAX.
 * Source   RESP2: redis.io/docs/latest/develop/reference/protocol-spec. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "broker/redis_socket.h"
#include "broker/scripts.h"
#include "wire/span.h"

enum {
    REDIS_VALUE_MAX = 64, /* in INFO */
    REDIS_SHA_MAX = 41,
    REDIS_PREFIX_MAX = 64,
    REDIS_ARGUMENTS_MAX = 24,
    REDIS_ELEMENTS_MAX = 1 << 20, /* of a list in a reply */
    REDIS_BUFFER_MAX = 128 << 20, /* of what came and is no reply yet */
};

/* What it was found to be when the link was greeted, and what a look has found since. */
struct redis_greeting {
    char life[REDIS_VALUE_MAX]; /* empty: it was a replica whenever it was looked at */
    uint64_t seen_ms;           /* when it had that life, by its own clock */
    char shas[SCRIPT_COUNT][REDIS_SHA_MAX];
    bool transacts; /* MULTI and EXEC are allowed */
    bool durable; /* appendonly yes, appendfsync always, and it may be asked so; and it was never a
                     replica, which may have missed the end of what another has acknowledged */
};

struct redis_functions;

struct redis_output {
    char *bytes;
    size_t at, len, size; /* the first that is to go, behind the last, what there is room for */
};

struct redis_link {
    redisReader *reader; /* NULL: there is no link */
    struct redis_functions *functions;
    struct redis_socket socket;
    struct redis_output output;
    int64_t heard_ns; /* something came */
    int64_t pinged_ns;
};

/* Makes one of a socket that is connected, and takes it over. Lists in its replies have no more
 * than REDIS_ELEMENTS_MAX: room for them is made before they come. Returns 0 or -ENOMEM. */
int redis_link_make(struct redis_link *ret, const struct redis_socket *socket);

/* Connects, and says who we are; with a greeting also asks what Redis is. Returns 0, or negative
 * errno and a sentence that names the address. */
int redis_link_open(struct redis_link *link, const struct redis_address *address,
                    struct redis_greeting *ret_greeting, char *why, size_t why_size);
void redis_link_close(struct redis_link *link);

/* Sends a command and waits for its reply. Returns NULL when none came in that time. */
redisReply *redis_link_ask(struct redis_link *link, const char *const *words, int count,
                           int timeout_ms);

/* Queues a command. Returns 0 or -ENOMEM. */
int redis_link_send(struct redis_link *link, const struct span *arguments, int count);
/* Sends what the socket takes. Returns 1 when some is left, 0, or -EIO: the link is broken. */
int redis_link_flush(struct redis_link *link);
/* Reads what has come. Returns 1 when there may be more, 0, or -EIO. */
int redis_link_receive(struct redis_link *link, int64_t now_ns);
/* Takes the answer to SCRIPT_LOOK. Returns 1: it has another life than before, 0, or -EPROTO: it is
 * no such answer. */
int redis_life_read(struct redis_greeting *greeting, const redisReply *reply);
/* The next reply; NULL when there is none yet. Returns 0, or -EPROTO: what came is no reply. */
int redis_link_reply(struct redis_link *link, redisReply **ret);
