/* server_api_publish: a message as a server publishes it, with what it wants besides. */
#include "api/server_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/message.h"
#include "hub/hub.h"
#include "wire/base64.h"
#include "wire/json_scan.h"
#include "wire/utf8.h"

enum {
    TAGS_MAX = 4096, /* bytes of JSON */
    KEY_MAX = 256,   /* of an idempotency key, or of a version's epoch */
};
#define TAGS ",\"tags\":"

/* What a request's message is made of, and where that lies. */
struct draft {
    struct message_parts parts;
    struct message_terms terms;
    char *payload; /* or NULL */
    char more[sizeof TAGS + TAGS_MAX];
};

/* 0: there is none. */
static uint64_t key_hash(const struct shard *shard, struct span string)
{
    char key[KEY_MAX];
    if (string.len == 0)
        return 0;
    return hub_key_hash(shard->server->hubs, key, json_string_decode(key, string));
}

static int terms_read(struct draft *draft, const struct shard *shard,
                      const struct centrifuge_command *request)
{
    if (request->idempotency_key.len > KEY_MAX || request->version_epoch.len > KEY_MAX)
        return -EINVAL;
    draft->terms = (struct message_terms){
        .key = key_hash(shard, request->idempotency_key),
        .version = request->version,
        .version_epoch = key_hash(shard, request->version_epoch),
    };
    if (draft->terms.key != 0 || draft->terms.version != 0)
        draft->parts.terms = &draft->terms;
    return 0;
}

/* An object of strings. A line end in it, which is a blank there, would end the push that it is
 * in. */
static int tags_read(struct draft *draft, struct span tags)
{
    struct json_members members = json_members_begin(tags);
    struct json_member member;
    int found;
    if (tags.len == 0 || span_equal(tags, SPAN("null")))
        return 0;
    while ((found = json_members_next(&members, &member)) > 0)
        if (member.kind != JSON_IS_STRING)
            return -EINVAL;
    if (found < 0 || tags.len > TAGS_MAX)
        return -EINVAL;
    struct out out = out_begin(draft->more, sizeof draft->more);
    out_text(&out, TAGS);
    out_span(&out, tags);
    draft->parts.more = draft->more;
    draft->parts.more_len = (size_t)out_end(&out);
    for (char *at = draft->more; at < out.at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    return 0;
}

/* Any JSON as it stands, or bytes in base64. */
static int payload_read(struct draft *draft, const struct centrifuge_command *request)
{
    draft->parts.payload = request->data.ptr;
    draft->parts.payload_len = request->data.len;
    draft->parts.utf8 = true;
    if (request->data.len > 0)
        return 0;
    if (request->b64data.len == 0)
        return -EINVAL;
    draft->payload = malloc(request->b64data.len);
    if (!draft->payload)
        return -ENOMEM;
    int len = base64_decode(draft->payload, request->b64data.len, request->b64data);
    if (len < 0)
        return -EINVAL;
    draft->parts.payload = draft->payload;
    draft->parts.payload_len = (size_t)len;
    draft->parts.utf8 = utf8_valid(span_of(draft->payload, (size_t)len));
    return 0;
}

/* Whether what changed may be told of it. Returns 0, or -EINVAL where that is no boolean. */
static int delta_read(struct span asked, bool *ret)
{
    *ret = span_equal(asked, SPAN("true"));
    return *ret || asked.len == 0 || span_equal(asked, SPAN("false")) ||
                   span_equal(asked, SPAN("null"))
               ? 0
               : -EINVAL;
}

static int message_make(struct message **ret, const struct shard *shard,
                        const struct centrifuge_command *request, struct span name)
{
    struct draft draft = {
        .parts.name = name.ptr,
        .parts.name_len = name.len,
        .parts.hash = hub_hash(shard->server->hubs, name.ptr, name.len),
    };
    bool delta;
    int err = delta_read(request->delta, &delta);
    if (!err)
        err = payload_read(&draft, request);
    if (!err)
        err = terms_read(&draft, shard, request);
    if (!err)
        err = tags_read(&draft, request->tags);
    *ret = err ? NULL : message_create_of(&draft.parts);
    if (*ret)
        (*ret)->delta = delta;
    if (*ret && request->skip_history)
        (*ret)->kind = MESSAGE_EPHEMERAL;
    free(draft.payload);
    return err || *ret ? err : -ENOMEM;
}

void api_publish(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
                 const struct centrifuge_command *request, struct span name)
{
    const struct ticket ticket = conn_ticket(shard, conn, at);
    struct message *message;
    if (request->idempotency_key.len > 0 && shard->settings->idempotency_keys_max == 0) {
        api_error(call, at, CENTRIFUGE_ERROR_NOT_AVAILABLE);
        return;
    }
    int err = message_make(&message, shard, request, name);
    if (err < 0) {
        api_error(call, at,
                  err == -ENOMEM ? CENTRIFUGE_ERROR_INTERNAL : CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    if (hub_publish(shard->hub, &ticket, message) == 0)
        return;
    message_unref(message);
    api_error(call, at, CENTRIFUGE_ERROR_TOO_MANY_REQUESTS);
}
