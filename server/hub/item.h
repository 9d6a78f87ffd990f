/* item: what goes from hub to hub, 32 bytes each, and a queue of them.
 *
 *   to the home shard     PUBLISH                message
 *                         SUBSCRIBE, READ        request
 *                         UNSUBSCRIBE            channel at home
 *   from the home shard   LIVE                   message
 *                         SUBSCRIBED, READ_DONE  the same request, filled in
 *                         PUBLISHED              position
 *   to a participant      CALL                   call
 *   from it               CALLED                 the same
 *
 * Threads  An item belongs to the hub that holds it; a lane hands it over.
 * Memory   The message is a reference, request and call are owned: all move with the item. The
 *          channel of UNSUBSCRIBE is a handle that only its home shard may look into; it lives
 *          until its home shard has taken the item.
 * Bounds   A queue grows by doubling and gives its memory back when it has been emptied. */
#pragma once

#include "core/lane.h"
#include "hub/hub.h"

#include <assert.h>

struct channel_home;

enum item_kind {
    ITEM_PUBLISH,
    ITEM_SUBSCRIBE,
    ITEM_READ,
    ITEM_UNSUBSCRIBE,
    ITEM_LIVE,
    ITEM_SUBSCRIBED,
    ITEM_READ_DONE,
    ITEM_PUBLISHED,
    ITEM_CALL,
    ITEM_CALLED,
};

/* hub_subscribe or hub_read on its way to the home shard, and back as the answer. */
struct request {
    struct ticket ticket;
    uint32_t subscription; /* HUB_NONE for a read */
    uint64_t hash;
    struct hub_since since;

    struct request *next; /* the home shard's, while it waits for a broker */
    uint8_t from;
    bool subscribe;
    bool rejoined; /* its position was not known here, and the authority has been asked */

    struct channel_home *home; /* from here on: filled in by the home shard */
    uint64_t epoch;
    uint64_t offset;
    struct message **messages;
    unsigned count;
    int err;
    bool recovered;
    bool more;
    bool ended;
    bool resumed;

    uint8_t name_len;
    char name[];
};

struct item {
    uint8_t kind; /* enum item_kind */
    bool ask;     /* PUBLISH: PUBLISHED is wanted */
    int16_t err;  /* PUBLISHED */
    struct ticket ticket;
    union {
        struct message *message;
        struct request *request;
        struct channel_home *home;
        struct call *call;
        struct {
            uint64_t epoch;
            uint64_t offset;
        } position;
    };
};
static_assert(sizeof(struct item) == LANE_SLOT_BYTES, "an item is a lane's slot");

struct item_queue {
    struct item *items;
    uint32_t head;
    uint32_t count;
    uint32_t capacity; /* a power of two, or 0 */
};

/* Makes sure that so many more items have places. Returns 0 or -ENOMEM. */
int item_queue_reserve(struct item_queue *queue, uint32_t places);
/* Returns 0 or -ENOMEM. */
int item_queue_push(struct item_queue *queue, const struct item *item);
/* The oldest, or NULL. Stays valid until the next push or drop. */
const struct item *item_queue_first(const struct item_queue *queue);
void item_queue_drop(struct item_queue *queue);
/* Releases the items too. */
void item_queue_done(struct item_queue *queue);

/* Gives back what the item holds, where nobody will handle it any more. */
void item_release(const struct item *item);

/* Returns NULL when memory is out. */
struct request *request_create(const struct ticket *ticket, const char *name, size_t len,
                               uint64_t hash, const struct hub_since *since);
/* Gives back the messages too. */
void request_free(struct request *request);
