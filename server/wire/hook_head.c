#include "wire/hook_head.h"

#include <assert.h>
#include <errno.h>

#include "wire/base64.h"
#include "wire/out.h"

enum {
    TIMESTAMP_DIGITS_MAX = 12,
};

static int timestamp_read(int64_t *ret, struct span text)
{
    int64_t value = 0;
    if (text.len == 0 || text.len > TIMESTAMP_DIGITS_MAX || text.ptr[0] == '0')
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -EINVAL;
        value = value * 10 + (text.ptr[i] - '0');
    }
    *ret = value;
    return 0;
}

static int id_read(struct hook_head *head, const struct http_field *field)
{
    if (!field || field->value.len == 0 || field->value.len > HOOK_ID_MAX)
        return -EINVAL;
    for (size_t i = 0; i < field->value.len; i++) {
        char c = field->value.ptr[i];
        if (c <= ' ' || c > '~' || c == '.')
            return -EINVAL;
        head->id[i] = c;
    }
    head->id_len = (uint8_t)field->value.len;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_mac_read(unsigned char mac[HOOK_MAC_BYTES], struct span hex)
{
    if (hex.len != 2 * (size_t)HOOK_MAC_BYTES)
        return -EINVAL;
    for (size_t i = 0; i < HOOK_MAC_BYTES; i++) {
        int high = hex_digit(hex.ptr[2 * i]), low = hex_digit(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        mac[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

static int base64_mac_read(unsigned char mac[HOOK_MAC_BYTES], struct span text)
{
    char bytes[HOOK_MAC_BYTES];
    if (base64_decode(bytes, sizeof bytes, text) != HOOK_MAC_BYTES)
        return -EINVAL;
    memcpy(mac, bytes, sizeof bytes);
    return 0;
}

static int mac_add(struct hook_head *head, struct span text,
                   int (*read)(unsigned char mac[HOOK_MAC_BYTES], struct span text))
{
    if (head->mac_count == HOOK_MACS_MAX || read(head->macs[head->mac_count], text) < 0)
        return -EINVAL;
    head->mac_count++;
    return 0;
}

/* The next part of a list, which is never empty: the list ends with the text. */
static struct span part_take(struct span *list, char separator)
{
    const char *end = memchr(list->ptr, separator, list->len);
    struct span part = {list->ptr, end ? (size_t)(end - list->ptr) : list->len};
    *list = span_skip(*list, part.len + (end != NULL));
    return part;
}

static bool prefix_take(struct span *text, struct span prefix)
{
    if (text->len < prefix.len || memcmp(text->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    *text = span_skip(*text, prefix.len);
    return true;
}

static int standard_read(struct hook_head *head, const struct http_fields *fields)
{
    const struct http_field *timestamp = http_field_single(fields, SPAN("webhook-timestamp"));
    const struct http_field *signature = http_field_single(fields, SPAN("webhook-signature"));
    if (!timestamp || !signature ||
        id_read(head, http_field_single(fields, SPAN("webhook-id"))) < 0)
        return -EINVAL;
    for (struct span list = signature->value; list.len > 0;) {
        struct span part = part_take(&list, ' ');
        if (prefix_take(&part, SPAN("v1,")) && mac_add(head, part, base64_mac_read) < 0)
            return -EINVAL;
    }
    return timestamp_read(&head->timestamp_s, timestamp->value);
}

static int github_read(struct hook_head *head, const struct http_fields *fields)
{
    const struct http_field *signature = http_field_single(fields, SPAN("X-Hub-Signature-256"));
    if (!signature || id_read(head, http_field_single(fields, SPAN("X-GitHub-Delivery"))) < 0)
        return -EINVAL;
    struct span text = signature->value;
    return prefix_take(&text, SPAN("sha256=")) ? mac_add(head, text, hex_mac_read) : -EINVAL;
}

static int stripe_read(struct hook_head *head, const struct http_fields *fields)
{
    const struct http_field *signature = http_field_single(fields, SPAN("Stripe-Signature"));
    for (struct span list = signature ? signature->value : SPAN(""); list.len > 0;) {
        struct span part = part_take(&list, ',');
        if (prefix_take(&part, SPAN("t="))) {
            if (head->timestamp_s != 0 || timestamp_read(&head->timestamp_s, part) < 0)
                return -EINVAL;
        } else if (prefix_take(&part, SPAN("v1=")) && mac_add(head, part, hex_mac_read) < 0)
            return -EINVAL;
    }
    return head->timestamp_s != 0 ? 0 : -EINVAL;
}

int hook_head_read(struct hook_head *ret, enum hook_scheme scheme, const struct http_fields *fields)
{
    static int (*const readers[])(struct hook_head *, const struct http_fields *) = {
        [HOOK_STANDARD] = standard_read,
        [HOOK_GITHUB] = github_read,
        [HOOK_STRIPE] = stripe_read,
    };
    ret->timestamp_s = 0;
    ret->mac_count = 0;
    ret->id_len = 0;
    int err = readers[scheme](ret, fields);
    return err == 0 && ret->mac_count == 0 ? -EINVAL : err;
}

struct span hook_head_prefix(char buf[HOOK_PREFIX_MAX], enum hook_scheme scheme,
                             const struct hook_head *head)
{
    struct out out = out_begin(buf, HOOK_PREFIX_MAX);
    if (scheme == HOOK_STANDARD) {
        out_span(&out, span_of(head->id, head->id_len));
        out_text(&out, ".");
    }
    if (scheme != HOOK_GITHUB) {
        out_decimal(&out, (uint64_t)head->timestamp_s);
        out_text(&out, ".");
    }
    return span_of(buf, (size_t)out_end(&out));
}
