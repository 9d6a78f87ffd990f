#include "hub/item.h"
#include "core/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_ITEMS_MIN = 16,
    QUEUE_ITEMS_KEPT = 256, /* a queue that grew beyond is freed when it is empty */
};

int item_queue_reserve(struct item_queue *queue, uint32_t places)
{
    uint32_t capacity = queue->capacity ? queue->capacity : QUEUE_ITEMS_MIN;
    if (queue->capacity - queue->count >= places)
        return 0;
    while (capacity - queue->count < places)
        capacity *= 2;
    struct item *items = malloc(capacity * sizeof *items);
    if (!items)
        return -ENOMEM;
    for (uint32_t i = 0; i < queue->count; i++)
        items[i] = queue->items[(queue->head + i) & (queue->capacity - 1)];
    free(queue->items);
    *queue = (struct item_queue){items, 0, queue->count, capacity};
    return 0;
}

int item_queue_push(struct item_queue *queue, const struct item *item)
{
    int err = item_queue_reserve(queue, 1);
    if (err)
        return err;
    queue->items[(queue->head + queue->count++) & (queue->capacity - 1)] = *item;
    return 0;
}

const struct item *item_queue_first(const struct item_queue *queue)
{
    return queue->count ? &queue->items[queue->head] : NULL;
}

void item_queue_drop(struct item_queue *queue)
{
    assert(queue->count > 0);
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    if (queue->count == 0 && queue->capacity > QUEUE_ITEMS_KEPT) {
        free(queue->items);
        *queue = (struct item_queue){0};
    }
}

void item_queue_done(struct item_queue *queue)
{
    for (const struct item *item; (item = item_queue_first(queue)); item_queue_drop(queue))
        item_release(item);
    free(queue->items);
    *queue = (struct item_queue){0};
}

void item_release(const struct item *item)
{
    switch ((enum item_kind)item->kind) {
    case ITEM_PUBLISH:
    case ITEM_LIVE:
        message_unref(item->message);
        break;
    case ITEM_SUBSCRIBE:
    case ITEM_SUBSCRIBED:
    case ITEM_READ:
    case ITEM_READ_DONE:
        request_free(item->request);
        break;
    case ITEM_CALL:
    case ITEM_CALLED:
        item->call->ops->drop(item->call);
        break;
    case ITEM_UNSUBSCRIBE:
    case ITEM_PUBLISHED:
        break;
    }
}

struct request *request_create(const struct ticket *ticket, const char *name, size_t len,
                               uint64_t hash, const struct hub_since *since)
{
    struct request *request = malloc(sizeof *request + len);
    if (!request)
        return NULL;
    *request = (struct request){
        .ticket = *ticket,
        .subscription = HUB_NONE,
        .hash = hash,
        .since = *since,
        .name_len = (uint8_t)len,
    };
    memcpy(request->name, name, len);
    return request;
}

void request_free(struct request *request)
{
    for (unsigned i = 0; i < request->count; i++)
        message_unref(request->messages[i]);
    free(request->messages);
    free(request);
}
