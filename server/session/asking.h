/* asking: what a session waits for while the application is asked over HTTP, by a courier.
 *
 *   command ─► asking_ask ─► courier ─► application ─► verdict (verdicts.c), as if decided here
 *                  │
 *                  └─► an ask: the question, and what of the command its verdict needs again
 *
 * Idea     docs/decisions/proxy-hooks.md. The shard waits for nothing: an ask is the courier's
 *          until it comes back, and a session that ends forgets it. Its ticket says whether anybody
 *          is still there.
 * Threads  The shard's.
 * Memory   An ask is on the heap, with its answer. What of the head of a session's request is
 *          passed on is kept as long as the session: nothing, unless proxy_http_headers names some.
 * Bounds   Each per shard: proxy_waiting_max asks of a kind, proxy_total_bytes_max of all; and
 *          ASKS_MAX of a session. proxy_timeout_ms each, proxy_answer_bytes_max of an answer.
 *          ASKING_FAILURES posts in a row that find no application end asking for a while. */
#pragma once

#include "courier/courier.h"
#include "session/session_internal.h"
#include "wire/application.h"

enum {
    ASKS_MAX = 32,       /* of a session */
    ASKING_FAILURES = 8, /* in a row: then one in ASKING_PAUSE_MS is tried */
    ASKING_PAUSE_MS = 1000,
    ASKING_FIELDS_MAX = POST_FIELDS_MAX - 1,
};

struct ask {
    struct courier_post asked; /* its call is the first of it */
    struct ask *next;          /* of its session, which was asked behind it */
    enum application_hook hook;
    bool taken_back; /* its channel was unsubscribed meanwhile */
    bool sent;       /* it is the courier's */
    size_t bytes;
    struct centrifuge_command command; /* what it points to is in `text` */
    const char *fields[POST_FIELDS_MAX];
    char text[];
};

/* Whether an application is asked about it. */
bool asking_wanted(const struct shard *shard, enum application_hook hook);

/* What of a request's head is passed on; NULL: nothing. Returns 0 or -ENOMEM; or -E2BIG, -EINVAL:
 * more of it than can be, or what cannot be. */
int asking_begin(struct asking **ret, const struct settings *settings,
                 const struct http_request *request);
/* The session forgets what it has asked; NULL is allowed. */
void asking_end(struct shard *shard, struct asking *asking);

/* Asks: a verdict follows. Returns 0, or an enum centrifuge_error, negative and less one. */
int asking_ask(struct shard *shard, struct conn *conn, enum application_hook hook,
               const struct centrifuge_command *command);

/* It is not subscribed any more, nor is it going to be. */
void asking_take_back(struct shard *shard, const struct conn *conn, struct span channel);

/* JSON of the application for the answer to a subscribe. Returns 0 or -ENOMEM. */
int asking_data_keep(struct session *session, uint32_t subscription, struct span data);
struct span asking_data_of(const struct session *session, uint32_t subscription);
void asking_data_forget(struct session *session, uint32_t subscription);

/* Frees what the shard keeps. */
void askings_end(struct shard *shard);

/* ---- verdicts.c ---- */

/* What the application has said of it, to a session that is still there. May end the connection. */
void verdict_give(struct shard *shard, struct conn *conn, const struct ask *ask,
                  const struct verdict *verdict);
/* It has said nothing that could be understood. */
void verdict_missing(struct shard *shard, struct conn *conn, const struct ask *ask);
