#include "fuzz.h"
#include "wire/ws.h"
#include "wire/ws_deflate.h"

static int judge(struct span value, unsigned window_bits)
{
    struct http_fields fields = {.count = 1};
    fields.list[0] = (struct http_field){SPAN("Sec-WebSocket-Extensions"), value};
    return ws_deflate_judge(&fields, window_bits);
}

/* The value of a field. A smaller window never makes an offer worse, and a second field that offers
 * the plain thing makes all that are lists good. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    int wide = judge(input, 15), narrow = judge(input, 9);
    assert((wide < 0) == (narrow < 0) && narrow >= wide);
    assert(wide >= 0 ? wide <= WS_DEFLATE_ACCEPTED : wide == WS_HANDSHAKE_EXTENSION);
    struct http_fields both = {.count = 2};
    both.list[0] = (struct http_field){SPAN("sec-websocket-extensions"), input};
    both.list[1] =
        (struct http_field){SPAN("Sec-WebSocket-Extensions"), SPAN("permessage-deflate")};
    assert(ws_deflate_judge(&both, 12) == (wide < 0 ? wide : WS_DEFLATE_ACCEPTED));
    return 0;
}
