/* Response heads, as a client reads them (RFC 9112 section 4). */
#include "wire/chars.h"
#include "wire/http.h"
#include "wire/http_fields.h"

/* "HTTP/1.1 SP 200 SP reason"; the reason may be empty, its space may not be missing. */
#define STATUS_LINE_MIN 13

static int status_line_parse(struct http_response *response, struct span line)
{
    if (line.len < STATUS_LINE_MIN)
        return HTTP_ERROR_STATUS_LINE;
    int error = http_version_parse(span_of(line.ptr, 8), &response->fields.minor_version);
    if (error)
        return error;
    struct span digits = span_of(line.ptr + 9, 3);
    if (line.ptr[8] != ' ' || line.ptr[12] != ' ' || !chars_all(digits, CHAR_DIGIT))
        return HTTP_ERROR_STATUS_LINE;
    response->status =
        (digits.ptr[0] - '0') * 100 + (digits.ptr[1] - '0') * 10 + (digits.ptr[2] - '0');
    response->reason = span_skip(line, STATUS_LINE_MIN);
    bool reason_valid = response->reason.len == 0 || chars_all(response->reason, CHAR_VALUE);
    return response->status >= 100 && reason_valid ? 0 : HTTP_ERROR_STATUS_LINE;
}

int http_response_parse(struct http_response *ret, const char *buf, size_t len, size_t scanned,
                        size_t head_max)
{
    int head_len = http_head_measure(buf, len, scanned, head_max);
    if (head_len <= 0)
        return head_len;
    struct span head = span_of(buf, (size_t)head_len);
    struct span line;
    if (!http_line_next(&head, &line))
        return HTTP_ERROR_LINE_END;
    int error = status_line_parse(ret, line);
    if (error == 0)
        error = http_fields_parse(&ret->fields, head);
    return error ? error : head_len;
}
