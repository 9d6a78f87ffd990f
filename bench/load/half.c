/* half: parsing a read with or without a stash. */
#include "load/engine.h"

struct half *half_begin(struct load *load, const struct subscriber *subscriber, char **ret_bytes)
{
    if (subscriber->stash == 0) {
        *ret_bytes = load->scratch;
        return &load->half;
    }
    struct stash *stash = stash_at(&load->stashes, subscriber->stash - 1U);
    *ret_bytes = stash->bytes;
    return &stash->half;
}

/* Returns whether there was one. */
static bool stash_fill(struct load *load, struct subscriber *subscriber)
{
    uint32_t index = stash_take(&load->stashes);
    if (index == STASH_NONE)
        return false;
    assert(index < UINT16_MAX);
    subscriber->stash = (uint16_t)(index + 1);
    struct stash *stash = stash_at(&load->stashes, index);
    size_t held = load->half.held > load->half.sse.held ? load->half.held : load->half.sse.held;
    stash->half = load->half;
    memcpy(stash->bytes, load->scratch, held);
    return true;
}

void half_end(struct load *load, struct subscriber *subscriber, bool idle)
{
    if (subscriber->stash) {
        if (idle)
            stash_give(&load->stashes, subscriber->stash - 1U);
        if (idle)
            subscriber->stash = 0;
        return;
    }
    if (idle)
        return;
    bool kept = !subscriber_open(subscriber) || stash_fill(load, subscriber);
    load->half = (struct half){0};
    if (!kept)
        subscriber_fail(load, subscriber, LOAD_FAIL_STASH);
}

/* Adds the input to the held start of a head. Returns how much of it the head took, 0 when it is
 * not whole yet, or negative when it is not HTTP. */
static int held_parse(struct load *load, struct half *half, char *bytes, struct span input,
                      struct http_response *ret)
{
    size_t room = load->stashes.bytes_size - half->held;
    size_t count = input.len < room ? input.len : room;
    memcpy(bytes + half->held, input.ptr, count);
    size_t len = half->held + count;
    int head = http_response_parse(ret, bytes, len, half->held, load->stashes.bytes_size);
    if (head > 0) {
        int taken = head - (int)half->held;
        half->held = 0;
        return taken;
    }
    half->held = (uint32_t)len;
    return head == 0 && count < input.len ? HTTP_ERROR_HEAD_LONG : head;
}

int half_response(struct load *load, struct half *half, char *bytes, struct span *input,
                  struct http_response *ret)
{
    int taken = 0;
    if (half->held == 0)
        taken = http_response_parse(ret, input->ptr, input->len, 0, load->stashes.bytes_size);
    if (taken == 0)
        taken = held_parse(load, half, bytes, *input, ret);
    *input = span_skip(*input, taken > 0 ? (size_t)taken : input->len);
    return taken > 0 ? 1 : taken;
}

void half_json(struct load *load, struct subscriber *subscriber, struct half *half,
               struct span piece)
{
    enum json_found found;
    while ((found = json_scan_next(&half->scan, &piece)) != JSON_NOTHING) {
        struct span held = {half->scan.held, half->scan.held_len};
        if (found == JSON_DATA) {
            half->messages++;
            subscriber_deliver(load, subscriber, &half->scan.data);
        } else if (found == JSON_POSITION) {
            if (position_parse(&half->position, 1, held) != 1)
                half->position = (struct position){0};
        } else {
            half->lost = !half->scan.recovered;
        }
    }
}

void half_json_end(struct half *half)
{
    half->position = (struct position){0};
    half->messages = 0;
    half->lost = false;
    half->scan = (struct json_scan){0};
}
