#include "session/presence_home.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "wire/centrifuge.h"
#include "wire/json_out.h"

enum {
    PRESENCE_SWEEP = 4,
    AROUND_MAX = 64, /* bytes around what is told of a member */
};

struct user {
    UT_hash_handle hh;
    unsigned clients;
    unsigned len;
    char name[];
};

struct member {
    UT_hash_handle hh;
    int64_t until_ns;
    struct user *user;
    char client[SESSION_ID_LEN];
    uint16_t info_len;
    char info[];
};

struct channel {
    UT_hash_handle hh;
    struct member *members; /* the one heard of longest ago first */
    struct user *users;
    size_t room;   /* of what is told of all */
    uint64_t seed; /* the home's */
    uint8_t len;
    char name[];
};

struct presence_home {
    struct channel *channels; /* the one heard of longest ago first */
    presence_told *told;
    void *context;
    uint64_t seed;
};

/* Names are the clients' choice: with a hash that they can foresee, they could fill one bucket. */
static unsigned hash_of(uint64_t seed, const char *name, size_t len)
{
    return (unsigned)XXH3_64bits_withSeed(name, len, seed);
}

/* The macros are long, not these functions. NOLINTBEGIN(readability-function-size) */

static struct channel *channel_find(const struct presence_home *home, struct span name)
{
    struct channel *channel = NULL;
    if (home)
        HASH_FIND_BYHASHVALUE(hh, home->channels, name.ptr, name.len,
                              hash_of(home->seed, name.ptr, name.len), channel);
    return channel;
}

static bool channel_insert(struct presence_home *home, struct channel *channel)
{
    channel->seed = home->seed;
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, home->channels, channel->name, channel->len,
                                hash_of(home->seed, channel->name, channel->len), channel);
    return channel->hh.tbl;
}

static void channel_remove(struct presence_home *home, struct channel *channel)
{
    HASH_DEL(home->channels, channel);
    assert(home->channels != channel);
}

static struct user *user_find(const struct channel *channel, struct span name)
{
    struct user *user;
    HASH_FIND_BYHASHVALUE(hh, channel->users, name.ptr, name.len,
                          hash_of(channel->seed, name.ptr, name.len), user);
    return user;
}

static bool user_insert(struct channel *channel, struct user *user)
{
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, channel->users, user->name, user->len,
                                hash_of(channel->seed, user->name, user->len), user);
    return user->hh.tbl;
}

static void user_remove(struct channel *channel, struct user *user)
{
    HASH_DEL(channel->users, user);
    assert(channel->users != user);
}

static struct member *member_find(const struct channel *channel, struct span client)
{
    struct member *member = NULL;
    if (client.len == SESSION_ID_LEN)
        HASH_FIND_BYHASHVALUE(hh, channel->members, client.ptr, SESSION_ID_LEN,
                              hash_of(channel->seed, client.ptr, SESSION_ID_LEN), member);
    return member;
}

static bool member_insert(struct channel *channel, struct member *member)
{
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, channel->members, member->client, SESSION_ID_LEN,
                                hash_of(channel->seed, member->client, SESSION_ID_LEN), member);
    return member->hh.tbl;
}

static void member_remove(struct channel *channel, struct member *member)
{
    HASH_DEL(channel->members, member);
    assert(channel->members != member);
}

/* NOLINTEND(readability-function-size) */

static size_t room_of(const struct member *member)
{
    return AROUND_MAX + 2 * (size_t)SESSION_ID_LEN +
           json_string_size(span_of(member->user->name, member->user->len)) + member->info_len;
}

static void who_write(struct out *out, const struct member *member)
{
    centrifuge_client_write(out, span_of(member->client, SESSION_ID_LEN),
                            span_of(member->user->name, member->user->len),
                            span_of(member->info, member->info_len));
}

/* Where memory is out for it, nobody is told. */
static void tell(struct presence_home *home, const struct channel *channel,
                 const struct member *member, bool join)
{
    size_t room = room_of(member);
    char *area = malloc(room);
    if (!area)
        return;
    struct out out = out_begin(area, room);
    who_write(&out, member);
    home->told(home->context, span_of(channel->name, channel->len), join,
               span_of(area, (size_t)out_end(&out)));
    free(area);
}

/* ---- users ---- */

static struct user *user_take(struct channel *channel, struct span name)
{
    struct user *user = user_find(channel, name);
    if (!user) {
        user = malloc(sizeof *user + name.len);
        if (!user)
            return NULL;
        *user = (struct user){.len = (unsigned)name.len};
        if (name.len > 0)
            memcpy(user->name, name.ptr, name.len);
        if (!user_insert(channel, user)) {
            free(user);
            return NULL;
        }
    }
    user->clients++;
    return user;
}

static void user_give(struct channel *channel, struct user *user)
{
    if (--user->clients > 0)
        return;
    user_remove(channel, user);
    free(user);
}

/* ---- members ---- */

static void drop(struct channel *channel, struct member *member)
{
    channel->room -= room_of(member);
    member_remove(channel, member);
    user_give(channel, member->user);
    free(member);
}

static void free_if_empty(struct presence_home *home, struct channel *channel)
{
    if (channel->members)
        return;
    channel_remove(home, channel);
    free(channel);
}

static void leave(struct presence_home *home, struct channel *channel, struct member *member)
{
    tell(home, channel, member, false);
    drop(channel, member);
}

/* Drops who was not heard of; each is heard of as often as any other. */
static void expire(struct presence_home *home, struct channel *channel, int64_t now_ns,
                   unsigned most)
{
    while (most-- > 0 && channel->members && channel->members->until_ns <= now_ns)
        leave(home, channel, channel->members);
}

/* Channels that nobody asks for, and nobody comes to. */
static void sweep(struct presence_home *home, int64_t now_ns)
{
    struct channel *oldest = home->channels;
    if (!oldest)
        return;
    expire(home, oldest, now_ns, PRESENCE_SWEEP);
    free_if_empty(home, oldest);
}

static struct channel *channel_take(struct presence_home *home, struct span name)
{
    struct channel *channel = channel_find(home, name);
    if (channel) {
        channel_remove(home, channel);
    } else {
        channel = calloc(1, sizeof *channel + name.len);
        if (!channel)
            return NULL;
        channel->len = (uint8_t)name.len;
        memcpy(channel->name, name.ptr, name.len);
    }
    if (channel_insert(home, channel))
        return channel;
    while (channel->members)
        drop(channel, channel->members);
    free(channel);
    return NULL;
}

static int member_add(struct channel *channel, const struct presence_member *what)
{
    struct member *member = malloc(sizeof *member + what->info.len);
    if (!member)
        return -ENOMEM;
    *member = (struct member){.until_ns = what->until_ns, .info_len = (uint16_t)what->info.len};
    assert(what->client.len == SESSION_ID_LEN);
    memcpy(member->client, what->client.ptr, SESSION_ID_LEN);
    if (what->info.len > 0)
        memcpy(member->info, what->info.ptr, what->info.len);
    member->user = user_take(channel, what->user);
    if (member->user && member_insert(channel, member)) {
        channel->room += room_of(member);
        return 0;
    }
    if (member->user)
        user_give(channel, member->user);
    free(member);
    return -ENOMEM;
}

struct presence_home *presence_home_create(presence_told *told, void *context)
{
    struct presence_home *home = malloc(sizeof *home);
    if (!home)
        return NULL;
    *home = (struct presence_home){.told = told, .context = context};
    if (getrandom(&home->seed, sizeof home->seed, GRND_NONBLOCK) != sizeof home->seed)
        home->seed = (uintptr_t)home;
    return home;
}

int presence_home_add(struct presence_home *home, struct span name,
                      const struct presence_member *what, int64_t now_ns)
{
    struct channel *channel = channel_take(home, name);
    if (!channel)
        return -ENOMEM;
    struct member *before = member_find(channel, what->client);
    if (before)
        drop(channel, before);
    int err = member_add(channel, what);
    if (!err && !before)
        tell(home, channel, member_find(channel, what->client), true);
    expire(home, channel, now_ns, PRESENCE_SWEEP);
    free_if_empty(home, channel);
    sweep(home, now_ns);
    return err;
}

void presence_home_remove(struct presence_home *home, struct span name, struct span client)
{
    struct channel *channel = channel_find(home, name);
    struct member *member = channel ? member_find(channel, client) : NULL;
    if (!member)
        return;
    leave(home, channel, member);
    free_if_empty(home, channel);
}

/* ---- what is told ---- */

/* Without those who were not heard of. */
static struct channel *channel_now(struct presence_home *home, struct span name, int64_t now_ns)
{
    struct channel *channel = channel_find(home, name);
    if (!channel)
        return NULL;
    expire(home, channel, now_ns, UINT32_MAX);
    if (channel->members)
        return channel;
    free_if_empty(home, channel);
    return NULL;
}

void presence_home_count(struct presence_home *home, struct span name, int64_t now_ns,
                         unsigned *ret_clients, unsigned *ret_users)
{
    const struct channel *channel = channel_now(home, name, now_ns);
    *ret_clients = channel ? HASH_CNT(hh, channel->members) : 0;
    *ret_users = channel ? HASH_CNT(hh, channel->users) : 0;
}

size_t presence_home_room(const struct presence_home *home, struct span name)
{
    const struct channel *channel = channel_find(home, name);
    return channel ? channel->room : 0;
}

static void member_write(struct out *out, const struct member *member)
{
    out_text(out, "\"");
    out_span(out, span_of(member->client, SESSION_ID_LEN));
    out_text(out, "\":");
    who_write(out, member);
}

void presence_home_write(struct presence_home *home, struct span name, int64_t now_ns,
                         struct out *out)
{
    const struct channel *channel = channel_now(home, name, now_ns);
    for (const struct member *member = channel ? channel->members : NULL; member;
         member = member->hh.next) {
        if (member != channel->members)
            out_text(out, ",");
        member_write(out, member);
    }
}

void presence_home_free(struct presence_home *home)
{
    while (home && home->channels) {
        struct channel *channel = home->channels;
        while (channel->members)
            drop(channel, channel->members);
        free_if_empty(home, channel);
    }
    free(home);
}
