#include <stdlib.h>

#include "fuzz.h"
#include "transport/mercure_subscription.h"
#include "transport/mercure_update.h"
#include "wire/json_scan.h"

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

/* A path is read to values, and these are written to a path that is read to the same. */
static void path(struct span input)
{
    struct mercure_path read, again;
    struct span prefix = SPAN(MERCURE_SUBSCRIPTIONS);
    size_t len = prefix.len + input.len;
    char *whole = malloc(2 * len), *scratch = whole + len;
    char id[MERCURE_SUBSCRIPTION_ID_MAX], other[sizeof id];
    assert(whole);
    memcpy(whole, prefix.ptr, prefix.len);
    if (input.len > 0)
        memcpy(whole + prefix.len, input.ptr, input.len);
    int found = mercure_path_read(&read, span_of(whole, len), scratch);
    assert(found >= -1 && found <= 1 && read.parts <= 2);
    if (found == 1 && read.parts == 2 && read.topic.len <= TOPIC_BYTES_MAX &&
        read.subscriber.len <= MERCURE_SUBSCRIBER_LEN) {
        const struct mercure_subscription subscription = {.topic = read.topic,
                                                          .subscriber = read.subscriber};
        size_t size = mercure_subscription_id_write(id, &subscription);
        assert(mercure_topic_is_reserved(span_of(id, size)));
        assert(mercure_path_read(&again, span_of(id, size), other) == 1);
        assert(again.parts == 2 && same(again.topic, read.topic) &&
               same(again.subscriber, read.subscriber));
    }
    free(whole);
}

/* What a token wants to be told is one value of JSON. */
static void payload(struct span claim)
{
    struct span value;
    struct json_members members = json_members_begin(claim);
    struct json_member member;
    int more;
    while ((more = json_members_next(&members, &member)) > 0)
        continue;
    if (more == 0 && mercure_claim_payload(claim, &value))
        assert(json_valid(value));
}

/* The input is a form, a path, and the claim of a token. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size), list;
    static struct mercure_selectors selectors;
    selectors.count = selectors.bytes = 0;
    form(input);
    path(input);
    payload(input);
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
