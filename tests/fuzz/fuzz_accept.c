#include "fuzz.h"
#include "wire/accept.h"

/* The value of Accept-Encoding. A second field that takes the coding by name makes it taken; one
 * that is about others changes nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_fields fields = {.count = 1};
    fields.list[0] = (struct http_field){SPAN("Accept-Encoding"), fuzz_input(data, size)};
    bool taken = accept_coding(&fields, SPAN("gzip"));
    fields.count = 2;
    fields.list[1] = (struct http_field){SPAN("Accept-Encoding"), SPAN("br;q=0")};
    assert(accept_coding(&fields, SPAN("gzip")) == taken);
    fields.list[1].value = SPAN("gzip");
    assert(accept_coding(&fields, SPAN("gzip")));
    return 0;
}
