#include "transport/publication.h"

static struct span event_of(const struct message *message)
{
    switch ((enum message_kind)message->kind) {
    case MESSAGE_JOIN:
        return SPAN("join");
    case MESSAGE_LEAVE:
        return SPAN("leave");
    case MESSAGE_PUBLICATION:
    case MESSAGE_GAP:
    case MESSAGE_FORGET:
    case MESSAGE_EPHEMERAL:
        break;
    }
    return (struct span){0};
}

struct centrifuge_publication publication_of(struct message *message)
{
    struct span payload = {message_payload(message), message->payload_len};
    unsigned form = atomic_load_explicit(&message->form, memory_order_relaxed);
    if (form == 0) {
        form = 1 + (unsigned)(message->utf8 ? centrifuge_form_of(payload) : CENTRIFUGE_BYTES);
        atomic_store_explicit(&message->form, (uint8_t)form, memory_order_relaxed);
    }
    return (struct centrifuge_publication){
        .data = payload,
        .form = (enum centrifuge_form)(form - 1),
        .offset = message->kind == MESSAGE_PUBLICATION ? message->offset : 0,
        .more = {message_more(message), message->more_len},
        .event = event_of(message)};
}
