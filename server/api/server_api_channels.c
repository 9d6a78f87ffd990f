/* server_api_channels: which channels have subscribers. */
#include "api/server_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/nodes.h"
#include "conn/survey.h"
#include "core/message.h"
#include "hub/hub.h"
#include "wire/glob.h"
#include "wire/json_scan.h"

enum {
    CHANNEL_VISITS = 4096, /* channels looked at in a turn */
    PATTERN_MAX = 256,
    NAMES_MIN = 64,
    ENTRY_MAX = CHANNEL_NAME_MAX + 64, /* of the answer, for a channel */
};

/* A channel of one shard. */
struct entry {
    uint32_t subscribers;
    uint8_t name_len;
    char name[CHANNEL_NAME_MAX];
};

/* A shard's part of the answer. */
struct listing {
    struct survey_part part;
    struct entry *entries;
    uint32_t count, size;
    uint32_t at;              /* which channel is looked at */
    struct nodes_ask *others; /* of one part: what other nodes have said, or NULL */
    uint16_t pattern_len;
    char pattern[PATTERN_MAX];
};

static enum centrifuge_error error_of(int err)
{
    if (err == -E2BIG)
        return CENTRIFUGE_ERROR_LIMIT_EXCEEDED;
    return err == -ENOBUFS ? CENTRIFUGE_ERROR_TOO_MANY_REQUESTS : CENTRIFUGE_ERROR_INTERNAL;
}

/* ---- on each shard ---- */

static int add(struct listing *listing, struct span name, uint32_t subscribers)
{
    if (listing->count == API_ANSWER_MAX / sizeof *listing->entries)
        return -E2BIG;
    if (listing->count == listing->size) {
        uint32_t size = listing->size > 0 ? 2 * listing->size : NAMES_MIN;
        struct entry *entries = realloc(listing->entries, size * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        listing->entries = entries;
        listing->size = size;
    }
    struct entry *entry = &listing->entries[listing->count++];
    entry->subscribers = subscribers;
    entry->name_len = (uint8_t)name.len;
    memcpy(entry->name, name.ptr, name.len);
    return 0;
}

static bool listing_step(struct shard *shard, struct survey_part *part)
{
    struct listing *listing = (struct listing *)part;
    struct span pattern = {listing->pattern, listing->pattern_len}, name;
    uint32_t subscribers;
    for (unsigned i = 0; i < CHANNEL_VISITS; i++) {
        if (!hub_channel_at(shard->hub, listing->at++, &name.ptr, &name.len, &subscribers))
            return false;
        if (subscribers == 0 || (pattern.len > 0 && !glob_matches(pattern, name)))
            continue;
        part->call.err = add(listing, name, subscribers);
        if (part->call.err < 0)
            return false;
    }
    return true;
}

static struct survey_part *listing_make(const void *what)
{
    struct listing *listing = malloc(sizeof *listing);
    if (listing)
        *listing = *(const struct listing *)what;
    return listing ? &listing->part : NULL;
}

static void listing_free(struct survey_part *part)
{
    struct listing *listing = (struct listing *)part;
    nodes_ask_free(listing->others);
    free(listing->entries);
    free(listing);
}

/* ---- other nodes: a line for each channel, NAME SUBSCRIBERS ---- */

static bool line_read(struct span *text, struct span *ret_name, uint64_t *ret_subscribers)
{
    const char *end = memchr(text->ptr, '\n', text->len);
    const char *space = end ? memchr(text->ptr, ' ', (size_t)(end - text->ptr)) : NULL;
    if (!space)
        return false;
    struct span number = {space + 1, (size_t)(end - space) - 1};
    *ret_name = span_of(text->ptr, (size_t)(space - text->ptr));
    *text = span_skip(*text, (size_t)(end - text->ptr) + 1);
    return hub_name_valid(ret_name->ptr, ret_name->len) &&
           json_number_read(number, ret_subscribers) && *ret_subscribers <= UINT32_MAX;
}

/* What is no list of channels says no more. */
static int others_add(struct listing *listing)
{
    struct span name;
    uint64_t subscribers;
    const struct nodes_answer *answer = listing->others ? listing->others->answers : NULL;
    for (; answer; answer = answer->next) {
        struct span text = {answer->text, answer->len};
        while (text.len > 0 && line_read(&text, &name, &subscribers)) {
            int err = add(listing, name, (uint32_t)subscribers);
            if (err < 0)
                return err;
        }
    }
    return 0;
}

/* ---- the answer ---- */

static int by_name(const void *left, const void *right)
{
    const struct entry *const *a = left, *const *b = right;
    size_t len = (*a)->name_len < (*b)->name_len ? (*a)->name_len : (*b)->name_len;
    int order = memcmp((*a)->name, (*b)->name, len);
    return order != 0 ? order : (*a)->name_len - (*b)->name_len;
}

static struct entry **all_sorted(struct survey_part *parts, size_t count)
{
    struct entry **all = malloc((count + 1) * sizeof *all);
    size_t at = 0;
    for (struct survey_part *part = parts; all && part; part = part->next) {
        struct listing *listing = (struct listing *)part;
        for (uint32_t i = 0; i < listing->count; i++)
            all[at++] = &listing->entries[i];
    }
    if (all && count > 0)
        qsort(all, count, sizeof(struct entry *), by_name);
    return all;
}

/* A channel with subscribers on several shards is there once, with all of them. */
static void channels_write(struct out *out, struct entry *const *all, size_t count)
{
    bool first = true;
    out_text(out, "{\"channels\":{");
    for (size_t i = 0; i < count; first = false) {
        const struct entry *entry = all[i];
        uint64_t subscribers = 0;
        for (; i < count && by_name(&all[i], &entry) == 0; i++)
            subscribers += all[i]->subscribers;
        out_span(out, first ? SPAN("\"") : SPAN(",\""));
        out_span(out, span_of(entry->name, entry->name_len));
        out_text(out, "\":{\"num_clients\":");
        out_decimal(out, subscribers);
        out_text(out, "}");
    }
    out_text(out, "}}");
}

static int channels_result(struct api_call *call, unsigned at, struct survey_part *parts)
{
    size_t count = 0;
    for (const struct survey_part *part = parts; part; part = part->next)
        count += ((const struct listing *)part)->count;
    struct entry **all = all_sorted(parts, count);
    size_t room = (count + 1) * ENTRY_MAX;
    char *area = all ? malloc(room) : NULL;
    if (area) {
        struct out out = out_begin(area, room);
        channels_write(&out, all, count);
        api_result(call, at, span_of(area, (size_t)out_end(&out)));
    }
    free(all);
    free(area);
    return area ? 0 : -ENOMEM;
}

static void listing_done(struct shard *shard, struct conn *conn, const struct ticket *ticket,
                         struct survey_part *parts, int err)
{
    struct api_call *call = conn->extra->transport_state;
    for (struct survey_part *part = parts; part && err == 0; part = part->next)
        err = others_add((struct listing *)part);
    if (err == 0)
        err = channels_result(call, ticket->tag, parts);
    if (err < 0)
        api_error(call, ticket->tag, error_of(err));
    api_respond_if_all(shard, conn);
}

/* Another node asks: its server knows how to put together what is there several times. */
static void listing_told(struct shard *shard, struct nodes_heard *heard, struct survey_part *parts,
                         int err)
{
    size_t count = 0;
    for (const struct survey_part *part = parts; part; part = part->next)
        count += ((const struct listing *)part)->count;
    size_t room = count * ENTRY_MAX;
    char *area = err == 0 && room <= NODES_TEXT_MAX ? malloc(room + 1) : NULL;
    struct out out = out_begin(area, area ? room + 1 : 0);
    for (const struct survey_part *part = parts; area && part; part = part->next) {
        const struct listing *listing = (const struct listing *)part;
        for (uint32_t i = 0; i < listing->count; i++) {
            out_span(&out, span_of(listing->entries[i].name, listing->entries[i].name_len));
            out_text(&out, " ");
            out_decimal(&out, listing->entries[i].subscribers);
            out_text(&out, "\n");
        }
    }
    if (err == 0 && !area)
        err = room > NODES_TEXT_MAX ? -E2BIG : -ENOMEM;
    nodes_reply(shard->hub, heard, err, span_of(area, area ? (size_t)out_end(&out) : 0));
    free(area);
}

static const struct survey_ops listing_ops = {
    .step = listing_step, .done = listing_done, .free = listing_free, .told = listing_told};

void channels_heard(struct shard *shard, struct nodes_heard *heard)
{
    struct listing model = {0};
    struct span pattern = {heard->text, heard->len};
    int err = pattern.len <= sizeof model.pattern && glob_valid(pattern) ? 0 : -EINVAL;
    if (err == 0) {
        model.pattern_len = (uint16_t)pattern.len;
        memcpy(model.pattern, pattern.ptr, pattern.len);
        err = survey_hear(shard, heard, 0, shard->server->shard_count, listing_make, &model,
                          &listing_ops);
    }
    if (err < 0)
        nodes_reply(shard->hub, heard, err, (struct span){0});
}

/* ---- the question ---- */

/* What other nodes have said goes with the first part. */
static struct survey_part *first_make(const void *what)
{
    struct listing *model = (struct listing *)(uintptr_t)what;
    struct survey_part *part = listing_make(model);
    if (part)
        model->others = NULL;
    return part;
}

static int ask_shards(struct shard *shard, const struct ticket *ticket, struct listing *model)
{
    int err =
        survey_ask(shard, ticket, 0, shard->server->shard_count, first_make, model, &listing_ops);
    nodes_ask_free(model->others);
    return err;
}

static void nodes_told(void *context, struct nodes_ask *ask)
{
    struct shard *shard = context;
    const struct ticket ticket = ask->call.ticket;
    struct conn *conn = conn_of_ticket(shard, &ticket);
    int err = ask->call.err;
    struct listing model = {.others = ask, .pattern_len = (uint16_t)ask->len};
    if (!conn) {
        nodes_ask_free(ask);
        return;
    }
    memcpy(model.pattern, ask->text, ask->len);
    if (err == -ETIMEDOUT) /* one that is silent has perhaps gone */
        err = 0;
    if (err == 0)
        err = ask_shards(shard, &ticket, &model);
    else
        nodes_ask_free(ask);
    if (err == 0)
        return;
    api_error(conn->extra->transport_state, ticket.tag, error_of(err));
    api_respond_if_all(shard, conn);
}

static int ask_nodes(struct shard *shard, const struct ticket *ticket, struct span pattern)
{
    struct nodes_ask *ask = nodes_ask_create(NODES_CHANNELS, 0, pattern);
    if (!ask)
        return -ENOMEM;
    ask->call.ticket = *ticket;
    ask->done = nodes_told;
    int err = nodes_send(shard->hub, shard->server->hubs, ask);
    if (err < 0)
        nodes_ask_free(ask);
    return err;
}

void api_channels(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
                  const struct centrifuge_command *request)
{
    const struct ticket ticket = conn_ticket(shard, conn, at);
    struct listing model = {0};
    if (request->pattern.len > sizeof model.pattern) {
        api_error(call, at, CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    model.pattern_len = (uint16_t)json_string_decode(model.pattern, request->pattern);
    struct span pattern = {model.pattern, model.pattern_len};
    if (!glob_valid(pattern)) {
        api_error(call, at, CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    int err = shard->server->broker ? ask_nodes(shard, &ticket, pattern)
                                    : ask_shards(shard, &ticket, &model);
    if (err < 0)
        api_error(call, at, error_of(err));
}
