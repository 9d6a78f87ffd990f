#include "session/order_text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire/json_scan.h"
#include "wire/out.h"
#include "wire/utf8.h"
#include "wire/ws.h"

enum {
    NUMBERS = 12,
    STRINGS = 5,
    NUMBER_ROOM = 21,
    CODE_MIN = 3000,
    CODE_MAX = 4999,
};

size_t order_text_room(const struct order *order)
{
    return (size_t)NUMBERS * NUMBER_ROOM + order->user.len + order->client.len +
           order->channel.len + order->reason.len + order->keep.len;
}

size_t order_text_write(char *ret, const struct order *order)
{
    const struct span strings[STRINGS] = {order->user, order->client, order->channel, order->reason,
                                          order->keep};
    const uint64_t numbers[NUMBERS] = {
        order->kind,       order->code,        (uint64_t)order->ends_s, order->expired,
        order->since.from, order->since.epoch, order->since.offset,     strings[0].len,
        strings[1].len,    strings[2].len,     strings[3].len,          strings[4].len,
    };
    struct out out = out_begin(ret, order_text_room(order));
    for (unsigned i = 0; i < NUMBERS; i++) {
        out_decimal(&out, numbers[i]);
        out_span(&out, i + 1 < NUMBERS ? SPAN(" ") : SPAN("\n"));
    }
    for (unsigned i = 0; i < STRINGS; i++)
        out_span(&out, strings[i]);
    return (size_t)out_end(&out);
}

/* ---- reading ---- */

/* Digits, and what ends them. */
static bool number_take(struct span *rest, char end, uint64_t *ret)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, end, rest->len) : NULL;
    if (!at || !json_number_read(span_of(rest->ptr, (size_t)(at - rest->ptr)), ret))
        return false;
    *rest = span_skip(*rest, (size_t)(at - rest->ptr) + 1);
    return true;
}

static bool string_take(struct span *rest, uint64_t len, struct span *ret)
{
    if (len > rest->len)
        return false;
    *ret = span_of(rest->ptr, len);
    *rest = span_skip(*rest, len);
    return utf8_valid(*ret);
}

static bool is_list_of_strings(struct span list)
{
    struct json_items items = json_items_begin(list);
    struct span item;
    enum json_kind kind;
    int found;
    while ((found = json_items_next(&items, &item, &kind)) > 0)
        if (kind != JSON_IS_STRING)
            return false;
    return found == 0;
}

/* What a server may ask, it may. */
static bool is_good(const struct order *order)
{
    bool channel_good = order->channel.len > 0
                            ? hub_name_valid(order->channel.ptr, order->channel.len)
                            : order->kind != ORDER_SUBSCRIBE;
    bool code_good =
        order->kind != ORDER_DISCONNECT || (order->code >= CODE_MIN && order->code <= CODE_MAX);
    bool since_good = order->since.from == HUB_FROM_NOW || order->since.from == HUB_FROM_POSITION;
    return channel_good && code_good && since_good && order->ends_s >= 0 &&
           (order->user.len > 0 || order->client.len > 0) && order->reason.len <= WS_REASON_MAX &&
           !memchr(order->reason.ptr, '\n', order->reason.len) &&
           (order->keep.len == 0 || is_list_of_strings(order->keep));
}

int order_text_read(struct order *ret, struct span text)
{
    uint64_t numbers[NUMBERS];
    struct order order = {0};
    struct span *const strings[STRINGS] = {&order.user, &order.client, &order.channel,
                                           &order.reason, &order.keep};
    for (unsigned i = 0; i < NUMBERS; i++)
        if (!number_take(&text, i + 1 < NUMBERS ? ' ' : '\n', &numbers[i]))
            return -EINVAL;
    for (unsigned i = 0; i < STRINGS; i++)
        if (!string_take(&text, numbers[NUMBERS - STRINGS + i], strings[i]))
            return -EINVAL;
    if (text.len > 0 || numbers[0] > ORDER_REVOKE || numbers[1] > CODE_MAX ||
        numbers[2] > INT64_MAX || numbers[3] > 1 || numbers[4] > HUB_FROM_LATEST)
        return -EINVAL;
    order.kind = (enum order_kind)numbers[0];
    order.code = (unsigned)numbers[1];
    order.ends_s = (int64_t)numbers[2];
    order.expired = numbers[3] == 1;
    order.since = (struct hub_since){
        .from = (enum hub_from)numbers[4], .epoch = numbers[5], .offset = numbers[6]};
    if (!is_good(&order))
        return -EINVAL;
    *ret = order;
    return 0;
}
