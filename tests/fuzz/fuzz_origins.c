#include "fuzz.h"

#include "http/origins.h"

static struct http_request request_of(struct span origin)
{
    struct http_request request = {.method = HTTP_GET};
    request.fields.list[0].name = SPAN("Origin");
    request.fields.list[0].value = origin;
    request.fields.count = 1;
    return request;
}

/* Who is allowed is told so, and nobody else. */
static enum origin_verdict judge(const struct origins *origins, struct span origin)
{
    uint8_t kept;
    const struct http_request request = request_of(origin);
    enum origin_verdict verdict = origins_check(origins, &request, &kept);
    assert(verdict != ORIGIN_NONE);
    if (!origins_any(origins))
        assert((origins_fields(origins, kept).len > 0) == (verdict == ORIGIN_ALLOWED));
    return verdict;
}

/* A list as an operator writes it, and behind a line feed what a browser sends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[256] = "";
    struct span input = fuzz_input(data, size);
    const char *end = size > 0 ? memchr(input.ptr, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - input.ptr) : size;
    char *list = malloc(len + 1);
    assert(list);
    memcpy(list, len > 0 ? input.ptr : "", len);
    list[len] = '\0';
    struct origins *origins;
    if (origins_create(&origins, list, why, sizeof why) < 0) {
        assert(why[0] != '\0' && strlen(why) < sizeof why);
        free(list);
        return 0;
    }
    judge(origins, end ? span_skip(input, len + 1) : (struct span){0});
    char *rest = list;
    for (char *name; (name = strsep(&rest, " ")) != NULL;)
        if (*name)
            assert(judge(origins, span_from(name)) == ORIGIN_ALLOWED);
    origins_free(origins);
    free(list);
    return 0;
}
