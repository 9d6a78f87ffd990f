#include "fuzz.h"
#include "wire/webtransport.h"

/* A list that has a name has it also behind another member; a head that was read is written and
 * read again; and a code of an application is its error's. */

static void check_list(struct span input)
{
    static const char before[] = "\"other\", ";
    bool has = webtransport_list_has(input, SPAN("ringside"));
    size_t len = sizeof before - 1 + input.len;
    char *longer = malloc(len);
    assert(longer);
    memcpy(longer, before, sizeof before - 1);
    if (input.len > 0)
        memcpy(longer + sizeof before - 1, input.ptr, input.len);
    assert(webtransport_list_has(span_of(longer, len), SPAN("ringside")) == has);
    free(longer);
}

static void check_head(struct span input)
{
    struct webtransport_head head, again;
    struct span rest = input;
    uint8_t made[WEBTRANSPORT_HEAD_MAX];
    if (webtransport_head_take(&rest, &head) != WEBTRANSPORT_DATAGRAM)
        return;
    assert(rest.len <= input.len && head.session % 4 == 0);
    size_t len = varint_write(made, head.session / 4);
    len += webtransport_number_write(made + len, head.number, head.sequence);
    struct span bytes = span_of((const char *)made, len);
    assert(webtransport_head_take(&bytes, &again) == WEBTRANSPORT_DATAGRAM && bytes.len == 0);
    assert(again.session == head.session && again.number == head.number &&
           again.sequence == head.sequence);
}

static void check_code(struct span input)
{
    uint64_t error;
    uint32_t code;
    if (varint_read(input, &error) > 0 && webtransport_code(error, &code))
        assert(webtransport_error(code) == error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    check_list(input);
    check_head(input);
    check_code(input);
    return 0;
}
