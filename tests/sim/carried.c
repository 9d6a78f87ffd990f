#include "carried.h"

#include <assert.h>
#include <string.h>

enum {
    HEAD_MAX = 1 << 20,
};

/* Returns false when the body has not come whole. */
static bool take_body(struct bytes *body, const struct http_request *request, struct span *input)
{
    struct http_body state;
    struct span piece;
    int result = http_request_body_init(&state, request, UINT64_MAX);
    assert(result == 0);
    while ((result = http_body_next(&state, input, &piece)) == HTTP_BODY_DATA)
        bytes_add(body, piece.ptr, piece.len);
    assert(result >= 0);
    if (result == HTTP_BODY_END)
        return true;
    bytes_free(body);
    return false;
}

bool carried_take(const struct bytes *out, struct bytes *body, struct carried_request *ret)
{
    struct span left = bytes_left(out);
    if (left.len == 0)
        return false;
    int head = http_request_parse(&ret->request, left.ptr, left.len, 0, HEAD_MAX);
    assert(head >= 0 && "a client of the simulation asks for nonsense on a stream");
    if (head == 0)
        return false;
    const struct http_fields *fields = &ret->request.fields;
    struct span rest = span_skip(left, (size_t)head);
    ret->has_body = fields->chunked || fields->content_length > 0;
    ret->key = http_field_find(fields, SPAN("sec-websocket-key"));
    if (!take_body(body, &ret->request, &rest))
        return false;
    ret->size = left.len - rest.len;
    return true;
}

/* Of the fields that clients of the simulation send, those that are not about the connection. */
static bool is_passed_on(struct span name)
{
    return span_equal_nocase(name, SPAN("last-event-id")) ||
           span_equal_nocase(name, SPAN("expect"));
}

static void add(struct carried_field *fields, size_t *count, struct span name, struct span value)
{
    assert(*count < CARRIED_FIELDS_MAX && name.len <= sizeof fields->lower);
    struct carried_field *field = &fields[(*count)++];
    for (size_t i = 0; i < name.len; i++)
        field->lower[i] = (char)span_lower(name.ptr[i]);
    field->name = span_of(field->lower, name.len);
    field->value = value;
}

size_t carried_fields(const struct carried_request *asked, struct span scheme,
                      struct carried_field ret[CARRIED_FIELDS_MAX])
{
    const struct http_request *request = &asked->request;
    size_t count = 0;
    add(ret, &count, SPAN(":method"), asked->key ? SPAN("CONNECT") : request->method_name);
    add(ret, &count, SPAN(":scheme"), scheme);
    add(ret, &count, SPAN(":authority"), SPAN("sim"));
    add(ret, &count, SPAN(":path"), request->target);
    if (asked->key) {
        add(ret, &count, SPAN(":protocol"), SPAN("websocket"));
        add(ret, &count, SPAN("sec-websocket-version"), SPAN("13"));
    }
    for (size_t i = 0; i < request->fields.count; i++)
        if (is_passed_on(request->fields.list[i].name))
            add(ret, &count, request->fields.list[i].name, request->fields.list[i].value);
    return count;
}

/* ---- the way back ---- */

static void text(struct bytes *in, const char *line)
{
    bytes_add(in, line, strlen(line));
}

void carried_head(struct bytes *in, int status, bool ends)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 %d So\r\n%s\r\n", status,
             status < 200 ? ""
             : ends       ? "Content-Length: 0\r\n"
                          : "Transfer-Encoding: chunked\r\n");
    text(in, head);
}

void carried_open(struct bytes *in, const char key[WS_KEY_SIZE])
{
    char head[512];
    int len =
        ws_handshake_answer_write(head, sizeof head, span_of(key, WS_KEY_SIZE), (struct span){0});
    assert(len > 0);
    bytes_add(in, head, (size_t)len);
}

void carried_piece(struct bytes *in, const void *bytes, size_t len)
{
    char head[HTTP_CHUNK_HEAD_MAX];
    if (len == 0)
        return;
    bytes_add(in, head, http_chunk_head_write(head, len));
    bytes_add(in, bytes, len);
    text(in, HTTP_CHUNK_TAIL);
}

void carried_end(struct bytes *in)
{
    text(in, HTTP_CHUNK_LAST);
}
