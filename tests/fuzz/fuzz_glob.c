#include "fuzz.h"
#include "wire/glob.h"

enum {
    PATTERN_MAX = 256,
    TEXT_MAX = 128,
};

/* A pattern, a line feed, and a text. With every character escaped a text stands for itself; and
 * what a pattern stands for, it stands for with stars around it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    const char *end = size > 0 ? memchr(input.ptr, '\n', input.len) : NULL;
    size_t len = end ? (size_t)(end - input.ptr) : input.len;
    struct span pattern = {input.ptr, len};
    struct span text = end ? span_skip(input, len + 1) : (struct span){input.ptr, 0};
    char area[PATTERN_MAX + 2 * TEXT_MAX + 2];
    if (pattern.len > PATTERN_MAX || text.len > TEXT_MAX)
        return 0;
    for (size_t i = 0; i < text.len; i++) {
        area[2 * i] = '\\';
        area[2 * i + 1] = text.ptr[i];
    }
    struct span literal = {area, 2 * text.len};
    assert(glob_valid(literal) && glob_matches(literal, text));
    if (!glob_valid(pattern) || !glob_matches(pattern, text))
        return 0;
    area[0] = area[pattern.len + 1] = '*';
    if (pattern.len > 0)
        memcpy(area + 1, pattern.ptr, pattern.len);
    assert(glob_matches(span_of(area, pattern.len + 2), text));
    return 0;
}
