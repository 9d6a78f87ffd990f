#include "feed_http.h"
#include "fuzz.h"
#include "wire/ws.h"

#define HEAD_MAX 2048

/* Reads the body that follows the head, for each kind of request that it may answer. */
static void bodies_read(const struct http_response *response, struct span rest)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_CONNECT};
    for (size_t i = 0; i < 3; i++) {
        struct http_body body;
        struct span input = rest, payload;
        int result = http_response_body_init(&body, response, methods[i], 1024);
        if (result < 0)
            continue;
        while ((result = http_body_next(&body, &input, &payload)) == HTTP_BODY_DATA)
            assert(payload.len > 0 && payload.ptr + payload.len == input.ptr);
        assert(result < 0 || result == HTTP_BODY_END || input.len == 0);
        assert(result != HTTP_BODY_END || http_body_finish(&body) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    struct transcript whole = {0};
    struct http_response response;
    int result = feed_response(input, input.len, 0, HEAD_MAX, &whole);
    for (size_t which = 0; which < FUZZ_CUTS; which++) {
        struct transcript split = {0};
        size_t first;
        uint64_t step;
        fuzz_cut(input, which, &first, &step);
        feed_response(input, first, step, HEAD_MAX, &split);
        assert(span_equal(transcript_span(&split), transcript_span(&whole)));
        transcript_free(&split);
    }
    transcript_free(&whole);
    if (result > 0) {
        int len = http_response_parse(&response, input.ptr, (size_t)result, 0, HEAD_MAX);
        assert(len == result && len <= HEAD_MAX);
        assert(response.status >= 100 && response.status <= 999);
        assert(!(response.fields.chunked && response.fields.has_content_length));
        (void)ws_handshake_answer_check(&response, SPAN("dGhlIHNhbXBsZSBub25jZQ=="));
        bodies_read(&response, span_skip(input, (size_t)len));
    }
    return 0;
}
