/* nats_link: a connection to NATS, with the stream that it is for; and what has come over it.
 *
 *   the library's threads ─► news, answers (lists under a lock) ─► bell ─► the broker's thread
 *
 * Threads  All on the broker's, but for the callbacks in here.
 * Memory   What has come is the taker's.
 * Bounds   LINK_NEWS_MAX messages and LINK_NEWS_BYTES of them. More ends the link: all is joined
 *          again then, and nothing is missed silently. */
#pragma once

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "broker/nats_encoding.h"
#include "core/bell.h"

enum {
    NATS_HOST_MAX = 256,
    NATS_SECRET_MAX = 256,
    NATS_PATH_MAX = 512,
    LINK_NEWS_MAX = 65536,
    LINK_NEWS_BYTES = 64 << 20,
};

struct nats_tls {
    bool on;
    char ca[NATS_PATH_MAX];          /* empty: whom the system trusts */
    char certificate[NATS_PATH_MAX]; /* of this client; empty: it has none */
    char key[NATS_PATH_MAX];
};

struct nats_address {
    char host[NATS_HOST_MAX]; /* as in a URL: IPv6 in brackets */
    int port;
    char user[NATS_SECRET_MAX], password[NATS_SECRET_MAX];
    struct nats_tls tls;
    char prefix[NATS_PREFIX_MAX]; /* of subjects; the stream has its name */
    int timeout_ms;
    int64_t messages_max; /* that the stream keeps of a channel */
    int64_t age_ms;       /* for so long */
};

struct nats_letter {
    struct nats_letter *next;
    natsMsg *message;
};

struct nats_letters {
    struct nats_letter *first, *last;
    unsigned count;
    size_t bytes;
};

struct nats_link {
    natsOptions *options;
    natsConnection *connection; /* NULL: there is none */
    natsSubscription *answers;
    char inbox[64]; /* what answers come to begins with it, and a dot */
    uint64_t run;   /* of the server that it is to: another one after each start */
    int64_t payload_max;
    struct bell bell;
    pthread_mutex_t lock; /* of both lists */
    struct nats_letters news, answered;
    _Atomic(natsConnection *) current; /* whose end counts */
    atomic_bool lost;
};

int nats_link_init(struct nats_link *link);
void nats_link_done(struct nats_link *link);

/* Whether the files can be read. Returns 0, or -EINVAL and a sentence. */
int nats_link_tls_check(const struct nats_tls *tls, char *why, size_t why_size);
/* Connects, and sees to the stream. Returns 0, or negative errno and a sentence. */
int nats_link_open(struct nats_link *link, const struct nats_address *address, char *why,
                   size_t why_size);
void nats_link_close(struct nats_link *link);
static inline bool nats_link_up(const struct nats_link *link)
{
    return link->connection != NULL;
}

/* The next that has come; NULL: nothing has. */
natsMsg *nats_link_answer(struct nats_link *link);
natsMsg *nats_link_news(struct nats_link *link);

/* It counts as lost from now on. On any thread. */
void nats_link_give_up(struct nats_link *link);
bool nats_link_lost(const struct nats_link *link);

/* Return 0 or negative errno: -EMSGSIZE when it is larger than NATS takes. */
int nats_link_subscribe(struct nats_link *link, natsSubscription **ret, const char *subject);
/* Likewise, of what comes as answers do. */
int nats_link_listen(struct nats_link *link, natsSubscription **ret, const char *subject);
int nats_link_send(struct nats_link *link, natsMsg *message);
