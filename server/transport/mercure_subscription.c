#include "transport/mercure_subscription.h"

#include <assert.h>
#include <string.h>

#include "wire/json_out.h"

static const char hex[] = "0123456789abcdef";

/* RFC 9562 section 5.4: version 4. */
void mercure_subscriber_write(char buf[MERCURE_SUBSCRIBER_LEN], const unsigned char random[16])
{
    struct out out = out_begin(buf, MERCURE_SUBSCRIBER_LEN);
    out_text(&out, "urn:uuid:");
    for (unsigned i = 0; i < 16; i++) {
        unsigned byte = random[i];
        if (i == 6)
            byte = 0x40 | (byte & 15);
        if (i == 8)
            byte = 0x80 | (byte & 63);
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out_text(&out, "-");
        out_span(&out, span_of(&hex[byte >> 4], 1));
        out_span(&out, span_of(&hex[byte & 15], 1));
    }
    assert(!out.overflow && out.at == out.end);
}

/* ---- a path ---- */

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           memchr("-._~", c, 4);
}

static void encoded_write(struct out *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        const char escaped[] = {'%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]};
        if (is_unreserved(text.ptr[i]))
            out_span(out, span_of(&text.ptr[i], 1));
        else
            out_span(out, span_of(escaped, sizeof escaped));
    }
}

size_t mercure_subscription_id_write(char buf[MERCURE_SUBSCRIPTION_ID_MAX],
                                     const struct mercure_subscription *subscription)
{
    struct out out = out_begin(buf, MERCURE_SUBSCRIPTION_ID_MAX);
    out_text(&out, MERCURE_SUBSCRIPTIONS "/");
    encoded_write(&out, subscription->topic);
    out_text(&out, "/");
    encoded_write(&out, subscription->subscriber);
    assert(!out.overflow);
    return (size_t)(out.at - out.start);
}

static int digit_of(char c)
{
    const char *at = c ? strchr(hex, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    return at ? (int)(at - hex) : -1;
}

/* Takes a segment off the front of `rest`, which begins with its '/'. Returns false when it is
 * wrongly encoded. */
static bool segment_take(struct span *ret, struct span *rest, char **scratch)
{
    struct span from = span_skip(*rest, 1);
    const char *slash = from.len > 0 ? memchr(from.ptr, '/', from.len) : NULL;
    if (slash)
        from.len = (size_t)(slash - from.ptr);
    *rest = span_skip(*rest, 1 + from.len);
    *ret = span_of(*scratch, 0);
    for (size_t i = 0; i < from.len; i++) {
        char c = from.ptr[i];
        if (c == '%') {
            int high = i + 2 < from.len ? digit_of(from.ptr[i + 1]) : -1;
            int low = high >= 0 ? digit_of(from.ptr[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        *(*scratch)++ = c;
        ret->len++;
    }
    return true;
}

int mercure_path_read(struct mercure_path *ret, struct span path, char *scratch)
{
    struct span rest = span_skip(path, strlen(MERCURE_SUBSCRIPTIONS));
    *ret = (struct mercure_path){.topic = SPAN(""), .subscriber = SPAN("")};
    while (rest.len > 0) {
        struct span *part = ret->parts == 0 ? &ret->topic : &ret->subscriber;
        if (rest.ptr[0] != '/' || ret->parts == 2)
            return 0;
        if (!segment_take(part, &rest, &scratch))
            return -1;
        if (part->len == 0)
            return 0;
        ret->parts++;
    }
    return 1;
}

bool mercure_topic_is_reserved(struct span topic)
{
    struct span hub = SPAN(MERCURE_HUB "/");
    return topic.len >= hub.len && memcmp(topic.ptr, hub.ptr, hub.len) == 0;
}

/* ---- its document ---- */

void mercure_string_write(struct out *out, struct span text)
{
    if (json_string_size(text) > (size_t)(out->end - out->at))
        out->overflow = true;
    if (!out->overflow)
        out->at += json_string_write(out->at, text);
}

enum {
    AROUND_MAX = 192, /* bytes of a document besides its values */
};

size_t mercure_subscription_size(const struct mercure_subscription *subscription,
                                 struct span last_id)
{
    return AROUND_MAX + MERCURE_SUBSCRIPTION_ID_MAX + json_string_size(subscription->topic) +
           subscription->subscriber.len + subscription->payload.len + json_string_size(last_id);
}

void mercure_subscription_write(struct out *out, const struct mercure_subscription *subscription,
                                bool alone, struct span last_id)
{
    char id[MERCURE_SUBSCRIPTION_ID_MAX];
    size_t id_len = mercure_subscription_id_write(id, subscription);
    out_span(out, alone ? SPAN("{\"@context\":\"https://mercure.rocks/\",\"id\":\"")
                        : SPAN("{\"id\":\""));
    out_span(out, span_of(id, id_len));
    out_text(out, "\",\"type\":\"Subscription\",\"topic\":");
    mercure_string_write(out, subscription->topic);
    out_text(out, ",\"subscriber\":\"");
    out_span(out, subscription->subscriber);
    out_span(out, subscription->active ? SPAN("\",\"active\":true") : SPAN("\",\"active\":false"));
    if (subscription->payload.len > 0) {
        out_text(out, ",\"payload\":");
        out_span(out, subscription->payload);
    }
    if (last_id.len > 0) {
        out_text(out, ",\"lastEventID\":");
        mercure_string_write(out, last_id);
    }
    out_text(out, "}");
}
