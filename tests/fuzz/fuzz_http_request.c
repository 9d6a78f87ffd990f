#include "feed_http.h"
#include "fuzz.h"
#include "wire/ws.h"

#define HEAD_MAX 2048

static void fields_hold(const struct http_fields *fields)
{
    assert(fields->count <= HTTP_FIELDS_MAX);
    assert(!(fields->chunked && (fields->has_content_length || fields->minor_version == 0)));
    assert(fields->has_content_length || fields->content_length == 0);
    for (size_t i = 0; i < fields->count; i++) {
        struct span value = fields->list[i].value;
        assert(fields->list[i].name.len > 0);
        for (size_t k = 0; k < value.len; k++)
            assert(value.ptr[k] != '\r' && value.ptr[k] != '\n' && value.ptr[k] != '\0');
    }
}

static void request_holds(const struct http_request *request, int len)
{
    struct span key;
    assert(len <= HEAD_MAX);
    fields_hold(&request->fields);
    assert(request->target.len > 0 && request->method_name.len > 0);
    assert(request->fields.minor_version == 0 || request->host.len > 0);
    assert(request->path.len > 0 || request->method == HTTP_CONNECT);
    if (ws_handshake_check(request, &key) == 0)
        assert(key.len == WS_KEY_SIZE && ws_handshake_wanted(request));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    struct transcript whole = {0};
    struct http_request request;
    int result = feed_request(input, input.len, 0, HEAD_MAX, &whole);
    for (size_t which = 0; which < FUZZ_CUTS; which++) {
        struct transcript split = {0};
        size_t first;
        uint64_t step;
        fuzz_cut(input, which, &first, &step);
        feed_request(input, first, step, HEAD_MAX, &split);
        assert(span_equal(transcript_span(&split), transcript_span(&whole)));
        transcript_free(&split);
    }
    transcript_free(&whole);
    if (result > 0) {
        /* The head alone says the same. */
        int len = http_request_parse(&request, input.ptr, (size_t)result, 0, HEAD_MAX);
        assert(len == result);
        request_holds(&request, len);
    } else if (result < 0) {
        assert(http_error_name((enum http_error)result));
    }
    return 0;
}
