/* mercure_list: GET /.well-known/mercure/subscriptions and below: which subscriptions there are
 * (draft-dunglas-mercure-07, section 7.2).
 *
 *   who asks ─► may it? ─► the last event of the hub ─► all streams of all shards ─► JSON-LD
 *
 * The event is asked for first: what a stream has told of itself up to it is in the list, which may
 * be newer. So a client that goes on behind it misses nothing, and may be told something twice.
 *
 * Threads  The shard's; a step looks at some of a shard's connections (conn/survey.h).
 * Memory   In conn_extra while it is answered; a shard's part of the answer while it is gathered.
 * Bounds   LIST_BYTES_MAX an answer, of which each shard has its share; LISTS_MAX at a time that a
 *          shard asks for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "auth/auth.h"
#include "auth/permit.h"
#include "conn/survey.h"
#include "core/message.h"
#include "hub/hub.h"
#include "transport/mercure.h"
#include "transport/mercure_internal.h"
#include "wire/etag.h"
#include "wire/json_out.h"
#include "wire/position.h"

#define LIST_TYPE "application/ld+json"

enum {
    LIST_VISITS = 4096, /* connections looked at in a turn */
    LIST_BYTES_MAX = 8 << 20,
    LISTS_MAX = 4,
    LIST_BYTES_MIN = 4096,
    FIELDS_MAX = 256,
    AROUND_MAX = 128, /* bytes of a collection besides its values */
};

/* What is asked for; in conn_extra. */
struct listing {
    struct etags etags;
    bool gathers; /* it is one of shard->mercure_lists */
    uint16_t path_len, last_len;
    struct mercure_path asked; /* in `text`, behind the path */
    char last[MERCURE_TEXT_MAX + POSITION_TOKEN_MAX(1)];
    uint64_t tag;
    char text[];
};

static struct listing *listing_of(const struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static struct span path_of(const struct listing *listing)
{
    return span_of(listing->text, listing->path_len);
}

static struct span last_of(const struct listing *listing)
{
    return span_of(listing->last, listing->last_len);
}

static void listing_free(struct shard *shard, struct conn *conn)
{
    struct listing *listing = listing_of(conn);
    if (!listing)
        return;
    if (listing->gathers)
        shard->mercure_lists--;
    free(listing);
    conn->extra->transport_state = NULL;
}

/* ---- on each shard ---- */

struct gathered {
    struct survey_part part;
    uint32_t at; /* which slot is looked at */
    uint32_t len, size, max;
    uint32_t first_len; /* of the first document, with its comma */
    char *bytes;        /* documents, each behind a comma */
    struct mercure_path asked;
    char text[];
};

/* Returns 0, -E2BIG or -ENOMEM. */
static int room_make(struct gathered *gathered, size_t more)
{
    size_t needed = gathered->len + more, size = gathered->size;
    if (needed > gathered->max)
        return -E2BIG;
    if (needed <= size)
        return 0;
    size = size > 0 ? 2 * size : LIST_BYTES_MIN;
    char *bytes = realloc(gathered->bytes, size > needed ? size : needed);
    if (!bytes)
        return -ENOMEM;
    gathered->bytes = bytes;
    gathered->size = (uint32_t)(size > needed ? size : needed);
    return 0;
}

static int add(struct gathered *gathered, const struct mercure_subscription *subscription)
{
    int err = room_make(gathered, 1 + mercure_subscription_size(subscription, (struct span){0}));
    if (err < 0)
        return err;
    struct out out = out_begin(gathered->bytes + gathered->len, gathered->size - gathered->len);
    out_text(&out, ",");
    mercure_subscription_write(&out, subscription, false, (struct span){0});
    if (gathered->len == 0)
        gathered->first_len = (uint32_t)out_end(&out);
    gathered->len += (uint32_t)out_end(&out);
    return 0;
}

static int look_at(struct gathered *gathered, const struct mercure_stream *stream)
{
    const struct mercure_path *asked = &gathered->asked;
    struct span subscriber = {stream->subscriber, sizeof stream->subscriber};
    const char *at = stream->asked->text;
    int err = 0;
    if (asked->parts == 2 && !span_equal(asked->subscriber, subscriber))
        return 0;
    for (unsigned i = 0; i < stream->announced && err == 0; at += stream->asked->len[i++]) {
        const struct mercure_subscription subscription =
            mercure_subscription_of(stream, span_of(at, stream->asked->len[i]), true);
        if (asked->parts == 0 || span_equal(asked->topic, subscription.topic))
            err = add(gathered, &subscription);
    }
    return err;
}

/* Of those of the ring the ones that were ever used, and then those of streams. */
static bool is_behind_last(const struct shard *shard, uint32_t *slot)
{
    if (*slot >= shard->slots_high && *slot < shard->streams.first)
        *slot = shard->streams.first;
    return *slot >= shard->streams.first + shard->streams.high;
}

static bool gather_step(struct shard *shard, struct survey_part *part)
{
    struct gathered *gathered = (struct gathered *)part;
    for (unsigned i = 0; i < LIST_VISITS; i++) {
        if (is_behind_last(shard, &gathered->at))
            return false;
        const struct conn *conn = conn_at(shard, gathered->at++);
        if (conn->state != CONN_OPEN || conn->transport != TRANSPORT_MERCURE)
            continue;
        part->call.err = look_at(gathered, mercure_stream_of(conn));
        if (part->call.err < 0)
            return false;
    }
    return true;
}

struct question {
    const struct listing *listing;
    uint32_t max;
};

static struct survey_part *gathered_make(const void *what)
{
    const struct question *question = what;
    const struct mercure_path *asked = &question->listing->asked;
    struct gathered *gathered = malloc(sizeof *gathered + asked->topic.len + asked->subscriber.len);
    if (!gathered)
        return NULL;
    *gathered = (struct gathered){.max = question->max, .asked = *asked};
    memcpy(gathered->text, asked->topic.ptr, asked->topic.len);
    memcpy(gathered->text + asked->topic.len, asked->subscriber.ptr, asked->subscriber.len);
    gathered->asked.topic.ptr = gathered->text;
    gathered->asked.subscriber.ptr = gathered->text + asked->topic.len;
    return &gathered->part;
}

static void gathered_free(struct survey_part *part)
{
    free(((struct gathered *)part)->bytes);
    free(part);
}

/* ---- the answer ---- */

static struct span fields_write(char buf[FIELDS_MAX], const struct listing *listing)
{
    struct out out = out_begin(buf, FIELDS_MAX);
    char tag[ETAG_SIZE];
    etag_write(tag, listing->tag);
    out_text(&out, "Cache-Control: private, no-cache\r\nLink: <" MERCURE_HUB
                   ">; rel=\"mercure\"\r\nETag: ");
    out_span(&out, span_of(tag, sizeof tag));
    out_text(&out, "\r\n");
    return span_of(buf, (size_t)out_end(&out));
}

static void answer(struct shard *shard, struct conn *conn, int status, struct span body)
{
    char buf[FIELDS_MAX];
    struct span fields = fields_write(buf, listing_of(conn));
    listing_free(shard, conn);
    http_answer(shard, conn, status, status == 200 ? SPAN(LIST_TYPE) : (struct span){0}, body,
                fields);
    http_next(shard, conn);
}

static void collection_write(struct out *out, const struct listing *listing,
                             const struct survey_part *parts)
{
    bool first = true;
    out_text(out, "{\"@context\":\"https://mercure.rocks/\",\"id\":");
    mercure_string_write(out, path_of(listing));
    out_text(out, ",\"type\":\"Subscriptions\",\"lastEventID\":");
    mercure_string_write(out, last_of(listing));
    out_text(out, ",\"subscriptions\":[");
    for (const struct survey_part *part = parts; part; part = part->next) {
        const struct gathered *gathered = (const struct gathered *)part;
        struct span documents = {gathered->bytes, gathered->len};
        if (documents.len == 0)
            continue;
        out_span(out, first ? span_skip(documents, 1) : documents);
        first = false;
    }
    out_text(out, "]}");
}

/* The context and the last event are put into the only document that there is: behind its brace,
 * and before its last one. */
static void one_write(struct out *out, const struct listing *listing, struct span document)
{
    out_text(out, "{\"@context\":\"https://mercure.rocks/\",");
    out_span(out, span_of(document.ptr + 1, document.len - 2));
    out_text(out, ",\"lastEventID\":");
    mercure_string_write(out, last_of(listing));
    out_text(out, "}");
}

/* One that asked for its selector twice has two that are the same. */
static struct span one_of(const struct survey_part *parts)
{
    for (const struct survey_part *part = parts; part; part = part->next) {
        const struct gathered *gathered = (const struct gathered *)part;
        if (gathered->len > 0)
            return span_of(gathered->bytes + 1, gathered->first_len - 1);
    }
    return (struct span){0};
}

static void respond(struct shard *shard, struct conn *conn, const struct survey_part *parts)
{
    const struct listing *listing = listing_of(conn);
    struct span one = one_of(parts);
    size_t room =
        AROUND_MAX + json_string_size(path_of(listing)) + json_string_size(last_of(listing));
    if (listing->asked.parts == 2 && one.len == 0) {
        listing_free(shard, conn);
        http_error(shard, conn, REFUSAL_NOT_FOUND);
        http_next(shard, conn);
        return;
    }
    for (const struct survey_part *part = parts; part; part = part->next)
        room += ((const struct gathered *)part)->len;
    char *area = malloc(room);
    if (!area) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    struct out out = out_begin(area, room);
    if (listing->asked.parts == 2)
        one_write(&out, listing, one);
    else
        collection_write(&out, listing, parts);
    answer(shard, conn, 200, span_of(area, (size_t)out_end(&out)));
    free(area);
}

static void gathered_all(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                         struct survey_part *parts, int err)
{
    (void)ticket;
    if (err == 0)
        respond(shard, conn, parts);
    else
        http_refuse(shard, conn, err == -E2BIG ? REFUSAL_LIST_TOO_LONG : REFUSAL_OVERLOADED);
}

static const struct survey_ops gather_ops = {
    .step = gather_step, .done = gathered_all, .free = gathered_free};

static int gather(struct shard *shard, struct conn *conn, struct listing *listing)
{
    const struct ticket ticket = conn_ticket(shard, conn, 0);
    const struct question question = {listing, LIST_BYTES_MAX / shard->server->shard_count};
    if (shard->mercure_lists == LISTS_MAX)
        return -EBUSY;
    listing->gathers = true;
    shard->mercure_lists++;
    return survey_ask(shard, &ticket, 0, shard->server->shard_count, gathered_make, &question,
                      &gather_ops);
}

/* ---- the last event ---- */

static void last_note(struct listing *listing, const struct hub_reply *reply)
{
    const struct position position = {reply->epoch, reply->offset};
    struct mercure_update update = {0};
    listing->tag = XXH3_64bits(&position, sizeof position);
    if (reply->count > 0) {
        const struct message *newest = reply->messages[reply->count - 1];
        mercure_update_read(&update, span_of(message_payload(newest), newest->payload_len));
    }
    struct out out = out_begin(listing->last, sizeof listing->last);
    char token[POSITION_TOKEN_MAX(1)];
    if (position.offset == 0)
        out_text(&out, "earliest");
    else if (update.id.len > 0)
        out_span(&out, update.id);
    else
        out_span(&out, span_of(token, position_write(token, &position, 1)));
    listing->last_len = (uint16_t)out_end(&out);
}

static void list_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply)
{
    struct listing *listing = listing_of(conn);
    if (reply->err < 0) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    last_note(listing, reply);
    if (etags_have(&listing->etags, listing->tag))
        answer(shard, conn, 304, (struct span){0});
    else if (gather(shard, conn, listing) < 0)
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

static void list_closed(struct shard *shard, struct conn *conn)
{
    listing_free(shard, conn);
}

static bool list_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard, (void)conn;
    return true;
}

/* ---- the request ---- */

static struct listing *listing_make(const struct http_request *request)
{
    const struct http_fields *fields = &request->fields;
    struct listing *listing = malloc(sizeof *listing + 2 * request->path.len);
    if (!listing)
        return NULL;
    *listing = (struct listing){.path_len = (uint16_t)request->path.len};
    memcpy(listing->text, request->path.ptr, request->path.len);
    for (size_t i = 0; i < fields->count; i++)
        if (span_equal_nocase(fields->list[i].name, SPAN("if-none-match")))
            etags_add(&listing->etags, fields->list[i].value);
    return listing;
}

/* A list of who may see it; the topic that is allowed is the path as it was asked for. */
static bool may(struct shard *shard, const struct http_request *request, enum refusal *ret_refusal)
{
    struct mercure_caller caller;
    struct jwt_claims claims;
    char area[JWT_AREA_BYTES];
    if (!mercure_caller_read(&caller, &claims, area, shard, request, SPAN("subscribe"),
                             ret_refusal))
        return false;
    *ret_refusal = caller.signed_on ? REFUSAL_FORBIDDEN : REFUSAL_TOKEN_REQUIRED;
    return mercure_selectors_match(&caller.allowed, request->path);
}

static void list_ask(struct shard *shard, struct conn *conn, struct listing *listing)
{
    struct conn_extra *extra = conn_extra(conn);
    struct ticket ticket = conn_ticket(shard, conn, 0);
    struct span name = SPAN(MERCURE_CHANNEL);
    const struct hub_since newest = {.from = HUB_FROM_PAGE, .limit = 1, .reverse = true};
    if (extra) {
        extra->transport_state = listing;
        extra->state_bytes = (uint32_t)(sizeof *listing + 2U * listing->path_len);
        conn_hand_over(conn, TRANSPORT_MERCURE_LIST);
    } else {
        free(listing);
    }
    if (!extra || hub_read(shard->hub, &ticket, name.ptr, name.len, &newest) < 0)
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

void mercure_list_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    const struct http_request *request = exchange->request;
    enum refusal refusal = REFUSAL_NOT_FOUND;
    if (!shard->settings->mercure_subscriptions || request->path.len > TOPIC_MATCH_MAX) {
        http_error(shard, conn, refusal);
        return;
    }
    if (!may(shard, request, &refusal)) {
        permit_refuse(shard, conn, request, refusal);
        return;
    }
    struct listing *listing = listing_make(request);
    int found = listing ? mercure_path_read(&listing->asked, path_of(listing),
                                            listing->text + listing->path_len)
                        : 0;
    if (found == 1) {
        list_ask(shard, conn, listing);
        return;
    }
    http_error(shard, conn,
               !listing    ? REFUSAL_OVERLOADED
               : found < 0 ? refusal_http(HTTP_ERROR_QUERY)
                           : REFUSAL_NOT_FOUND);
    free(listing);
}

const struct transport mercure_list_transport = {
    .name = "mercure_list",
    .input = http_stash,
    .input_ended = list_input_ended,
    .give_up = http_give_up,
    .drain = http_drain,
    .closed = list_closed,
    .read = list_read,
};
