/* endpoint: who wants which events, posted where and how.
 *
 *   {"id":"orders","url":"https://…","events":["channel.*"],"channels":["news:*"],
 *    "secrets":["whsec_…"],"order":"channel","concurrency":4,"batch":1,…}
 *
 * Threads  The courier's.
 * Memory   endpoint_read makes one, on the heap, with copies of all.
 * Bounds   ENDPOINT_* below. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <xxhash.h>

/* uthash's own falls through from case to case in a way that clang warns of. */
#define HASH_FUNCTION(key, len, hash) ((hash) = (unsigned)XXH3_64bits((key), (len)))
#include <uthash.h>

#include "courier/post.h"
#include "courier/signature.h"

struct reach;
struct shipment;

enum {
    ENDPOINT_ID_MAX = 64, /* of A-Z a-z 0-9 . _ - */
    ENDPOINT_PATTERNS_MAX = 64,
    ENDPOINT_PATTERN_MAX = 128,
    ENDPOINT_CONCURRENCY_MAX = 64,
    ENDPOINT_BATCH_MAX = 100,
    ENDPOINT_DELAY_MS_MAX = 60000,
    ENDPOINT_TIMEOUT_MS_MAX = 60000,
    ENDPOINT_TEXT_MAX = 32768, /* of all of its JSON */
};

enum endpoint_state {
    ENDPOINT_ACTIVE,
    ENDPOINT_OFF,  /* by whoever registered it: nothing new is for it */
    ENDPOINT_GONE, /* it has answered 410 */
};

struct patterns {
    char *bytes; /* each ends with a zero */
    unsigned count;
};

struct endpoint {
    int64_t number; /* in the queue; 0: it is not there yet */
    char id[ENDPOINT_ID_MAX + 1];
    char *url;
    struct patterns events, channels;
    struct whsec secrets[WHSEC_MAX];
    unsigned secret_count;
    bool drawn; /* its secret was drawn when it was read: nobody else knows it */
    unsigned concurrency, batch;
    int64_t batch_delay_ms, timeout_ms;
    bool keyed;     /* order "channel": one after the other, of each channel */
    bool from_file; /* webhook_endpoints has it, and not the server API */
    enum endpoint_state state;

    /* Of its deliveries: courier/webhooks.c. */
    struct shipment *shipments;  /* under way */
    unsigned under_way, carried; /* posts; rows of the queue in them */
    unsigned failures;           /* in a row */
    bool is_open;                /* its breaker: one probe at a time */
    bool is_slow;
    struct {
        int64_t at_ms; /* of the queue's clock; 0: none since the start */
        int status;    /* of HTTP; 0: there was none, and `end` says why */
        enum post_end end;
    } last_failure;
    unsigned fresh;        /* events since the last batch was taken */
    int64_t not_before_ms; /* by its breaker, or Retry-After */
    int64_t wake_ms;
    uint64_t asked; /* the event that it was asked about last: courier/interest.h */
    uint32_t types; /* of this server's events that it is counted for: courier/events.h */
    uint32_t place; /* in the heap of wakes, and 1; 0: in none */
    UT_hash_handle hh, by_number;
};

/* Reads what is registered. Returns NULL with a sentence in `why`. Where there are no secrets one
 * is drawn. */
struct endpoint *endpoint_read(struct span json, const struct reach *reach, char *why,
                               size_t why_size);
/* NULL is allowed. */
void endpoint_free(struct endpoint *endpoint);

/* Writes it as JSON: all, for the queue; or without its secrets. */
void endpoint_write(const struct endpoint *endpoint, bool secrets, FILE *to);
const char *endpoint_state_name(enum endpoint_state state);

/* Whether it wants such events; `channel` is empty where an event is of none. */
bool endpoint_wants_type(const struct endpoint *endpoint, struct span type);
bool endpoint_wants(const struct endpoint *endpoint, struct span type, struct span channel);

bool endpoint_id_good(struct span id);

/* Writes a JSON string. */
void json_text_write(FILE *to, struct span text);
