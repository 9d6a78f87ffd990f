/* signature: what says that a webhook is ours, as Standard Webhooks has it.
 *
 *   webhook-id: evt_1        ┐
 *   webhook-timestamp: 1700  ├─► "evt_1.1700.{…}" ─► HMAC-SHA256 by each secret, base64
 *   body: {…}                ┘
 *   webhook-signature: v1,K5oZ… v1,hnO3…
 *
 * Threads  any.
 * Memory   The caller's.
 * Bounds   WHSEC_MAX of an endpoint, of WHSEC_BYTES_MIN to WHSEC_BYTES_MAX.
 * Source   github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    WHSEC_MAX = 4, /* the newest first; the others while receivers learn it */
    WHSEC_BYTES_MIN = 24,
    WHSEC_BYTES_MAX = 64,
    WHSEC_TEXT_MAX = 6 + 88, /* whsec_ and its base64 */
    SIGNATURE_MAX = WHSEC_MAX * (3 + 44 + 1),
};

struct whsec {
    uint8_t len;
    unsigned char bytes[WHSEC_BYTES_MAX];
};

/* Reads whsec_ and base64. Returns false when it is none, or too short or long. */
bool whsec_read(struct whsec *ret, struct span text);
/* Draws one. Returns false when the kernel gives no random bytes. */
bool whsec_draw(struct whsec *ret);

/* Writes the value of webhook-signature. Returns its length. */
size_t signature_write(char ret[SIGNATURE_MAX], const struct whsec *secrets, unsigned count,
                       struct span id, uint64_t timestamp_s, struct span body);
