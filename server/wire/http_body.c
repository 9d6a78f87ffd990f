/* Bodies (RFC 9112 sections 6 and 7), resumable at every byte.
 *
 *     SIZE -> (BLANK -> EXTENSION) -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                                        '- size 0 -> TRAILER_LINE <-> NAME -> VALUE -> LINE_LF
 *                                                         '- CR -> LAST_LF -> DONE */
#include <assert.h>

#include "wire/chars.h"
#include "wire/http.h"

/* 60 bits: no overflow, and more than any body. */
#define CHUNK_SIZE_DIGITS_MAX 15

enum body_state {
    BODY_DONE,
    BODY_LENGTH,
    BODY_CLOSE,
    BODY_SIZE,
    BODY_SIZE_BLANK,
    BODY_EXTENSION,
    BODY_SIZE_LF,
    BODY_DATA,
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILER_LINE,
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_LF,
    BODY_LAST_LF,
};

int http_body_init(struct http_body *ret, enum http_framing framing, uint64_t content_length,
                   uint64_t body_max)
{
    *ret = (struct http_body){.budget = body_max, .state = BODY_DONE};
    switch (framing) {
    case HTTP_FRAMING_NONE:
        break;
    case HTTP_FRAMING_LENGTH:
        if (content_length > body_max)
            return HTTP_ERROR_BODY_LONG;
        ret->left = content_length;
        ret->state = content_length > 0 ? BODY_LENGTH : BODY_DONE;
        break;
    case HTTP_FRAMING_CHUNKED:
        ret->state = BODY_SIZE;
        break;
    case HTTP_FRAMING_CLOSE:
        ret->state = BODY_CLOSE;
        break;
    }
    return 0;
}

int http_request_body_init(struct http_body *ret, const struct http_request *request,
                           uint64_t body_max)
{
    const struct http_fields *fields = &request->fields;
    enum http_framing framing = fields->chunked              ? HTTP_FRAMING_CHUNKED
                                : fields->has_content_length ? HTTP_FRAMING_LENGTH
                                                             : HTTP_FRAMING_NONE;
    return http_body_init(ret, framing, fields->content_length, body_max);
}

int http_response_body_init(struct http_body *ret, const struct http_response *response,
                            enum http_method request_method, uint64_t body_max)
{
    const struct http_fields *fields = &response->fields;
    int status = response->status;
    enum http_framing framing = HTTP_FRAMING_CLOSE;
    if (request_method == HTTP_HEAD || status < 200 || status == 204 || status == 304 ||
        (request_method == HTTP_CONNECT && status < 300))
        framing = HTTP_FRAMING_NONE;
    else if (fields->chunked)
        framing = HTTP_FRAMING_CHUNKED;
    else if (fields->has_content_length)
        framing = HTTP_FRAMING_LENGTH;
    return http_body_init(ret, framing, fields->content_length, body_max);
}

/* White space after the digits belongs to an extension (RFC 9112 section 7.1.1), and nothing else:
 * some servers pad with it, and others read the size differently then. */
static int blank_step(struct http_body *body, char c)
{
    if (c == ';') {
        body->state = BODY_EXTENSION;
        return 0;
    }
    bool blank = c == ' ' || c == '\t';
    return blank && ++body->overhead <= HTTP_CHUNK_EXTENSION_MAX ? 0 : HTTP_ERROR_CHUNK_SIZE;
}

static int size_step(struct http_body *body, char c)
{
    int digit = chars_hex(c);
    if (digit >= 0) {
        if (body->digits == CHUNK_SIZE_DIGITS_MAX)
            return HTTP_ERROR_CHUNK_SIZE;
        body->digits++;
        body->left = body->left << 4 | (unsigned)digit;
        return 0;
    }
    if (body->digits == 0)
        return HTTP_ERROR_CHUNK_SIZE;
    if (c == '\r') {
        body->state = BODY_SIZE_LF;
        return 0;
    }
    body->state = BODY_SIZE_BLANK;
    return blank_step(body, c);
}

static int extension_step(struct http_body *body, char c)
{
    if (c == '\r') {
        body->state = BODY_SIZE_LF;
        return 0;
    }
    if (!chars_is(c, CHAR_VALUE) || ++body->overhead > HTTP_CHUNK_EXTENSION_MAX)
        return HTTP_ERROR_CHUNK_EXTENSION;
    return 0;
}

static int size_end(struct http_body *body, char c)
{
    if (c != '\n')
        return HTTP_ERROR_CHUNK_SIZE;
    if (body->left > body->budget)
        return HTTP_ERROR_BODY_LONG;
    body->state = body->left > 0 ? BODY_DATA : BODY_TRAILER_LINE;
    body->digits = 0;
    body->overhead = 0;
    return 0;
}

/* Trailers are checked like fields and then forgotten: nothing we do depends on one. */
static int trailer_step(struct http_body *body, char c)
{
    if (++body->overhead > HTTP_TRAILER_MAX)
        return HTTP_ERROR_TRAILER;
    switch ((enum body_state)body->state) {
    case BODY_TRAILER_LINE:
        if (c == '\r') {
            body->state = BODY_LAST_LF;
            return 0;
        }
        body->state = BODY_TRAILER_NAME;
        return chars_is(c, CHAR_TOKEN) ? 0 : HTTP_ERROR_TRAILER;
    case BODY_TRAILER_NAME:
        if (c == ':')
            body->state = BODY_TRAILER_VALUE;
        return c == ':' || chars_is(c, CHAR_TOKEN) ? 0 : HTTP_ERROR_TRAILER;
    case BODY_TRAILER_VALUE:
        if (c == '\r')
            body->state = BODY_TRAILER_LF;
        return c == '\r' || chars_is(c, CHAR_VALUE) ? 0 : HTTP_ERROR_TRAILER;
    case BODY_TRAILER_LF:
        body->state = BODY_TRAILER_LINE;
        return c == '\n' ? 0 : HTTP_ERROR_TRAILER;
    case BODY_LAST_LF:
        body->state = BODY_DONE;
        return c == '\n' ? 0 : HTTP_ERROR_TRAILER;
    case BODY_DONE:
    case BODY_LENGTH:
    case BODY_CLOSE:
    case BODY_SIZE:
    case BODY_SIZE_BLANK:
    case BODY_EXTENSION:
    case BODY_SIZE_LF:
    case BODY_DATA:
    case BODY_DATA_CR:
    case BODY_DATA_LF:
        break;
    }
    assert(!"not in the trailers");
    return HTTP_ERROR_TRAILER;
}

/* Takes one byte that is not payload. */
static int body_step(struct http_body *body, char c)
{
    switch ((enum body_state)body->state) {
    case BODY_SIZE:
        return size_step(body, c);
    case BODY_SIZE_BLANK:
        return blank_step(body, c);
    case BODY_EXTENSION:
        return extension_step(body, c);
    case BODY_SIZE_LF:
        return size_end(body, c);
    case BODY_DATA_CR:
        body->state = BODY_DATA_LF;
        return c == '\r' ? 0 : HTTP_ERROR_CHUNK_END;
    case BODY_DATA_LF:
        body->state = BODY_SIZE;
        return c == '\n' ? 0 : HTTP_ERROR_CHUNK_END;
    case BODY_TRAILER_LINE:
    case BODY_TRAILER_NAME:
    case BODY_TRAILER_VALUE:
    case BODY_TRAILER_LF:
    case BODY_LAST_LF:
        return trailer_step(body, c);
    case BODY_DONE:
    case BODY_LENGTH:
    case BODY_CLOSE:
    case BODY_DATA:
        break;
    }
    assert(!"payload is not taken by the byte");
    return HTTP_ERROR_CHUNK_SIZE;
}

/* Hands out as much payload as the input has and the body allows. */
static int payload_take(struct http_body *body, struct span *input, struct span *ret_payload)
{
    uint64_t allowed = body->state == BODY_CLOSE ? body->budget : body->left;
    size_t len = input->len < allowed ? input->len : (size_t)allowed;
    if (len == 0)
        return HTTP_ERROR_BODY_LONG;
    *ret_payload = span_of(input->ptr, len);
    *input = span_skip(*input, len);
    body->budget -= len;
    if (body->state != BODY_CLOSE) {
        body->left -= len;
        if (body->left == 0)
            body->state = body->state == BODY_DATA ? BODY_DATA_CR : BODY_DONE;
    }
    return HTTP_BODY_DATA;
}

int http_body_next(struct http_body *body, struct span *input, struct span *ret_payload)
{
    while (input->len > 0 && body->state != BODY_DONE) {
        if (body->state == BODY_LENGTH || body->state == BODY_CLOSE || body->state == BODY_DATA)
            return payload_take(body, input, ret_payload);
        int error = body_step(body, input->ptr[0]);
        if (error)
            return error;
        *input = span_skip(*input, 1);
    }
    return body->state == BODY_DONE ? HTTP_BODY_END : HTTP_BODY_MORE;
}

int http_body_finish(const struct http_body *body)
{
    return body->state == BODY_DONE || body->state == BODY_CLOSE ? 0 : HTTP_ERROR_BODY_SHORT;
}
