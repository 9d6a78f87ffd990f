/* The opening handshake (RFC 6455 section 4). */
#include <assert.h>
#include <bearssl.h>

#include "wire/base64.h"
#include "wire/out.h"
#include "wire/ws.h"

#define KEY_BYTES 16

static_assert(WS_KEY_SIZE == BASE64_SIZE(KEY_BYTES), "");
static_assert(WS_ACCEPT_SIZE == BASE64_SIZE(br_sha1_SIZE), "");

/* Whether a field that is a list, perhaps over several lines, has the member. */
static bool fields_list_has(const struct http_fields *fields, struct span name, struct span member)
{
    for (size_t i = 0; i < fields->count; i++)
        if (span_equal_nocase(fields->list[i].name, name) &&
            http_list_has(fields->list[i].value, member))
            return true;
    return false;
}

static bool key_valid(struct span key)
{
    char bytes[KEY_BYTES];
    return key.len == WS_KEY_SIZE && base64_decode(bytes, sizeof bytes, key) == KEY_BYTES;
}

void ws_accept_key(char ret_accept[WS_ACCEPT_SIZE], struct span key)
{
    struct span guid = SPAN("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    unsigned char digest[br_sha1_SIZE];
    br_sha1_context sha1;
    br_sha1_init(&sha1);
    br_sha1_update(&sha1, key.ptr, key.len);
    br_sha1_update(&sha1, guid.ptr, guid.len);
    br_sha1_out(&sha1, digest);
    base64_encode(ret_accept, span_of((const char *)digest, sizeof digest));
}

bool ws_handshake_wanted(const struct http_request *request)
{
    return fields_list_has(&request->fields, SPAN("upgrade"), SPAN("websocket"));
}

/* RFC 8441 section 5: there is no key, since nothing but HTTP/2 could have been meant. */
static int extended_check(const struct http_request *request)
{
    const struct http_field *version =
        http_field_find(&request->fields, SPAN("sec-websocket-version"));
    if (!span_equal_nocase(request->protocol, SPAN("websocket")))
        return WS_HANDSHAKE_UPGRADE;
    return !version || span_equal(version->value, SPAN("13")) ? 0 : WS_HANDSHAKE_VERSION;
}

int ws_handshake_check(const struct http_request *request, struct span *ret_key)
{
    const struct http_fields *fields = &request->fields;
    *ret_key = (struct span){0};
    if (request->protocol.len > 0)
        return extended_check(request);
    if (request->method != HTTP_GET)
        return WS_HANDSHAKE_METHOD;
    if (!fields->connection_upgrade || !ws_handshake_wanted(request))
        return WS_HANDSHAKE_UPGRADE;
    if (fields->chunked || fields->content_length > 0)
        return WS_HANDSHAKE_BODY;
    const struct http_field *version = http_field_single(fields, SPAN("sec-websocket-version"));
    if (!version || !span_equal(version->value, SPAN("13")))
        return WS_HANDSHAKE_VERSION;
    const struct http_field *key = http_field_single(fields, SPAN("sec-websocket-key"));
    if (!key || !key_valid(key->value))
        return WS_HANDSHAKE_KEY;
    *ret_key = key->value;
    return 0;
}

bool ws_handshake_offers(const struct http_request *request, struct span protocol)
{
    return fields_list_has(&request->fields, SPAN("sec-websocket-protocol"), protocol);
}

int ws_handshake_answer_check(const struct http_response *response, struct span key)
{
    const struct http_fields *fields = &response->fields;
    if (response->status != 101)
        return WS_HANDSHAKE_STATUS;
    if (!fields->connection_upgrade || !fields_list_has(fields, SPAN("upgrade"), SPAN("websocket")))
        return WS_HANDSHAKE_UPGRADE;
    char expected[WS_ACCEPT_SIZE];
    ws_accept_key(expected, key);
    const struct http_field *accept = http_field_single(fields, SPAN("sec-websocket-accept"));
    if (!accept || !span_equal(accept->value, span_of(expected, sizeof expected)))
        return WS_HANDSHAKE_ACCEPT;
    if (http_field_find(fields, SPAN("sec-websocket-extensions")))
        return WS_HANDSHAKE_EXTENSION;
    return 0;
}

int ws_handshake_answer_write(char *buf, size_t size, struct span key, struct span extra)
{
    assert(key_valid(key));
    char accept[WS_ACCEPT_SIZE];
    ws_accept_key(accept, key);
    struct out out = out_begin(buf, size);
    out_text(&out, "HTTP/1.1 101 Switching Protocols\r\n"
                   "Upgrade: websocket\r\n"
                   "Connection: Upgrade\r\n"
                   "Sec-WebSocket-Accept: ");
    out_span(&out, span_of(accept, sizeof accept));
    out_text(&out, "\r\n");
    out_span(&out, extra);
    out_text(&out, "\r\n");
    return out_end(&out);
}

int ws_handshake_request_write(char *buf, size_t size, struct span target, struct span host,
                               struct span key, struct span extra)
{
    assert(target.len > 0 && host.len > 0 && key_valid(key));
    struct out out = out_begin(buf, size);
    out_text(&out, "GET ");
    out_span(&out, target);
    out_text(&out, " HTTP/1.1\r\nHost: ");
    out_span(&out, host);
    out_text(&out, "\r\n"
                   "Upgrade: websocket\r\n"
                   "Connection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: ");
    out_span(&out, key);
    out_text(&out, "\r\n");
    out_span(&out, extra);
    out_text(&out, "\r\n");
    return out_end(&out);
}
