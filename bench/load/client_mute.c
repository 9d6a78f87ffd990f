/* client_mute: clients that connect and have nothing to ask: one does no more, one sends the first
 * half of a request head. */
#include "load/engine.h"

static void half_request(struct load *load, struct subscriber *subscriber)
{
    struct span half = SPAN("GET /ws?channel=half HTTP/1.1\r\nHost: half\r\nX-");
    struct link *link = link_of(load, subscriber);
    memcpy(outbox_reserve(load, link, half.len), half.ptr, half.len);
    outbox_commit(load, link, half.len);
    subscriber_is_up(load, subscriber);
}

/* Whatever the server says. */
static void ignore(struct load *load, struct link *link, char *bytes, size_t len)
{
    (void)load;
    (void)link;
    (void)bytes;
    (void)len;
}

const struct protocol protocol_connect = {
    .path = "/",
    .is = PROTOCOL_SILENT | PROTOCOL_BARE,
    .ask = subscriber_is_up,
    .input = ignore,
};

const struct protocol protocol_half_request = {
    .path = "/",
    .is = PROTOCOL_SILENT | PROTOCOL_BARE,
    .ask = half_request,
    .input = ignore,
};
