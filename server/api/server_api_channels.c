/* server_api_channels: which channels have subscribers. */
#include "api/server_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    uint32_t at; /* which channel is looked at */
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
    free(((struct listing *)part)->entries);
    free(part);
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
    if (err == 0)
        err = channels_result(call, ticket->tag, parts);
    if (err < 0)
        api_error(call, ticket->tag, error_of(err));
    api_respond_if_all(shard, conn);
}

static const struct survey_ops listing_ops = {
    .step = listing_step, .done = listing_done, .free = listing_free};

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
    if (!glob_valid(span_of(model.pattern, model.pattern_len))) {
        api_error(call, at, CENTRIFUGE_ERROR_BAD_REQUEST);
        return;
    }
    int err = survey_ask(shard, &ticket, 0, shard->server->shard_count, listing_make, &model,
                         &listing_ops);
    if (err < 0)
        api_error(call, at, error_of(err));
}
