/* half: parsing a read with or without a stash. */
#include "load/engine.h"

struct half *half_begin(struct load *load, const struct client *client, char **ret_bytes)
{
    if (client->stash == STASH_NONE) {
        *ret_bytes = load->scratch;
        return &load->half;
    }
    struct stash *stash = stash_at(&load->stashes, client->stash);
    *ret_bytes = stash->bytes;
    return &stash->half;
}

static void stash_fill(struct load *load, struct client *client)
{
    client->stash = stash_take(&load->stashes);
    if (client->stash == STASH_NONE)
        return;
    struct stash *stash = stash_at(&load->stashes, client->stash);
    size_t held = load->half.held > load->half.sse.held ? load->half.held : load->half.sse.held;
    stash->half = load->half;
    memcpy(stash->bytes, load->scratch, held);
}

void half_end(struct load *load, struct client *client, bool idle)
{
    if (client->stash != STASH_NONE) {
        if (idle)
            stash_give(&load->stashes, client->stash);
        if (idle)
            client->stash = STASH_NONE;
        return;
    }
    if (idle)
        return;
    bool open = client_open(client);
    if (open)
        stash_fill(load, client);
    load->half = (struct half){0};
    if (open && client->stash == STASH_NONE)
        client_fail(load, client, LOAD_FAIL_STASH);
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

void half_json(struct load *load, struct client *client, struct half *half, struct span piece)
{
    enum json_found found;
    while ((found = json_scan_next(&half->scan, &piece)) != JSON_NOTHING) {
        struct span held = {half->scan.held, half->scan.held_len};
        if (found == JSON_DATA) {
            half->messages++;
            client_deliver(load, client, &half->scan.data);
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
