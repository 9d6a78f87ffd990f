#define HASH_NONFATAL_OOM 1
#include "courier/interest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "courier/endpoint.h"

enum {
    ROOM_FIRST = 4,
};

struct channel_interest {
    struct endpoint_list list;
    UT_hash_handle hh;
    char name[];
};

static int list_add(struct endpoint_list *list, struct endpoint *endpoint)
{
    if (list->count == list->room) {
        unsigned room = list->room > 0 ? 2 * list->room : ROOM_FIRST;
        struct endpoint **longer = realloc(list->at, room * sizeof(struct endpoint *));
        if (!longer)
            return -ENOMEM;
        list->at = longer;
        list->room = room;
    }
    list->at[list->count++] = endpoint;
    return 0;
}

static void list_remove(struct endpoint_list *list, const struct endpoint *endpoint)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < list->count; i++)
        if (list->at[i] != endpoint)
            list->at[kept++] = list->at[i];
    list->count = kept;
}

/* The macros are long, not these functions. NOLINTBEGIN(readability-function-size) */

static struct channel_interest *find(const struct interest *interest, struct span channel)
{
    struct channel_interest *found = NULL;
    HASH_FIND(hh, interest->by_channel, channel.ptr, channel.len, found);
    return found;
}

static void hash_remove(struct interest *interest, struct channel_interest *channel)
{
    HASH_DELETE(hh, interest->by_channel, channel);
}

static struct channel_interest *make(struct interest *interest, struct span name)
{
    struct channel_interest *made = calloc(1, sizeof *made + name.len);
    if (!made)
        return NULL;
    memcpy(made->name, name.ptr, name.len);
    HASH_ADD_KEYPTR(hh, interest->by_channel, made->name, name.len, made);
    if (made->hh.tbl)
        return made;
    free(made);
    return NULL;
}

/* NOLINTEND(readability-function-size) */

static void forget(struct interest *interest, struct channel_interest *channel)
{
    hash_remove(interest, channel);
    free(channel->list.at);
    free(channel);
}

static int name_add(struct interest *interest, struct endpoint *endpoint, struct span name)
{
    struct channel_interest *channel = find(interest, name);
    if (!channel)
        channel = make(interest, name);
    if (!channel)
        return -ENOMEM;
    const struct endpoint_list *list = &channel->list;
    /* It may name a channel twice. */
    int err = list->count > 0 && list->at[list->count - 1] == endpoint
                  ? 0
                  : list_add(&channel->list, endpoint);
    if (channel->list.count == 0)
        forget(interest, channel);
    return err;
}

static bool has_names_only(const struct endpoint *endpoint)
{
    const char *at = endpoint->channels.bytes;
    for (unsigned i = 0; i < endpoint->channels.count; i++, at += strlen(at) + 1)
        if (at[strcspn(at, "*?[\\")] != '\0')
            return false;
    return endpoint->channels.count > 0;
}

int interest_add(struct interest *interest, struct endpoint *endpoint)
{
    if (!has_names_only(endpoint))
        return list_add(&interest->others, endpoint);
    const char *at = endpoint->channels.bytes;
    int err = 0;
    for (unsigned i = 0; i < endpoint->channels.count && err == 0; i++, at += strlen(at) + 1)
        err = name_add(interest, endpoint, span_from(at));
    if (err < 0)
        interest_remove(interest, endpoint);
    return err;
}

void interest_remove(struct interest *interest, const struct endpoint *endpoint)
{
    const char *at = endpoint->channels.bytes;
    if (!has_names_only(endpoint)) {
        list_remove(&interest->others, endpoint);
        return;
    }
    for (unsigned i = 0; i < endpoint->channels.count; i++, at += strlen(at) + 1) {
        struct channel_interest *channel = find(interest, span_from(at));
        if (!channel)
            continue;
        list_remove(&channel->list, endpoint);
        if (channel->list.count == 0)
            forget(interest, channel);
    }
}

void interest_done(struct interest *interest)
{
    /* The analyzer does not see that the last one takes the buckets with it. */
    while (interest->by_channel)
        forget(interest, interest->by_channel); /* NOLINT(clang-analyzer-unix.Malloc) */
    free(interest->others.at);
    *interest = (struct interest){0};
}

const struct endpoint_list *interest_in(const struct interest *interest, struct span channel)
{
    static const struct endpoint_list none;
    const struct channel_interest *found = channel.len > 0 ? find(interest, channel) : NULL;
    return found ? &found->list : &none;
}
