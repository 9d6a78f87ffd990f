/* feed_http: HTTP heads and bodies, fed in pieces. See feed.h.
 *
 * Threads  one.
 * Memory   the caller frees the transcript. */
#pragma once

#include "feed.h"
#include "wire/http.h"

static inline void feed_fields(struct transcript *ret, const struct http_fields *fields)
{
    transcript_add(ret, SPAN("\nlength "));
    transcript_number(ret, fields->has_content_length ? (long long)fields->content_length : -1);
    transcript_add(ret, fields->chunked ? SPAN(" chunked") : SPAN(""));
    transcript_add(ret, fields->keep_alive ? SPAN(" keep") : SPAN(" close"));
    transcript_add(ret, fields->connection_upgrade ? SPAN(" upgrade") : SPAN(""));
    for (size_t i = 0; i < fields->count; i++) {
        transcript_add(ret, SPAN("\n"));
        transcript_add(ret, fields->list[i].name);
        transcript_add(ret, SPAN("="));
        transcript_add(ret, fields->list[i].value);
    }
}

/* Parses growing prefixes until one is not incomplete. Returns what the parser returned. */
static inline int feed_request(struct span input, size_t first, uint64_t step, size_t head_max,
                               struct transcript *ret)
{
    struct http_request request;
    size_t scanned = 0;
    int result = 0;
    for (size_t len = first; result == 0; len += feed_step(&step, input.len - len)) {
        if (len > input.len)
            len = input.len;
        char *copy = malloc(len > 0 ? len : 1);
        assert(copy);
        if (len > 0)
            memcpy(copy, input.ptr, len);
        result = http_request_parse(&request, copy, len, scanned, head_max);
        if (result > 0) {
            struct span parts[] = {request.method_name, request.path, request.query, request.host};
            for (size_t i = 0; i < 4; i++) {
                transcript_add(ret, parts[i]);
                transcript_add(ret, SPAN(" "));
            }
            feed_fields(ret, &request.fields);
        }
        free(copy);
        scanned = len;
        if (len == input.len)
            break;
    }
    transcript_add(ret, SPAN("\nresult "));
    transcript_number(ret, result);
    return result;
}

static inline int feed_response(struct span input, size_t first, uint64_t step, size_t head_max,
                                struct transcript *ret)
{
    struct http_response response;
    size_t scanned = 0;
    int result = 0;
    for (size_t len = first; result == 0; len += feed_step(&step, input.len - len)) {
        if (len > input.len)
            len = input.len;
        char *copy = malloc(len > 0 ? len : 1);
        assert(copy);
        if (len > 0)
            memcpy(copy, input.ptr, len);
        result = http_response_parse(&response, copy, len, scanned, head_max);
        if (result > 0) {
            transcript_number(ret, response.status);
            transcript_add(ret, response.reason);
            feed_fields(ret, &response.fields);
        }
        free(copy);
        scanned = len;
        if (len == input.len)
            break;
    }
    transcript_add(ret, SPAN("\nresult "));
    transcript_number(ret, result);
    return result;
}

/* Decodes a body. The transcript is the payload; `ret_used` is where the body ended in the input.
 * Returns the last http_body_result or enum http_error. */
static inline int feed_body(struct http_body body, struct span input, size_t first, uint64_t step,
                            struct transcript *ret, size_t *ret_used)
{
    struct pieces pieces = pieces_begin(input, first, step);
    int result = HTTP_BODY_MORE;
    *ret_used = 0;
    while (result >= 0 && result != HTTP_BODY_END && pieces_next(&pieces)) {
        struct span piece = span_of(pieces.piece, pieces.len), payload;
        while ((result = http_body_next(&body, &piece, &payload)) == HTTP_BODY_DATA)
            transcript_add(ret, payload);
        *ret_used += pieces.len - piece.len;
    }
    pieces_end(&pieces);
    return result;
}
