/* hook_head: what the head of a webhook says of its signature, in the three forms that are common.
 *
 *   standard   webhook-id: msg_1 · webhook-timestamp: 1700000000 · webhook-signature: v1,BASE64 …
 *              signed: msg_1 "." 1700000000 "." body
 *   github     X-GitHub-Delivery: GUID · X-Hub-Signature-256: sha256=HEX
 *              signed: body
 *   stripe     Stripe-Signature: t=1700000000,v1=HEX,v1=HEX,v0=HEX
 *              signed: 1700000000 "." body
 *
 * Each signature is an HMAC-SHA256. There are several while a secret is replaced, and those of
 * other versions, which are passed over.
 *
 * Strict where two readers could differ: a field twice, a timestamp that is not as it would be
 * written, an id with a "." in it or a character that is not printed, and anything but lower case
 * in hexadecimal are refused.
 *
 * Threads  any.
 * Memory   the caller's; nothing points into the head.
 * Bounds   HOOK_MACS_MAX signatures, HOOK_ID_MAX bytes of an id. */
#pragma once

#include <stdint.h>

#include "wire/digits.h"
#include "wire/http.h"
#include "wire/span.h"

enum {
    HOOK_MACS_MAX = 8,
    HOOK_MAC_BYTES = 32,
    HOOK_ID_MAX = 128,
    HOOK_PREFIX_MAX = HOOK_ID_MAX + DIGITS_DECIMAL_MAX + 2,
};

enum hook_scheme {
    HOOK_STANDARD, /* https://www.standardwebhooks.com */
    HOOK_GITHUB,
    HOOK_STRIPE,
};

struct hook_head {
    int64_t timestamp_s; /* github: 0 */
    uint8_t mac_count;   /* at least one */
    uint8_t id_len;      /* stripe: 0, it is in the body */
    char id[HOOK_ID_MAX];
    unsigned char macs[HOOK_MACS_MAX][HOOK_MAC_BYTES];
};

/* Returns 0, or -EINVAL: what it needs is missing, there twice, or not of this form. */
int hook_head_read(struct hook_head *ret, enum hook_scheme scheme,
                   const struct http_fields *fields);

/* Writes what is signed ahead of the body. */
struct span hook_head_prefix(char buf[HOOK_PREFIX_MAX], enum hook_scheme scheme,
                             const struct hook_head *head);
