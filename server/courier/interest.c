#define HASH_NONFATAL_OOM 1
#include "courier/interest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/message.h"

enum {
    ROOM_FIRST = 1,
    KEY_MAX = 1 + ENDPOINT_PATTERN_MAX,
};

static_assert((int)ENDPOINT_PATTERN_MAX >= (int)CHANNEL_NAME_MAX,
              "no channel is longer than a key");

/* The first byte of a key. */
#define NAME      '='
#define BEGINNING '*'

struct interest_node {
    struct endpoint_list list;
    UT_hash_handle hh;
    char key[];
};

/* ---- lists ---- */

static int list_add(struct endpoint_list *list, struct endpoint *endpoint)
{
    assert(list);
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
    for (unsigned i = 0; i < list->count; i++)
        if (list->at[i] == endpoint) {
            list->at[i] = list->at[--list->count];
            return;
        }
}

/* ---- patterns ---- */

/* The key of a pattern; its length is 0 where it is neither a name nor a beginning. */
static size_t key_of(char ret[KEY_MAX], const char *pattern)
{
    size_t plain = strcspn(pattern, "*?[\\");
    bool whole = pattern[plain] == '\0';
    bool begins = plain > 0 && pattern[plain] == '*' && pattern[plain + 1] == '\0';
    if (!whole && !begins)
        return 0;
    assert(plain <= ENDPOINT_PATTERN_MAX);
    ret[0] = whole ? NAME : BEGINNING;
    memcpy(ret + 1, pattern, plain);
    return 1 + plain;
}

static bool has_keys_only(const struct patterns *patterns)
{
    const char *at = patterns->bytes;
    char key[KEY_MAX];
    for (unsigned i = 0; i < patterns->count; i++, at += strlen(at) + 1)
        if (key_of(key, at) == 0)
            return false;
    return patterns->count > 0;
}

/* Where an endpoint is found, and by which of its patterns; NULL: among the others. */
static struct interest_index *index_of(struct interest *interest, const struct endpoint *endpoint,
                                       const struct patterns **ret)
{
    bool by_channel = has_keys_only(&endpoint->channels);
    *ret = by_channel ? &endpoint->channels : &endpoint->events;
    if (by_channel)
        return &interest->by_channel;
    return has_keys_only(&endpoint->events) ? &interest->by_type : NULL;
}

/* ---- nodes ---- */

/* The macros are long, not these functions. NOLINTBEGIN(readability-function-size) */

static struct interest_node *find(const struct interest_index *index, const char *key, size_t len)
{
    struct interest_node *found = NULL;
    HASH_FIND(hh, index->nodes, key, len, found);
    return found;
}

static void hash_remove(struct interest_index *index, struct interest_node *node)
{
    HASH_DELETE(hh, index->nodes, node);
}

static struct interest_node *make(struct interest_index *index, const char *key, size_t len)
{
    struct interest_node *made = calloc(1, sizeof *made + len);
    if (!made)
        return NULL;
    memcpy(made->key, key, len);
    HASH_ADD_KEYPTR(hh, index->nodes, made->key, len, made);
    if (made->hh.tbl) {
        index->beginnings[len - 1] += key[0] == BEGINNING;
        return made;
    }
    free(made);
    return NULL;
}

/* NOLINTEND(readability-function-size) */

static void forget(struct interest_index *index, struct interest_node *node)
{
    if (node->key[0] == BEGINNING)
        index->beginnings[node->hh.keylen - 1]--;
    hash_remove(index, node);
    free(node->list.at);
    free(node);
}

static int key_add(struct interest_index *index, struct endpoint *endpoint, const char *pattern)
{
    char key[KEY_MAX];
    size_t len = key_of(key, pattern);
    struct interest_node *node = find(index, key, len);
    if (!node)
        node = make(index, key, len);
    if (!node)
        return -ENOMEM;
    const struct endpoint_list *list = &node->list;
    /* It may name a channel twice. */
    int err = list->count > 0 && list->at[list->count - 1] == endpoint
                  ? 0
                  : list_add(&node->list, endpoint);
    if (node->list.count == 0)
        forget(index, node);
    return err;
}

/* ---- endpoints ---- */

int interest_add(struct interest *interest, struct endpoint *endpoint)
{
    const struct patterns *patterns;
    struct interest_index *index = index_of(interest, endpoint, &patterns);
    if (!index)
        return list_add(&interest->others, endpoint);
    const char *at = patterns->bytes;
    int err = 0;
    for (unsigned i = 0; i < patterns->count && err == 0; i++, at += strlen(at) + 1)
        err = key_add(index, endpoint, at);
    if (err < 0)
        interest_remove(interest, endpoint);
    return err;
}

void interest_remove(struct interest *interest, const struct endpoint *endpoint)
{
    const struct patterns *patterns;
    struct interest_index *index = index_of(interest, endpoint, &patterns);
    if (!index) {
        list_remove(&interest->others, endpoint);
        return;
    }
    const char *at = patterns->bytes;
    for (unsigned i = 0; i < patterns->count; i++, at += strlen(at) + 1) {
        char key[KEY_MAX];
        struct interest_node *node = find(index, key, key_of(key, at));
        if (!node)
            continue;
        list_remove(&node->list, endpoint);
        if (node->list.count == 0)
            forget(index, node);
    }
}

void interest_done(struct interest *interest)
{
    struct interest_index *indexes[] = {&interest->by_channel, &interest->by_type};
    for (unsigned i = 0; i < 2; i++)
        /* The analyzer does not see that the last one takes the buckets with it. */
        while (indexes[i]->nodes)
            forget(indexes[i], indexes[i]->nodes); /* NOLINT(clang-analyzer-unix.Malloc) */
    free(interest->others.at);
    *interest = (struct interest){0};
}

/* ---- asking ---- */

struct asking {
    uint64_t number;
    interest_told *told;
    void *context;
};

/* An endpoint with several patterns may be found by more than one. */
static bool list_tell(const struct asking *asking, const struct endpoint_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        struct endpoint *endpoint = list->at[i];
        if (endpoint->asked == asking->number)
            continue;
        endpoint->asked = asking->number;
        if (!asking->told(asking->context, endpoint))
            return false;
    }
    return true;
}

static bool node_tell(const struct asking *asking, const struct interest_node *node)
{
    return !node || list_tell(asking, &node->list);
}

static bool index_tell(const struct interest_index *index, const struct asking *asking,
                       struct span text)
{
    char key[KEY_MAX];
    if (!index->nodes || text.len == 0 || text.len >= sizeof key)
        return true;
    memcpy(key + 1, text.ptr, text.len);
    key[0] = NAME;
    bool more = node_tell(asking, find(index, key, 1 + text.len));
    key[0] = BEGINNING;
    for (size_t len = 1; more && len <= text.len && len <= ENDPOINT_PATTERN_MAX; len++)
        if (index->beginnings[len] > 0)
            more = node_tell(asking, find(index, key, 1 + len));
    return more;
}

bool interest_ask(struct interest *interest, struct span type, struct span channel,
                  interest_told *told, void *context)
{
    const struct asking asking = {++interest->asked, told, context};
    return index_tell(&interest->by_channel, &asking, channel) &&
           index_tell(&interest->by_type, &asking, type) && list_tell(&asking, &interest->others);
}
