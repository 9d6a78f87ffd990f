#include "fuzz.h"
#include "wire/http.h"

/* Writes every byte as an escape. */
static void escape(struct span text, struct transcript *ret)
{
    for (size_t i = 0; i < text.len; i++) {
        char escaped[4];
        snprintf(escaped, sizeof escaped, "%%%02X", (uint8_t)text.ptr[i]);
        transcript_add(ret, span_of(escaped, 3));
    }
}

/* Walks the query and writes it anew, fully escaped. Returns what the walk ended with. */
static int rewrite(struct span query, size_t scratch_size, struct transcript *ret)
{
    struct http_query walk;
    struct span name, value;
    char *scratch = malloc(scratch_size > 0 ? scratch_size : 1);
    int result;
    assert(scratch);
    http_query_init(&walk, query, scratch, scratch_size);
    while ((result = http_query_next(&walk, &name, &value)) == 1) {
        escape(name, ret);
        transcript_add(ret, SPAN("="));
        escape(value, ret);
        transcript_add(ret, SPAN("&"));
    }
    free(scratch);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    size_t scratch_size = fuzz_choice(&input);
    struct transcript once = {0}, twice = {0};
    /* As many bytes as the query has are always enough. */
    int result = rewrite(input, input.len, &once);
    assert(result == 0 || result == HTTP_ERROR_QUERY);
    assert(rewrite(transcript_span(&once), once.len, &twice) == 0);
    assert(span_equal(transcript_span(&once), transcript_span(&twice)));
    transcript_free(&twice);
    (void)rewrite(input, scratch_size, &twice);
    transcript_free(&once);
    transcript_free(&twice);
    return 0;
}
