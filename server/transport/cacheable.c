#include "transport/cacheable.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "wire/accept.h"
#include "wire/etag.h"
#include "wire/out.h"

/* Who brings credentials is not given what was kept of somebody without (RFC 9110 section 12.5.5):
 * the token is looked at, and the answer is no-store. */
#define CACHEABLE_VARY "Vary: Authorization, Cookie, X-API-Key\r\n"

enum {
    FORM = 1, /* of answers: another one has other tags */
};

/* An answer has the newest messages up to its position: so their number says which, and it can only
 * fall while the position stays, as the history forgets. */
static uint64_t tag_of(const struct json_answer *answer)
{
    const struct {
        uint64_t form, messages, recovered, ended;
    } rest = {FORM, answer->message_count, answer->recovered, answer->ended};
    uint64_t seed = XXH3_64bits(&rest, sizeof rest);
    return XXH3_64bits_withSeed(answer->positions,
                                answer->position_count * sizeof *answer->positions, seed);
}

/* RFC 9111 section 3.5: what somebody was given by credentials is for nobody else. */
static bool is_personal(const struct http_fields *fields, const struct params *params)
{
    return params->token.len > 0 || params->ticket.len > 0 ||
           http_field_find(fields, SPAN("authorization")) ||
           http_field_find(fields, SPAN("x-api-key")) || http_field_find(fields, SPAN("cookie"));
}

int cacheable_begin(struct shard *shard, struct conn *conn, const struct http_request *request,
                    const struct params *params)
{
    const struct http_fields *fields = &request->fields;
    struct etags etags = {0};
    conn->asked |= ASKED_TAGGED;
    if (shard->settings->poll_s_maxage > 0 && !is_personal(fields, params))
        conn->asked |= ASKED_CACHEABLE;
    if (shard->settings->poll_gzip && accept_coding(fields, SPAN("gzip")))
        conn->asked |= ASKED_GZIP;
    for (size_t i = 0; i < fields->count; i++)
        if (span_equal_nocase(fields->list[i].name, SPAN("if-none-match")))
            etags_add(&etags, fields->list[i].value);
    if (etags.count == 0 && !etags.any)
        return 0;
    struct conn_extra *extra = conn_extra(conn);
    struct etags *kept = extra ? malloc(sizeof *kept) : NULL;
    if (!kept)
        return -ENOMEM;
    *kept = etags;
    extra->transport_state = kept;
    extra->state_bytes = sizeof *kept;
    return 0;
}

void cacheable_end(struct conn *conn)
{
    if (!conn->extra)
        return;
    free(conn->extra->transport_state);
    conn->extra->transport_state = NULL;
}

bool cacheable_unchanged(struct conn *conn, const struct json_answer *answer)
{
    const struct etags *etags = conn->extra ? conn->extra->transport_state : NULL;
    bool unchanged = etags && etags_have(etags, tag_of(answer));
    cacheable_end(conn);
    return unchanged;
}

/* max-age: a browser asks each time, by the tag, as what is new is what it polls for. */
size_t cacheable_fields(const struct shard *shard, const struct conn *conn,
                        const struct json_answer *answer, char buf[CACHEABLE_FIELDS_MAX])
{
    struct out out = out_begin(buf, CACHEABLE_FIELDS_MAX);
    char tag[ETAG_SIZE];
    if (conn->asked & ASKED_CACHEABLE) {
        out_text(&out, "Cache-Control: public, max-age=0, s-maxage=");
        out_decimal(&out, (uint64_t)shard->settings->poll_s_maxage);
        out_text(&out, "\r\n" CACHEABLE_VARY);
    } else {
        out_text(&out, CACHEABLE_NOT);
    }
    if (conn->asked & ASKED_TAGGED) {
        etag_write(tag, tag_of(answer));
        out_text(&out, "ETag: ");
        out_span(&out, span_of(tag, sizeof tag));
        out_text(&out, "\r\n");
        if (shard->settings->poll_gzip)
            out_text(&out, "Vary: Accept-Encoding\r\n");
    }
    assert(!out.overflow);
    return (size_t)(out.at - out.start);
}
