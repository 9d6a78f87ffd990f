/* topic: whether a topic of the Mercure protocol is one that a selector names
 * (draft-dunglas-mercure-07, section 4.2).
 *
 *   *                                   every topic
 *   https://shop.example/orders/17      this one
 *   https://shop.example/orders/{id}    a URI template (RFC 6570): those that it expands to
 *
 * Of templates: {x}, {+x}, {#x}, {.x} and {/x}, with several names in one, each with the modifiers
 * :n and *, whose bounds are not looked at. One with {;x}, {?x} or {&x}, or that is none, names
 * only the topic that it is by its letters.
 *
 * Idea     Which places of the topic can be reached behind each part of the template, as a set. So
 *          nothing is tried twice, whatever the two are.
 * Threads  any.
 * Memory   none.
 * Bounds   TOPIC_BYTES_MAX a selector, TOPIC_MATCH_MAX a topic, and TOPIC_EXPRESSIONS_MAX, so a
 *          match is at most nine walks over the topic. A template with more names only the topic
 *          that it is by its letters. */
#pragma once

#include <stdbool.h>

#include "wire/span.h"

enum {
    TOPIC_BYTES_MAX = 512,     /* of a selector, and of what a publisher may name */
    TOPIC_MATCH_MAX = 2048,    /* of a topic: the hub's own have a selector in them, encoded */
    TOPIC_EXPRESSIONS_MAX = 4, /* of a template */
};

bool topic_matches(struct span selector, struct span topic);
