/* Request heads (RFC 9112 sections 2.2, 3) and which host they are for (RFC 9110 section 7.2). */
#include <assert.h>

#include "wire/chars.h"
#include "wire/http.h"
#include "wire/http_fields.h"

static const struct {
    struct span name;
    enum http_method method;
} methods[] = {
    {SPAN_INIT("GET"), HTTP_GET},       {SPAN_INIT("POST"), HTTP_POST},
    {SPAN_INIT("HEAD"), HTTP_HEAD},     {SPAN_INIT("OPTIONS"), HTTP_OPTIONS},
    {SPAN_INIT("PUT"), HTTP_PUT},       {SPAN_INIT("PATCH"), HTTP_PATCH},
    {SPAN_INIT("DELETE"), HTTP_DELETE}, {SPAN_INIT("CONNECT"), HTTP_CONNECT},
    {SPAN_INIT("TRACE"), HTTP_TRACE},
};

static enum http_method method_find(struct span name)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (span_equal(methods[i].name, name))
            return methods[i].method;
    return HTTP_METHOD_OTHER;
}

/* Skips the one empty line that may precede a request, and looks at the first byte of the method:
 * what speaks TLS or another protocol to us is refused at its first byte. */
static int start_check(const char *buf, size_t len, size_t *ret_start)
{
    *ret_start = 0;
    if (len > 0 && buf[0] == '\r') {
        if (len > 1 && buf[1] != '\n')
            return HTTP_ERROR_LINE_END;
        *ret_start = len > 1 ? 2 : 1;
    }
    if (len > *ret_start && !chars_is(buf[*ret_start], CHAR_TOKEN))
        return HTTP_ERROR_METHOD;
    return 0;
}

static void path_split(struct http_request *request, struct span path)
{
    const char *mark = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
    size_t len = mark ? (size_t)(mark - path.ptr) : path.len;
    request->path = span_of(path.ptr, len);
    request->query = mark ? span_skip(path, len + 1) : SPAN("");
}

/* "http://host:port/path?query"; an empty path means "/". */
static int absolute_form_parse(struct http_request *request, struct span target)
{
    struct span schemes[] = {SPAN("http://"), SPAN("https://")};
    for (size_t i = 0; i < 2; i++) {
        if (target.len < schemes[i].len ||
            !span_equal_nocase(span_of(target.ptr, schemes[i].len), schemes[i]))
            continue;
        struct span rest = span_skip(target, schemes[i].len);
        size_t host_len = 0;
        while (host_len < rest.len && chars_is(rest.ptr[host_len], CHAR_HOST))
            host_len++;
        if (host_len == 0 ||
            (host_len < rest.len && rest.ptr[host_len] != '/' && rest.ptr[host_len] != '?'))
            return HTTP_ERROR_TARGET;
        request->host = span_of(rest.ptr, host_len);
        path_split(request, span_skip(rest, host_len));
        if (request->path.len == 0)
            request->path = SPAN("/");
        return 0;
    }
    return HTTP_ERROR_TARGET;
}

static int target_parse(struct http_request *request, struct span target)
{
    request->target = target;
    request->path = request->query = request->host = request->protocol = SPAN("");
    if (!chars_all(target, CHAR_TARGET))
        return HTTP_ERROR_TARGET;
    if (request->method == HTTP_CONNECT) {
        request->host = target;
        return chars_all(target, CHAR_HOST) ? 0 : HTTP_ERROR_TARGET;
    }
    if (target.ptr[0] == '/') {
        path_split(request, target);
        return 0;
    }
    if (request->method == HTTP_OPTIONS && span_equal(target, SPAN("*"))) {
        request->path = target;
        return 0;
    }
    return absolute_form_parse(request, target);
}

/* "method SP target SP version", with single spaces. */
static int request_line_parse(struct http_request *request, struct span line)
{
    const char *space = memchr(line.ptr, ' ', line.len);
    if (!space)
        return HTTP_ERROR_METHOD;
    request->method_name = span_of(line.ptr, (size_t)(space - line.ptr));
    if (!chars_all(request->method_name, CHAR_TOKEN))
        return HTTP_ERROR_METHOD;
    request->method = method_find(request->method_name);

    struct span rest = span_skip(line, request->method_name.len + 1);
    space = rest.len > 0 ? memchr(rest.ptr, ' ', rest.len) : NULL;
    if (!space)
        return HTTP_ERROR_TARGET;
    struct span target = span_of(rest.ptr, (size_t)(space - rest.ptr));
    int error = http_version_parse(span_skip(rest, target.len + 1), &request->fields.minor_version);
    return error ? error : target_parse(request, target);
}

/* Exactly one Host on HTTP/1.1, even where an absolute target overrides it. An empty one names no
 * http origin (RFC 9110 section 4.2.1). */
static int host_check(struct http_request *request)
{
    const struct http_field *host = http_field_find(&request->fields, SPAN("host"));
    if (!host)
        return request->fields.minor_version == 0 ? 0 : HTTP_ERROR_HOST;
    if (!http_field_single(&request->fields, SPAN("host")) || !chars_all(host->value, CHAR_HOST))
        return HTTP_ERROR_HOST;
    if (request->host.len == 0)
        request->host = host->value;
    return 0;
}

static int expect_check(struct http_request *request)
{
    const struct http_field *expect = http_field_find(&request->fields, SPAN("expect"));
    request->expect_continue = false;
    if (!expect || request->fields.minor_version == 0)
        return 0;
    request->expect_continue = span_equal_nocase(expect->value, SPAN("100-continue"));
    return request->expect_continue ? 0 : HTTP_ERROR_EXPECTATION;
}

/* RFC 9113 section 8.3.1: a Host that names another than :authority is malformed. */
static int authority_check(struct http_request *request, struct span authority)
{
    const struct http_field *host = http_field_find(&request->fields, SPAN("host"));
    if (host && !http_field_single(&request->fields, SPAN("host")))
        return HTTP_ERROR_HOST;
    if (host && authority.len > 0 && !span_equal_nocase(host->value, authority))
        return HTTP_ERROR_HOST;
    request->host = authority.len > 0 || !host ? authority : host->value;
    return chars_all(request->host, CHAR_HOST) ? 0 : HTTP_ERROR_HOST;
}

int http_request_make(struct http_request *ret, struct span method, struct span path,
                      struct span authority, struct span protocol)
{
    bool is_connect = span_equal(method, SPAN("CONNECT"));
    bool is_tunnel = is_connect && protocol.len == 0;
    ret->method_name = method;
    ret->method = is_connect && !is_tunnel ? HTTP_GET : method_find(method);
    if (!chars_all(method, CHAR_TOKEN))
        return HTTP_ERROR_METHOD;
    int error = target_parse(ret, is_tunnel ? authority : path);
    ret->protocol = protocol;
    if (error == 0)
        error = http_fields_read(&ret->fields);
    if (error == 0)
        error = authority_check(ret, authority);
    return error ? error : expect_check(ret);
}

int http_request_parse(struct http_request *ret, const char *buf, size_t len, size_t scanned,
                       size_t head_max)
{
    size_t start;
    int error = start_check(buf, len, &start);
    if (error)
        return error;
    int head_len = http_head_measure(buf, len, scanned, head_max);
    if (head_len <= 0)
        return head_len;

    struct span head = span_of(buf + start, (size_t)head_len - start);
    struct span line;
    if (!http_line_next(&head, &line))
        return HTTP_ERROR_LINE_END;
    error = request_line_parse(ret, line);
    if (error == 0)
        error = http_fields_parse(&ret->fields, head);
    if (error == 0)
        error = host_check(ret);
    if (error == 0)
        error = expect_check(ret);
    return error ? error : head_len;
}
