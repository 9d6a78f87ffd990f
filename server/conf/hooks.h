/* hooks: the webhooks that are received, each at POST /hook/NAME.
 *
 *   [hook shop]
 *   scheme = stripe
 *   secrets = file:/etc/ringside/stripe.secret env:STRIPE_SECRET_BEFORE
 *   channel = shop:events
 *
 * Threads  Filled before the shards start, read-only afterwards.
 * Memory   Inside struct settings.
 * Bounds   HOOKS_MAX; HOOK_NAME_MAX bytes of a name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/rows.h"
#include "wire/hook_head.h"
#include "wire/span.h"

enum {
    HOOKS_MAX = 32,
    HOOK_NAME_MAX = 64,
};

/* X(type, name, default, minimum, maximum, unit, reason), as in conf/settings.h. */
#define HOOK_TABLE(X)                                                                              \
    X(HOOK_SCHEME, scheme, HOOK_STANDARD, 0, 2, "standard, github or stripe",                      \
      "How it is signed. standard: the Standard Webhooks specification. github: "                  \
      "X-Hub-Signature-256. stripe: Stripe-Signature.")                                            \
    X(TEXT, secrets, "", 0, 0, "list of file:PATH",                                                \
      "Its secrets, each in file:PATH or env:NAME, up to four: several while one is replaced. "    \
      "Those of standard are base64, perhaps behind whsec_. Read again at SIGHUP.")                \
    X(TEXT, channel, "", 0, 0, "name", "Where its bodies are published.")                          \
    X(NUMBER, tolerance_s, 300, 1, 86400, "s",                                                     \
      "A signature's timestamp may be older or newer by so much. Those of github have none.")      \
    X(NUMBER, body_bytes_max, 262144, 1, 1073741824, "bytes",                                      \
      "A longer body gets 413, and so does one above message_bytes_max.")

#define HOOK_FIELD_NUMBER(name)      int64_t name;
#define HOOK_FIELD_TEXT(name)        char name[SETTINGS_TEXT_MAX];
#define HOOK_FIELD_HOOK_SCHEME(name) enum hook_scheme name;
#define HOOK_FIELD(type, name, ...)  HOOK_FIELD_##type(name)

struct hook {
    HOOK_TABLE(HOOK_FIELD)
    uint8_t index;
    uint8_t name_len;
    char name[HOOK_NAME_MAX];
};

struct hooks {
    struct hook list[HOOKS_MAX];
    unsigned count;
};

/* Whether a line's section is a webhook's, and of which name. */
bool hooks_section(const char *section, struct span *ret_name);

/* Sets a value of a webhook, which comes to be. 0, or -EINVAL with a line in `why`. */
int hooks_set(struct hooks *hooks, struct span name, const char *key, const char *value, char *why,
              size_t why_size);

/* Returns NULL where there is none of that name. */
const struct hook *hooks_find(const struct hooks *hooks, struct span name);

/* Checks that each has secrets and a channel, and that none can come again when its id is
 * forgotten. 0, or -EINVAL with a line in `why`. */
int hooks_check(const struct hooks *hooks, int64_t ids_s, char *why, size_t why_size);

/* What holds for a webhook, and those that there are. */
void hooks_print(const struct hooks *hooks);
