/* Heads, chunks and dates as we send them. */
#include <assert.h>
#include <time.h>

#include "wire/digits.h"
#include "wire/http.h"
#include "wire/out.h"

struct span http_status_reason(int status)
{
    static const struct {
        int status;
        struct span reason;
    } reasons[] = {
        {100, SPAN_INIT("Continue")},
        {101, SPAN_INIT("Switching Protocols")},
        {200, SPAN_INIT("OK")},
        {201, SPAN_INIT("Created")},
        {202, SPAN_INIT("Accepted")},
        {204, SPAN_INIT("No Content")},
        {301, SPAN_INIT("Moved Permanently")},
        {302, SPAN_INIT("Found")},
        {304, SPAN_INIT("Not Modified")},
        {400, SPAN_INIT("Bad Request")},
        {401, SPAN_INIT("Unauthorized")},
        {403, SPAN_INIT("Forbidden")},
        {404, SPAN_INIT("Not Found")},
        {405, SPAN_INIT("Method Not Allowed")},
        {408, SPAN_INIT("Request Timeout")},
        {409, SPAN_INIT("Conflict")},
        {411, SPAN_INIT("Length Required")},
        {413, SPAN_INIT("Content Too Large")},
        {414, SPAN_INIT("URI Too Long")},
        {415, SPAN_INIT("Unsupported Media Type")},
        {417, SPAN_INIT("Expectation Failed")},
        {422, SPAN_INIT("Unprocessable Content")},
        {426, SPAN_INIT("Upgrade Required")},
        {429, SPAN_INIT("Too Many Requests")},
        {431, SPAN_INIT("Request Header Fields Too Large")},
        {500, SPAN_INIT("Internal Server Error")},
        {501, SPAN_INIT("Not Implemented")},
        {503, SPAN_INIT("Service Unavailable")},
        {505, SPAN_INIT("HTTP Version Not Supported")},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return SPAN("");
}

static void framing_write(struct out *out, enum http_framing framing, uint64_t content_length)
{
    switch (framing) {
    case HTTP_FRAMING_NONE:
    case HTTP_FRAMING_CLOSE:
        break;
    case HTTP_FRAMING_LENGTH:
        out_text(out, "Content-Length: ");
        out_decimal(out, content_length);
        out_text(out, "\r\n");
        break;
    case HTTP_FRAMING_CHUNKED:
        out_text(out, "Transfer-Encoding: chunked\r\n");
        break;
    }
}

static void content_type_write(struct out *out, struct span content_type)
{
    if (content_type.len == 0)
        return;
    out_text(out, "Content-Type: ");
    out_span(out, content_type);
    out_text(out, "\r\n");
}

int http_response_head_write(char *buf, size_t size, const struct http_response_head *head)
{
    assert(head->status >= 100 && head->status <= 999);
    assert(head->framing != HTTP_FRAMING_CLOSE || !head->keep_alive);
    assert(head->framing != HTTP_FRAMING_CHUNKED || head->minor_version > 0);
    struct out out = out_begin(buf, size);
    out_text(&out, "HTTP/1.1 ");
    out_decimal(&out, (uint64_t)head->status);
    out_text(&out, " ");
    out_span(&out, http_status_reason(head->status));
    out_text(&out, "\r\n");
    content_type_write(&out, head->content_type);
    framing_write(&out, head->framing, head->content_length);
    if (!head->keep_alive)
        out_text(&out, "Connection: close\r\n");
    else if (head->minor_version == 0)
        out_text(&out, "Connection: keep-alive\r\n");
    out_span(&out, head->extra);
    out_text(&out, "\r\n");
    return out_end(&out);
}

int http_request_head_write(char *buf, size_t size, const struct http_request_head *head)
{
    assert(head->method.len > 0 && head->target.len > 0 && head->host.len > 0);
    assert(head->framing != HTTP_FRAMING_CLOSE);
    struct out out = out_begin(buf, size);
    out_span(&out, head->method);
    out_text(&out, " ");
    out_span(&out, head->target);
    out_text(&out, " HTTP/1.1\r\nHost: ");
    out_span(&out, head->host);
    out_text(&out, "\r\n");
    content_type_write(&out, head->content_type);
    framing_write(&out, head->framing, head->content_length);
    if (head->close)
        out_text(&out, "Connection: close\r\n");
    out_span(&out, head->extra);
    out_text(&out, "\r\n");
    return out_end(&out);
}

size_t http_chunk_head_size(uint64_t size)
{
    return digits_hex_size(size) + 2;
}

size_t http_chunk_head_write(char buf[HTTP_CHUNK_HEAD_MAX], uint64_t size)
{
    assert(size > 0);
    size_t len = digits_hex_write(buf, size);
    buf[len] = '\r';
    buf[len + 1] = '\n';
    return len + 2;
}

static void pair_write(char *buf, unsigned value)
{
    buf[0] = (char)('0' + value / 10 % 10);
    buf[1] = (char)('0' + value % 10);
}

void http_date_write(char buf[HTTP_DATE_SIZE], uint64_t unix_s)
{
    time_t seconds = (time_t)unix_s;
    struct tm date;
    bool valid = gmtime_r(&seconds, &date) != NULL;
    assert(valid && date.tm_year <= 9999 - 1900);
    unsigned year = (unsigned)date.tm_year + 1900;
    /* Not strftime: its names follow the locale. */
    struct span shape = SPAN("Thu, 01 Jan 1970 00:00:00 GMT");
    assert(shape.len == HTTP_DATE_SIZE);
    memcpy(buf, shape.ptr, shape.len);
    memcpy(buf, &"SunMonTueWedThuFriSat"[(size_t)date.tm_wday * 3], 3);
    pair_write(buf + 5, (unsigned)date.tm_mday);
    memcpy(buf + 8, &"JanFebMarAprMayJunJulAugSepOctNovDec"[(size_t)date.tm_mon * 3], 3);
    pair_write(buf + 12, year / 100);
    pair_write(buf + 14, year % 100);
    pair_write(buf + 17, (unsigned)date.tm_hour);
    pair_write(buf + 20, (unsigned)date.tm_min);
    pair_write(buf + 23, (unsigned)date.tm_sec);
}
