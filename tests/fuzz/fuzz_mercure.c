#include <stdlib.h>

#include "fuzz.h"
#include "transport/mercure_update.h"

static bool same(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* What a form says is what the payload that is made of it says. */
static void form(struct span input)
{
    char *scratch = malloc(input.len + 1);
    struct mercure_update update, again;
    enum refusal refusal;
    assert(scratch);
    if (mercure_update_read_form(&update, input, scratch, &refusal)) {
        size_t size = mercure_update_size(&update);
        char *payload = malloc(size);
        assert(payload);
        mercure_update_write(payload, &update);
        mercure_update_read(&again, span_of(payload, size));
        assert(again.topic_count == update.topic_count && again.private == update.private);
        for (unsigned i = 0; i < again.topic_count; i++)
            assert(same(again.topics[i], update.topics[i]));
        assert(same(again.type, update.type) && same(again.id, update.id));
        assert(same(again.data, update.data) && !again.data.ptr == !update.data.ptr);
        free(payload);
    } else {
        assert(refusal == REFUSAL_NO_TOPIC || refusal == REFUSAL_BAD_TOPIC ||
               refusal == REFUSAL_BAD_UPDATE);
    }
    free(scratch);
}

/* The input is a form, and the claim of a token. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size), list;
    static struct mercure_selectors selectors;
    selectors.count = selectors.bytes = 0;
    form(input);
    if (mercure_claim_list(input, SPAN("subscribe"), &list)) {
        mercure_selectors_add_json(&selectors, list);
        size_t bytes = 0;
        assert(selectors.count <= MERCURE_SELECTORS_MAX);
        for (unsigned i = 0; i < selectors.count; i++)
            bytes += selectors.len[i];
        assert(bytes == selectors.bytes && bytes <= MERCURE_SELECTORS_BYTES);
        mercure_selectors_match(&selectors, SPAN("https://shop.example/orders/17"));
    }
    return 0;
}
