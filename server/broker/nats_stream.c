/* nats_stream: which stream it is. One that is made anew numbers from 1 again, so that what nodes
 * know of its numbers may fit by accident: a publish behind number 17 of the old one is taken
 * behind number 17 of the new one, which lacks what was acknowledged before. Nothing that goes with
 * a publish tells them from each other. So it is looked at with each beat, and a node that finds
 * another one, or none, gives its link up: with the next one it makes what is not there, knows no
 * numbers, and joins all again. */
#include <errno.h>
#include <stdio.h>

#include "broker/nats_answer.h"
#include "broker/nats_internal.h"

void nats_stream_ask(struct nats *nats)
{
    char api[NATS_PREFIX_MAX + 32], reply[NATS_REPLY_MAX];
    natsMsg *message = NULL;
    snprintf(api, sizeof api, "$JS.API.STREAM.INFO.%s", nats->config.address.prefix);
    snprintf(reply, sizeof reply, "%.63s.%016d.i", nats->link.inbox, 0);
    if (natsMsg_Create(&message, api, reply, NULL, 0) == NATS_OK)
        (void)nats_link_send(&nats->link, message); /* else the next beat asks */
    natsMsg_Destroy(message);
}

void nats_stream_come(struct nats *nats, struct span json)
{
    uint64_t stream = 0, before = nats->stream;
    int err = nats_stream_read(&stream, json);
    if (err < 0 && err != -ENOENT)
        return;
    nats->stream = stream;
    if (err == 0 && (before == 0 || before == stream))
        return;
    nats_count(&nats->counters.replaced);
    nats->nodes.orders_at = 0; /* all of it is new */
    nats_link_give_up(&nats->link);
}
