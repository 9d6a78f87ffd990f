#include "auth/hook_keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/jwt.h"
#include "auth/secret.h"
#include "hub/hub.h"
#include "wire/base64.h"

struct adding {
    struct hook_keys *keys;
    const struct hook *hook;
};

/* Those of Standard Webhooks are written in base64; the others are their own bytes. */
static int secret_decode(struct secret *secret, enum hook_scheme scheme)
{
    const struct span mark = SPAN("whsec_");
    struct span text = {secret->bytes, secret->len};
    if (scheme != HOOK_STANDARD)
        return 0;
    if (text.len > mark.len && span_equal(span_of(text.ptr, mark.len), mark))
        text = span_skip(text, mark.len);
    int len = base64_decode(secret->bytes, sizeof secret->bytes, text);
    secret->len = len < 0 ? 0 : (size_t)len;
    return len < 0 ? -EINVAL : 0;
}

static int add(void *context, const char *item, struct secret *secret, char *why, size_t why_size)
{
    const struct adding *adding = context;
    struct hook_keys *keys = adding->keys;
    if (keys->count == HOOK_SECRETS_MAX) {
        snprintf(why, why_size, "[hook %.*s]: more than %d secrets", adding->hook->name_len,
                 adding->hook->name, HOOK_SECRETS_MAX);
        return -E2BIG;
    }
    int err = secret_read(secret, item, why, why_size);
    if (err < 0)
        return err;
    err = secret_decode(secret, adding->hook->scheme);
    if (err < 0 || secret->len < HOOK_SECRET_BYTES_MIN) {
        snprintf(why, why_size, "%s: is no secret of a webhook: %s%d bytes or more", item,
                 adding->hook->scheme == HOOK_STANDARD ? "whsec_ and the base64 of " : "",
                 HOOK_SECRET_BYTES_MIN);
        return -EINVAL;
    }
    br_hmac_key_init(&keys->list[keys->count++], &br_sha256_vtable, secret->bytes, secret->len);
    return 0;
}

int hook_keys_read(struct hook_keys *ret, const struct hook *hook, char *why, size_t why_size)
{
    struct adding adding = {ret, hook};
    ret->count = 0;
    if (!hub_name_valid(hook->channel, strlen(hook->channel))) {
        snprintf(why, why_size, "[hook %.*s]: channel = %s: is no name of a channel",
                 hook->name_len, hook->name, hook->channel);
        return -EINVAL;
    }
    return secret_each(hook->secrets, add, &adding, why, why_size);
}

void hook_check_begin(struct hook_check *ret, const struct hook_keys *keys, enum hook_scheme scheme,
                      const struct hook_head *head)
{
    char buf[HOOK_PREFIX_MAX];
    struct span prefix = hook_head_prefix(buf, scheme, head);
    ret->count = keys->count;
    for (unsigned i = 0; i < keys->count; i++)
        br_hmac_init(&ret->sums[i], &keys->list[i], 0);
    hook_check_add(ret, prefix);
}

void hook_check_add(struct hook_check *check, struct span piece)
{
    for (unsigned i = 0; i < check->count && piece.len > 0; i++)
        br_hmac_update(&check->sums[i], piece.ptr, piece.len);
}

bool hook_check_end(const struct hook_check *check, const struct hook_head *head)
{
    unsigned char sum[HOOK_MAC_BYTES];
    bool good = false;
    for (unsigned i = 0; i < check->count; i++) {
        br_hmac_out(&check->sums[i], sum);
        for (unsigned k = 0; k < head->mac_count; k++)
            good |= jwt_same(sum, head->macs[k], sizeof sum);
    }
    explicit_bzero(sum, sizeof sum);
    return good;
}
