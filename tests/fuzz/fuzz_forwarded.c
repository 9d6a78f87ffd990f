#include "fuzz.h"
#include "wire/address.h"
#include "wire/forwarded.h"

/* What stands last is read whatever stands before it. */
static void lies_change_nothing(struct span value, enum forwarded_form form,
                                const struct in6_addr *expected)
{
    static const struct span lies[] = {SPAN_INIT("for=\","), SPAN_INIT("1.1.1.1,"),
                                       SPAN_INIT("\\\"\",;for=,")};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct transcript text = {0};
        struct in6_addr found;
        transcript_add(&text, lies[i]);
        transcript_add(&text, value);
        struct span longer = transcript_span(&text);
        int result = forwarded_last(&longer, form, &found);
        assert(result == 1 && memcmp(&found, expected, sizeof found) == 0);
        transcript_free(&text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span value = fuzz_input(data, size);
    enum forwarded_form form = fuzz_choice(&value) % 2 ? FORWARDED_RFC : FORWARDED_FOR;
    struct span rest = value;
    struct in6_addr address;
    int result = 1;
    while (result == 1) {
        struct span before = rest;
        result = forwarded_last(&rest, form, &address);
        assert(rest.ptr == value.ptr);
        assert(result != 1 || rest.len < before.len);
        assert(result != 0 || rest.len == 0);
        if (result == 1) {
            assert(address_key(&address) != 0);
            lies_change_nothing(before, form, &address);
        }
    }
    return 0;
}
