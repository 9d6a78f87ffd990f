/* hook_keys: the secrets of a webhook, and whether a body was signed with one of them.
 *
 *   hook_check_begin ─► hook_check_add … (as the body comes) ─► hook_check_end
 *
 * Idea     The body is summed as its pieces come, once for each secret: nothing waits for the end
 *          of a long one. All signatures are compared with all sums, whichever fits.
 * Threads  Keys are read-only once made; a check is its owner's.
 * Memory   The caller's. A check keeps no reference on the keys.
 * Bounds   HOOK_SECRETS_MAX, of SECRET_BYTES_MAX each. */
#pragma once

#include <bearssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/hooks.h"
#include "wire/hook_head.h"

enum {
    HOOK_SECRETS_MAX = 4,
    HOOK_SECRET_BYTES_MIN = 16,
};

struct hook_keys {
    br_hmac_key_context list[HOOK_SECRETS_MAX];
    unsigned count;
};

struct hook_check {
    br_hmac_context sums[HOOK_SECRETS_MAX];
    unsigned count;
};

/* Reads the secrets that a webhook names. Returns 0, or negative errno and a sentence. */
int hook_keys_read(struct hook_keys *ret, const struct hook *hook, char *why, size_t why_size);

/* Begins with what is signed ahead of the body. */
void hook_check_begin(struct hook_check *ret, const struct hook_keys *keys, enum hook_scheme scheme,
                      const struct hook_head *head);
void hook_check_add(struct hook_check *check, struct span piece);
/* Whether it was signed so. Takes as long for any that was not. */
bool hook_check_end(const struct hook_check *check, const struct hook_head *head);
