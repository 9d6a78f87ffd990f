/* hook: POST /hook/NAME, a webhook from elsewhere: verified, and published to the channel that the
 * settings name for it. Answered 2xx when the channel has it, now or from before.
 *
 *   head ─► name, signature's form, timestamp ─► body summed as it comes ─► signature ─► id ─► hub
 *
 * Its id is a lasting key of its channel (hub/terms.h): one that comes again, on whatever shard, is
 * answered as the first was. Until the first has been published there is nothing that a repeat
 * could be answered by. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "auth/auth.h"
#include "core/message.h"
#include "http/body.h"
#include "http/limited.h"
#include "hub/hub.h"
#include "wire/json_scan.h"
#include "wire/out.h"
#include "wire/utf8.h"

#define HOOK_PATH "/hook/"

/* In conn_extra, until it is answered. */
struct hooking {
    bool published; /* the hub has it */
    const struct hook *hook;
    struct hook_head head;
    struct hook_check check;
};

static struct hooking *hooking_of(struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static void hook_closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    struct hooking *hooking = hooking_of(conn);
    if (!hooking)
        return;
    free(hooking);
    conn->extra->transport_state = NULL;
}

/* Its body has come whole: the connection stays. */
static void refuse_whole(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    hook_closed(shard, conn);
    http_error(shard, conn, refusal);
    http_next(shard, conn);
}

/* ---- the body ---- */

/* That of Stripe is signed with the body it is in: {"id":"evt_…",…}. */
static bool id_of_body(struct hook_head *head, struct span body)
{
    struct json_members members = json_members_begin(body);
    struct json_member member;
    int found;
    while ((found = json_members_next(&members, &member)) > 0) {
        if (!json_string_is(member.name, SPAN("id")))
            continue;
        if (member.kind != JSON_IS_STRING || member.value.len > HOOK_ID_MAX || head->id_len > 0)
            return false;
        head->id_len = (uint8_t)json_string_decode(head->id, member.value);
    }
    return found == 0 && head->id_len > 0;
}

/* The same on every node, so not by the seed of this one. */
static uint64_t key_of(const struct hooking *hooking)
{
    unsigned char sum[br_sha256_SIZE];
    br_sha256_context sha;
    uint64_t key;
    br_sha256_init(&sha);
    br_sha256_update(&sha, hooking->hook->name, hooking->hook->name_len);
    br_sha256_update(&sha, "", 1);
    br_sha256_update(&sha, hooking->head.id, hooking->head.id_len);
    br_sha256_out(&sha, sum);
    memcpy(&key, sum, sizeof key);
    return key != 0 ? key : 1;
}

static struct message *message_of(struct shard *shard, const struct hooking *hooking,
                                  struct span body)
{
    const char *channel = hooking->hook->channel;
    const struct message_terms terms = {.key = key_of(hooking), .lasting = true};
    const struct message_parts parts = {
        .name = channel,
        .name_len = strlen(channel),
        .hash = hub_hash(shard->server->hubs, channel, strlen(channel)),
        .payload = body.ptr,
        .payload_len = body.len,
        .utf8 = utf8_valid(body),
        .terms = &terms,
    };
    return message_create_of(&parts);
}

static void publish(struct shard *shard, struct conn *conn, struct span body)
{
    struct hooking *hooking = hooking_of(conn);
    const struct ticket ticket = conn_ticket(shard, conn, 0);
    if (!hook_check_end(&hooking->check, &hooking->head)) {
        refuse_whole(shard, conn, REFUSAL_HOOK_SIGNATURE);
        return;
    }
    if (hooking->hook->scheme == HOOK_STRIPE && !id_of_body(&hooking->head, body)) {
        refuse_whole(shard, conn, REFUSAL_HOOK_ID);
        return;
    }
    struct message *message = message_of(shard, hooking, body);
    hooking->published = true;
    if (message && hub_publish(shard->hub, &ticket, message) == 0)
        return;
    message_unref(message);
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

static void hook_body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    hook_check_add(&hooking_of(conn)->check, piece);
    http_body_collect(shard, conn, piece, last, publish);
}

/* ---- the answer ---- */

static void hook_published(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                           int err, uint64_t epoch, uint64_t offset)
{
    (void)ticket;
    if (err < 0) {
        refuse_whole(shard, conn,
                     err == -EPIPE ? REFUSAL_ENDED
                                   : publish_refusal(err, shard->server->broker != NULL));
        return;
    }
    bool repeated = err > 0;
    counter_add(repeated ? &shard->counters.webhooks_repeated : &shard->counters.webhooks_received,
                1);
    char body[CHANNEL_NAME_MAX + 128], hex[DIGITS_HEX_MAX];
    struct out out = out_begin(body, sizeof body);
    out_text(&out, "{\"channel\":\"");
    out_span(&out, span_from(hooking_of(conn)->hook->channel));
    out_text(&out, "\",\"offset\":");
    out_decimal(&out, offset);
    out_text(&out, ",\"epoch\":\"");
    out_span(&out, span_of(hex, digits_hex_write(hex, epoch)));
    out_text(&out, "\"");
    if (repeated)
        out_text(&out, ",\"repeated\":true");
    out_text(&out, "}\n");
    hook_closed(shard, conn);
    http_answer(shard, conn, 200, SPAN("application/json"), span_of(body, (size_t)out_end(&out)),
                (struct span){0});
    http_next(shard, conn);
}

/* ---- as of any publish: whole, it is answered; half, it never will be ---- */

static bool hook_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return hooking_of(conn)->published;
}

static void hook_give_up(struct shard *shard, struct conn *conn)
{
    if (!hooking_of(conn)->published)
        http_give_up(shard, conn);
    if (conn->state == CONN_OPEN)
        hook_closed(shard, conn);
}

static void hook_drain(struct shard *shard, struct conn *conn)
{
    if (hooking_of(conn)->published)
        http_drain(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

static void hook_timer(struct shard *shard, struct conn *conn)
{
    if (!hooking_of(conn)->published)
        http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

/* ---- the head ---- */

/* Returns 0, or why it is refused. */
static int head_check(const struct shard *shard, const struct hook *hook,
                      const struct http_fields *fields, struct hook_head *ret)
{
    if (hook_head_read(ret, hook->scheme, fields) < 0)
        return REFUSAL_HOOK_UNSIGNED;
    int64_t age_s = shard_unix_s(shard) - ret->timestamp_s;
    bool is_dated = hook->scheme != HOOK_GITHUB;
    return is_dated && (age_s > hook->tolerance_s || age_s < -hook->tolerance_s)
               ? REFUSAL_HOOK_STALE
               : 0;
}

static void hook_begin(struct shard *shard, struct conn *conn, struct exchange *exchange,
                       const struct hook *hook, const struct hook_head *head)
{
    const struct settings *settings = shard->settings;
    struct conn_extra *extra = conn_extra(conn);
    struct hooking *hooking = extra ? malloc(sizeof *hooking) : NULL;
    if (!hooking) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    hooking->published = false;
    hooking->hook = hook;
    hooking->head = *head;
    auth_hook_begin(shard, hook, head, &hooking->check);
    extra->transport_state = hooking;
    extra->state_bytes = sizeof *hooking;
    conn_hand_over(conn, TRANSPORT_HOOK);
    int64_t most = hook->body_bytes_max < settings->message_bytes_max ? hook->body_bytes_max
                                                                      : settings->message_bytes_max;
    if (http_body_begin(shard, conn, exchange, (uint64_t)most))
        conn_timer(shard, conn, settings->body_timeout_ms);
}

void hook_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    struct hook_head head;
    if (shard->clients && http_limited_publish(shard, conn))
        return;
    const struct hook *hook =
        hooks_find(&shard->settings->hooks, span_skip(request->path, sizeof HOOK_PATH - 1));
    int refusal = hook ? head_check(shard, hook, &request->fields, &head) : REFUSAL_UNKNOWN_HOOK;
    if (refusal != 0)
        http_refuse(shard, conn, (enum refusal)refusal);
    else
        hook_begin(shard, conn, exchange, hook, &head);
}

const struct transport hook_transport = {
    .name = "hook",
    .input = http_body_input,
    .body = hook_body,
    .input_ended = hook_input_ended,
    .give_up = hook_give_up,
    .timer = hook_timer,
    .drain = hook_drain,
    .closed = hook_closed,
    .published = hook_published,
};
