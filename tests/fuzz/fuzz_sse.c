#include "feed_sse.h"
#include "fuzz.h"

static bool part_equal(struct span a, struct span b)
{
    if (!a.ptr || !b.ptr)
        return a.ptr == b.ptr;
    return span_equal(a, b);
}

/* An event that was read, written and read again is the same event. */
static void round_trip(const struct sse_event *event)
{
    size_t size = sse_event_size(event);
    char *text = malloc(size), *buf = malloc(2 * size);
    assert(text && buf);
    assert(sse_event_write(text, event) == size);
    struct sse_parser parser = {0};
    struct sse_event again;
    struct span input = span_of(text, size);
    assert(sse_parser_next(&parser, &input, buf, 2 * size, &again) == SSE_EVENT);
    assert(part_equal(again.id, event->id) && part_equal(again.event, event->event));
    assert(part_equal(again.data, event->data));
    assert(again.has_retry == event->has_retry && again.retry_ms == event->retry_ms);
    assert(sse_parser_next(&parser, &input, buf, 2 * size, &again) == SSE_MORE);
    free(text);
    free(buf);
}

static void events_hold(struct span input)
{
    char buf[512];
    struct sse_parser parser = {0};
    struct sse_event event;
    while (sse_parser_next(&parser, &input, buf, sizeof buf, &event) == SSE_EVENT) {
        assert(event.data.ptr || event.id.ptr || event.has_retry);
        assert(event.data.ptr || event.data.len == 0);
        assert(event.data.len == 0 || !memchr(event.data.ptr, '\r', event.data.len));
        round_trip(&event);
    }
}

/* The first byte is the size of the buffer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    size_t buf_size = fuzz_choice(&input);
    struct transcript whole = {0};
    feed_sse(input, input.len, 0, buf_size, &whole);
    for (size_t which = 0; which < FUZZ_CUTS; which++) {
        struct transcript split = {0};
        size_t first;
        uint64_t step;
        fuzz_cut(input, which, &first, &step);
        feed_sse(input, first, step, buf_size, &split);
        assert(span_equal(transcript_span(&split), transcript_span(&whole)));
        transcript_free(&split);
    }
    transcript_free(&whole);
    events_hold(input);
    return 0;
}
