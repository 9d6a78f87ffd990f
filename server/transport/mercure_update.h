/* mercure_update: one update of the Mercure protocol, as a publisher sends it, as the hub keeps it,
 * and as it is held against what a subscriber asked for.
 *
 *   topic=A&topic=B&data=… ─► update ─► payload of a message in the channel of all updates
 *                                            │
 *   selectors of a stream, of its token ─────┴─► an event, or nothing
 *
 *   payload:  private │ topics │ has retry, data │ retry (4) │ len (2) topic … │ len type │ len id
 *             data to its end; numbers as this machine has them: it leaves no process
 *
 * Threads  any.
 * Memory   An update's spans point into the form's scratch, or into the payload.
 * Bounds   MERCURE_TOPICS_MAX topics of TOPIC_BYTES_MAX each; MERCURE_TEXT_MAX for type and id;
 *          MERCURE_SELECTORS_MAX selectors, of MERCURE_SELECTORS_BYTES together. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conn/refusal.h"
#include "wire/span.h"
#include "wire/sse.h"
#include "wire/topic.h"

enum {
    MERCURE_TOPICS_MAX = 16,
    MERCURE_TEXT_MAX = 255,
    MERCURE_SELECTORS_MAX = 32,
    MERCURE_SELECTORS_BYTES = 4096,
};

struct mercure_update {
    struct span topics[MERCURE_TOPICS_MAX]; /* the first is the canonical one */
    unsigned topic_count;
    struct span type, id, data; /* empty: not given; data without a ptr likewise */
    bool private;
    bool has_retry;
    uint32_t retry_ms;
};

/* Reads the form of a publisher; `scratch` is as long as it. Returns false with the refusal. */
bool mercure_update_read_form(struct mercure_update *ret, struct span form, char *scratch,
                              enum refusal *ret_refusal);

/* The payload that stands for it. */
size_t mercure_update_size(const struct mercure_update *update);
void mercure_update_write(char *buf, const struct mercure_update *update);
void mercure_update_read(struct mercure_update *ret, struct span payload);

struct mercure_selectors {
    uint16_t count;
    uint16_t bytes;
    uint16_t len[MERCURE_SELECTORS_MAX];
    char text[MERCURE_SELECTORS_BYTES];
};

/* Returns false when there is no room. */
bool mercure_selectors_add(struct mercure_selectors *selectors, struct span selector);

/* Whether one of them names the topic. */
bool mercure_selectors_match(const struct mercure_selectors *selectors, struct span topic);

/* Adds the strings of a list of JSON; others are passed over. Returns likewise. */
bool mercure_selectors_add_json(struct mercure_selectors *selectors, struct span list);

/* The list of the claim {"publish":[…],"subscribe":[…]} with this name. Returns false when the
 * claim has none, or is of another form. */
bool mercure_claim_list(struct span claim, struct span name, struct span *ret);

/* What its token wants others to be told of a subscriber: any value of JSON. Returns false when the
 * claim has none. */
bool mercure_claim_payload(struct span claim, struct span *ret);

/* Whether a subscriber is given it: a topic of it is one that is asked for; and if it is private
 * also, perhaps another, one that the token allows. */
bool mercure_update_is_for(const struct mercure_update *update,
                           const struct mercure_selectors *asked,
                           const struct mercure_selectors *allowed);

/* The event, whose id is the publisher's, or else this. */
struct sse_event mercure_update_event(const struct mercure_update *update, struct span id);
