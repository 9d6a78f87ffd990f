#include "fuzz.h"
#include "wire/ws.h"

enum {
    HEAD_MAX = 2048,
};

/* An answer to a key that was taken is one that a client takes. */
static void answer_holds(struct span key)
{
    char buf[512];
    struct http_response response;
    int len = ws_handshake_answer_write(buf, sizeof buf, key, (struct span){0});
    assert(len > 0);
    assert(http_response_parse(&response, buf, (size_t)len, 0, HEAD_MAX) == len);
    assert(ws_handshake_answer_check(&response, key) == 0);
}

static void server_side(struct span input)
{
    struct http_request request;
    struct span key = {0};
    if (http_request_parse(&request, input.ptr, input.len, 0, HEAD_MAX) <= 0)
        return;
    (void)ws_handshake_offers(&request, SPAN("centrifuge"));
    int result = ws_handshake_check(&request, &key);
    if (result < 0) {
        assert(!key.ptr && ws_handshake_error_name((enum ws_handshake_error)result));
        assert(ws_handshake_error_status((enum ws_handshake_error)result) >= 400);
        return;
    }
    assert(ws_handshake_wanted(&request) && request.method == HTTP_GET);
    answer_holds(key);
}

static void client_side(struct span input)
{
    struct span key = SPAN("dGhlIHNhbXBsZSBub25jZQ==");
    struct http_response response;
    if (http_response_parse(&response, input.ptr, input.len, 0, HEAD_MAX) <= 0)
        return;
    int result = ws_handshake_answer_check(&response, key);
    assert(result <= 0 && (result == 0) <= (response.status == 101));
}

/* A head as it comes to a server, and as it comes to a client. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    server_side(fuzz_input(data, size));
    client_side(fuzz_input(data, size));
    return 0;
}
