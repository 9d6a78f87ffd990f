#include "fuzz.h"
#include "wire/topic.h"

/* A selector, a zero, a topic. Every topic is named by itself and by the star; what has no brace
 * names nothing else. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    const char *zero = memchr(input.ptr, 0, input.len);
    struct span selector = {input.ptr, zero ? (size_t)(zero - input.ptr) : input.len};
    struct span topic = zero ? span_skip(input, selector.len + 1) : input;
    bool found = topic_matches(selector, topic);
    bool plain = !memchr(selector.ptr, '{', selector.len) && !span_equal(selector, SPAN("*"));
    assert(!plain || found == span_equal(selector, topic));
    assert(topic_matches(topic, topic) && topic_matches(SPAN("*"), topic));
    return 0;
}
