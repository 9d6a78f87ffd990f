#include <stdio.h>

#include "fuzz.h"
#include "wire/base64.h"
#include "wire/hook_head.h"
#include "wire/out.h"

enum {
    NAMES = 3,
    VALUE_MAX = 8192,
};

static const struct span names[][NAMES] = {
    [HOOK_STANDARD] = {SPAN_INIT("webhook-id"), SPAN_INIT("Webhook-Timestamp"),
                       SPAN_INIT("webhook-signature")},
    [HOOK_GITHUB] = {SPAN_INIT("x-github-delivery"), SPAN_INIT("X-Hub-Signature-256"),
                     SPAN_INIT("X-Hub-Signature")},
    [HOOK_STRIPE] = {SPAN_INIT("stripe-signature"), SPAN_INIT("Date"), SPAN_INIT("Host")},
};

static void field_add(struct http_fields *fields, struct span name, struct span value)
{
    if (fields->count < HTTP_FIELDS_MAX)
        fields->list[fields->count++] = (struct http_field){name, value};
}

static void macs_write(struct out *out, enum hook_scheme scheme, const struct hook_head *head)
{
    static const struct span marks[] = {SPAN_INIT("v1,"), SPAN_INIT("sha256="), SPAN_INIT(",v1=")};
    for (unsigned i = 0; i < head->mac_count; i++) {
        char text[2 * HOOK_MAC_BYTES + 1];
        size_t len = 2 * (size_t)HOOK_MAC_BYTES;
        if (scheme == HOOK_STANDARD)
            len = base64_encode(text, span_of((const char *)head->macs[i], HOOK_MAC_BYTES));
        for (size_t k = 0; k < HOOK_MAC_BYTES && scheme != HOOK_STANDARD; k++)
            snprintf(text + 2 * k, 3, "%02x", head->macs[i][k]);
        out_span(out, marks[scheme]);
        out_span(out, span_of(text, len));
        if (scheme == HOOK_STANDARD)
            out_text(out, " ");
    }
}

/* What was read and is written again is what was read. */
static void again(enum hook_scheme scheme, const struct hook_head *head)
{
    char text[VALUE_MAX], digits[DIGITS_DECIMAL_MAX];
    struct out out = out_begin(text, sizeof text);
    struct span time = {digits, digits_decimal_write(digits, (uint64_t)head->timestamp_s)};
    struct http_fields fields = {0};
    struct hook_head found;
    if (scheme == HOOK_STRIPE) {
        out_text(&out, "t=");
        out_span(&out, time);
    }
    macs_write(&out, scheme, head);
    struct span signature = {text, (size_t)out_end(&out)}, id = {head->id, head->id_len};
    if (scheme != HOOK_STRIPE)
        field_add(&fields, names[scheme][0], id);
    if (scheme == HOOK_STANDARD)
        field_add(&fields, names[scheme][1], time);
    field_add(&fields,
              names[scheme][scheme == HOOK_STRIPE   ? 0
                            : scheme == HOOK_GITHUB ? 1
                                                    : 2],
              signature);
    assert(hook_head_read(&found, scheme, &fields) == 0);
    assert(found.timestamp_s == head->timestamp_s && found.mac_count == head->mac_count);
    assert(span_equal(span_of(found.id, found.id_len), id));
    assert(memcmp(found.macs, head->macs, head->mac_count * sizeof head->macs[0]) == 0);
}

/* The first byte chooses the scheme. Each line is a field's value, its first byte that field. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    enum hook_scheme scheme = (enum hook_scheme)(fuzz_choice(&input) % NAMES);
    struct http_fields fields = {0};
    while (input.len > 0) {
        const char *end = memchr(input.ptr, '\n', input.len);
        struct span line = {input.ptr, end ? (size_t)(end - input.ptr) : input.len};
        input = span_skip(input, line.len + (end != NULL));
        uint8_t which = fuzz_choice(&line) % NAMES;
        field_add(&fields, names[scheme][which], line);
    }
    struct hook_head head;
    if (hook_head_read(&head, scheme, &fields) < 0)
        return 0;
    char prefix[HOOK_PREFIX_MAX];
    struct span signed_first = hook_head_prefix(prefix, scheme, &head);
    assert(head.mac_count > 0 && head.mac_count <= HOOK_MACS_MAX);
    assert((signed_first.len == 0) == (scheme == HOOK_GITHUB));
    assert((head.id_len == 0) == (scheme == HOOK_STRIPE));
    again(scheme, &head);
    return 0;
}
