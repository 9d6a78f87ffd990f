#include "fuzz.h"
#include "wire/json_out.h"

/* Reads one character of a JSON string as RFC 8259 section 7 defines it, up to \u00ff. */
static char unescape(struct span *text)
{
    static const char escapes[] = "\"\"\\\\b\bf\fn\nr\rt\t";
    char c = text->ptr[0];
    *text = span_skip(*text, 1);
    assert((uint8_t)c >= 0x20 && c != '"');
    if (c != '\\')
        return c;
    c = text->ptr[0];
    *text = span_skip(*text, 1);
    for (size_t i = 0; i + 1 < sizeof escapes; i += 2)
        if (escapes[i] == c)
            return escapes[i + 1];
    assert(c == 'u' && text->len >= 4);
    char digits[5] = {0};
    memcpy(digits, text->ptr, 4);
    *text = span_skip(*text, 4);
    return (char)strtoul(digits, NULL, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    size_t json_size = json_string_size(input);
    char *json = malloc(json_size);
    assert(json && json_size <= size * JSON_ESCAPE_MAX + 2);
    assert(json_string_write(json, input) == json_size);
    assert(json[0] == '"' && json[json_size - 1] == '"');
    struct span text = span_of(json + 1, json_size - 2);
    for (size_t i = 0; i < input.len; i++) {
        assert(text.len > 0);
        assert(unescape(&text) == input.ptr[i]);
    }
    assert(text.len == 0);
    free(json);
    return 0;
}
