#include "fuzz.h"
#include "wire/position.h"

#define PLACES_MAX 8

/* The form is canonical: what parses is what would have been written. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct position places[PLACES_MAX];
    char token[POSITION_TOKEN_MAX(PLACES_MAX)];
    struct span input = fuzz_input(data, size);
    int count = position_parse(places, PLACES_MAX, input);
    if (count > 0) {
        assert(position_size(places, (size_t)count) == input.len);
        assert(input.len <= sizeof token);
        assert(position_write(token, places, (size_t)count) == input.len);
        assert(span_equal(span_of(token, input.len), input));
    }
    return 0;
}
