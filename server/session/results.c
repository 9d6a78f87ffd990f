#include "session/results.h"

#include <errno.h>

#include "transport/publication.h"

enum {
    AROUND_MAX = 128, /* of a result, without its publications */
};

uint64_t epoch_read(struct span text)
{
    uint64_t epoch = 0;
    if (text.len > DIGITS_HEX_MAX)
        return UINT64_MAX;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter)
            return UINT64_MAX;
        epoch = epoch << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return epoch;
}

enum centrifuge_error published_error(int err)
{
    if (err == -EPIPE) /* the channel has ended */
        return CENTRIFUGE_ERROR_NOT_AVAILABLE;
    /* Of the last three, with a broker: it is not reached, or has not answered. */
    bool internal = err == -ENOMEM || err == -ENOTCONN || err == -ETIMEDOUT || err == -EPROTO;
    return internal ? CENTRIFUGE_ERROR_INTERNAL : CENTRIFUGE_ERROR_TOO_MANY_REQUESTS;
}

struct hub_since history_since(const struct centrifuge_command *request)
{
    struct hub_since since = {
        .from = HUB_FROM_PAGE, .limit = request->limit, .reverse = request->reverse};
    if (request->since) {
        since.epoch = epoch_read(request->epoch);
        since.offset = request->offset;
        since.bounded = true;
    }
    return since;
}

size_t publications_room(const struct hub_reply *reply, enum centrifuge_coding coding)
{
    size_t size = AROUND_MAX;
    for (unsigned i = 0; i < reply->count; i++) {
        struct centrifuge_publication publication = publication_of(reply->messages[i]);
        publication.coding = coding;
        size += centrifuge_publication_size(&publication) + 1;
    }
    return size;
}

void publications_write(struct out *out, const struct hub_reply *reply,
                        enum centrifuge_coding coding)
{
    out_text(out, "\"publications\":[");
    for (unsigned i = 0; i < reply->count; i++) {
        struct centrifuge_publication publication = publication_of(reply->messages[i]);
        publication.coding = coding;
        if (i > 0)
            out_text(out, ",");
        centrifuge_publication_write(out, &publication);
    }
    out_text(out, "]");
}

void position_members_write(struct out *out, const struct hub_reply *reply)
{
    char hex[DIGITS_HEX_MAX];
    out_text(out, ",\"epoch\":\"");
    out_span(out, span_of(hex, digits_hex_write(hex, reply->epoch)));
    out_text(out, "\"");
    if (reply->offset > 0) {
        out_text(out, ",\"offset\":");
        out_decimal(out, reply->offset);
    }
}

size_t history_result_room(const struct hub_reply *reply)
{
    return AROUND_MAX + publications_room(reply, CENTRIFUGE_PLAIN);
}

void history_result_write(struct out *out, const struct hub_reply *reply)
{
    out_text(out, "{");
    publications_write(out, reply, CENTRIFUGE_PLAIN);
    position_members_write(out, reply);
    out_text(out, "}");
}
