#include "session/presence_home.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>
#include <xxhash.h>

#include "core/linear_hash.h"
#include "session/presence_nodes.h"
#include "wire/centrifuge.h"
#include "wire/json_out.h"

enum {
    PRESENCE_SWEEP = 4,
    AROUND_MAX = 64, /* bytes around what is told of a member */
    ID_BYTES = 16,   /* a client's id without its form: 32 hex digits */
    TICK_MS = 100,   /* how exactly a member decays */
};

struct user {
    struct linear_node node;
    unsigned clients;
    uint16_t len;
    char name[];
};

struct member {
    struct linear_node node;
    struct member *prev, *next;
    struct user *user;
    uint32_t until; /* ticks since the home was made */
    uint16_t info_len;
    unsigned char id[ID_BYTES];
    char info[];
};
static_assert(sizeof(struct member) == 64, "a cache line, without info");

struct channel {
    struct linear_node node;
    struct channel *prev, *next;
    struct linear_hash members, users;
    struct member *oldest; /* the one heard of longest ago first */
    size_t room;           /* of what is told of all */
    uint8_t len;
    char name[];
};

struct presence_home {
    struct linear_hash channels;
    struct channel *oldest; /* the one heard of longest ago first */
    presence_told *told;
    void *context;
    uint64_t seed;
    uint64_t bytes, bytes_most;
    int64_t made_ns;
    int64_t turn_ns; /* in which so many bytes of lists were made */
    size_t turn_bytes;
};

/* Names are the clients' choice: with a hash that they can foresee, they could fill one bucket. */
static uint32_t hash_of(const struct presence_home *home, const void *name, size_t len)
{
    return (uint32_t)XXH3_64bits_withSeed(name, len, home->seed);
}

/* ---- ids: 8-4-4-4-12 hex digits ---- */

static bool is_dash(unsigned at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool id_read(unsigned char ret[ID_BYTES], struct span text)
{
    unsigned digits = 0;
    if (text.len != SESSION_ID_LEN)
        return false;
    for (unsigned at = 0; at < SESSION_ID_LEN; at++) {
        int digit = digit_of(text.ptr[at]);
        if (is_dash(at) ? text.ptr[at] != '-' : digit < 0)
            return false;
        if (is_dash(at))
            continue;
        unsigned char high = digits % 2 == 0 ? 0 : (unsigned char)(ret[digits / 2] << 4);
        ret[digits++ / 2] = (unsigned char)(high | digit);
    }
    return true;
}

static void id_write(char ret[SESSION_ID_LEN], const unsigned char id[ID_BYTES])
{
    unsigned digits = 0;
    for (unsigned at = 0; at < SESSION_ID_LEN; at++) {
        if (is_dash(at)) {
            ret[at] = '-';
            continue;
        }
        unsigned value = id[digits / 2] >> (digits % 2 == 0 ? 4 : 0) & 15;
        ret[at] = "0123456789abcdef"[value];
        digits++;
    }
}

/* ---- finding ---- */

static struct channel *channel_find(const struct presence_home *home, struct span name)
{
    if (!home)
        return NULL;
    uint32_t hash = hash_of(home, name.ptr, name.len);
    struct linear_node *node = linear_hash_first(&home->channels, hash);
    for (; node; node = node->next) {
        struct channel *channel = (struct channel *)node;
        if (node->hash == hash && span_equal(span_of(channel->name, channel->len), name))
            return channel;
    }
    return NULL;
}

static struct user *user_find(const struct presence_home *home, const struct channel *channel,
                              struct span name)
{
    uint32_t hash = hash_of(home, name.ptr, name.len);
    struct linear_node *node = linear_hash_first(&channel->users, hash);
    for (; node; node = node->next) {
        struct user *user = (struct user *)node;
        if (node->hash == hash && span_equal(span_of(user->name, user->len), name))
            return user;
    }
    return NULL;
}

static struct member *member_find(const struct presence_home *home, const struct channel *channel,
                                  const unsigned char id[ID_BYTES])
{
    uint32_t hash = hash_of(home, id, ID_BYTES);
    struct linear_node *node = linear_hash_first(&channel->members, hash);
    for (; node; node = node->next) {
        struct member *member = (struct member *)node;
        if (node->hash == hash && memcmp(member->id, id, ID_BYTES) == 0)
            return member;
    }
    return NULL;
}

/* ---- memory, counted ---- */

static void *take(struct presence_home *home, size_t size)
{
    void *memory = malloc(size);
    home->bytes += memory ? size : 0;
    return memory;
}

static void give(struct presence_home *home, void *memory, size_t size)
{
    home->bytes -= size;
    free(memory);
}

static int add(struct presence_home *home, struct linear_hash *table, struct linear_node *node)
{
    home->bytes -= linear_hash_bytes(table);
    int err = linear_hash_add(table, node);
    home->bytes += linear_hash_bytes(table);
    return err;
}

static void take_out(struct presence_home *home, struct linear_hash *table,
                     struct linear_node *node)
{
    home->bytes -= linear_hash_bytes(table);
    linear_hash_remove(table, node);
    home->bytes += linear_hash_bytes(table);
}

static size_t channel_bytes(struct span name)
{
    return sizeof(struct channel) + name.len;
}

/* Text begins in what would be padding. */
static size_t user_bytes(struct span name)
{
    size_t bytes = offsetof(struct user, name) + name.len;
    return bytes > sizeof(struct user) ? bytes : sizeof(struct user);
}

static size_t member_bytes(size_t info_len)
{
    size_t bytes = offsetof(struct member, info) + info_len;
    return bytes > sizeof(struct member) ? bytes : sizeof(struct member);
}

/* ---- what is told of a member ---- */

static size_t room_of(const struct member *member)
{
    return AROUND_MAX + 2 * (size_t)SESSION_ID_LEN +
           json_string_size(span_of(member->user->name, member->user->len)) + member->info_len;
}

static void who_write(struct out *out, const struct member *member)
{
    char id[SESSION_ID_LEN];
    id_write(id, member->id);
    centrifuge_client_write(out, span_of(id, sizeof id),
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

static struct user *user_take(struct presence_home *home, struct channel *channel, struct span name)
{
    struct user *user = user_find(home, channel, name);
    if (!user) {
        user = take(home, user_bytes(name));
        if (!user)
            return NULL;
        *user = (struct user){.node.hash = hash_of(home, name.ptr, name.len),
                              .len = (uint16_t)name.len};
        if (name.len > 0)
            memcpy(user->name, name.ptr, name.len);
        if (add(home, &channel->users, &user->node) < 0) {
            give(home, user, user_bytes(name));
            return NULL;
        }
    }
    user->clients++;
    return user;
}

static void user_give(struct presence_home *home, struct channel *channel, struct user *user)
{
    if (--user->clients > 0)
        return;
    take_out(home, &channel->users, &user->node);
    give(home, user, user_bytes(span_of(user->name, user->len)));
}

/* ---- members ---- */

static void drop(struct presence_home *home, struct channel *channel, struct member *member)
{
    channel->room -= room_of(member);
    take_out(home, &channel->members, &member->node);
    DL_DELETE(channel->oldest, member);
    user_give(home, channel, member->user);
    give(home, member, member_bytes(member->info_len));
}

static void free_if_empty(struct presence_home *home, struct channel *channel)
{
    if (channel->oldest)
        return;
    take_out(home, &home->channels, &channel->node);
    DL_DELETE(home->oldest, channel);
    give(home, channel, channel_bytes(span_of(channel->name, channel->len)));
}

static void leave(struct presence_home *home, struct channel *channel, struct member *member)
{
    tell(home, channel, member, false);
    drop(home, channel, member);
}

static uint32_t tick_of(const struct presence_home *home, int64_t now_ns)
{
    return (uint32_t)((now_ns - home->made_ns) / (TICK_MS * INT64_C(1000000)));
}

/* Drops who was not heard of; each is heard of as often as any other. */
static void expire(struct presence_home *home, struct channel *channel, int64_t now_ns,
                   unsigned most)
{
    uint32_t now = tick_of(home, now_ns);
    while (most-- > 0 && channel->oldest && channel->oldest->until <= now)
        leave(home, channel, channel->oldest);
}

/* Channels that nobody asks for, and nobody comes to. */
static void sweep(struct presence_home *home, int64_t now_ns)
{
    struct channel *oldest = home->oldest;
    if (!oldest)
        return;
    expire(home, oldest, now_ns, PRESENCE_SWEEP);
    free_if_empty(home, oldest);
}

/* It is the last that was heard of. */
static void channel_heard(struct presence_home *home, struct channel *channel)
{
    DL_DELETE(home->oldest, channel);
    DL_APPEND(home->oldest, channel);
}

static void member_heard(struct channel *channel, struct member *member)
{
    DL_DELETE(channel->oldest, member);
    DL_APPEND(channel->oldest, member);
}

static struct channel *channel_take(struct presence_home *home, struct span name)
{
    struct channel *channel = channel_find(home, name);
    if (channel) {
        channel_heard(home, channel);
        return channel;
    }
    channel = take(home, channel_bytes(name));
    if (!channel)
        return NULL;
    *channel =
        (struct channel){.node.hash = hash_of(home, name.ptr, name.len), .len = (uint8_t)name.len};
    memcpy(channel->name, name.ptr, name.len);
    if (add(home, &home->channels, &channel->node) < 0) {
        give(home, channel, channel_bytes(name));
        return NULL;
    }
    DL_APPEND(home->oldest, channel);
    return channel;
}

/* What somebody new may take, but for tables. */
static size_t most_bytes(struct span name, const struct presence_member *what)
{
    return channel_bytes(name) + user_bytes(what->user) + member_bytes(what->info.len);
}

static int member_add(struct presence_home *home, struct channel *channel,
                      const unsigned char id[ID_BYTES], const struct presence_member *what,
                      struct member **ret)
{
    struct member *member = take(home, member_bytes(what->info.len));
    if (!member)
        return -ENOMEM;
    *member = (struct member){.node.hash = hash_of(home, id, ID_BYTES),
                              .info_len = (uint16_t)what->info.len};
    memcpy(member->id, id, ID_BYTES);
    if (what->info.len > 0)
        memcpy(member->info, what->info.ptr, what->info.len);
    member->user = user_take(home, channel, what->user);
    if (member->user && add(home, &channel->members, &member->node) == 0) {
        DL_APPEND(channel->oldest, member);
        channel->room += room_of(member);
        *ret = member;
        return 0;
    }
    if (member->user)
        user_give(home, channel, member->user);
    give(home, member, member_bytes(member->info_len));
    return -ENOMEM;
}

static bool is_as_before(const struct member *member, const struct presence_member *what)
{
    return span_equal(span_of(member->user->name, member->user->len), what->user) &&
           span_equal(span_of(member->info, member->info_len), what->info);
}

struct presence_home *presence_home_create(presence_told *told, void *context, uint64_t bytes_most,
                                           int64_t now_ns)
{
    struct presence_home *home = malloc(sizeof *home);
    if (!home)
        return NULL;
    *home = (struct presence_home){
        .told = told, .context = context, .bytes_most = bytes_most, .made_ns = now_ns};
    if (getrandom(&home->seed, sizeof home->seed, GRND_NONBLOCK) != sizeof home->seed)
        home->seed = (uintptr_t)home;
    return home;
}

/* One who was there, and says the same, is moved behind the others; else it comes anew. */
static int hear(struct presence_home *home, struct channel *channel,
                const unsigned char id[ID_BYTES], const struct presence_member *what)
{
    struct member *member = member_find(home, channel, id);
    bool before = member;
    if (member && is_as_before(member, what)) {
        member_heard(channel, member);
    } else {
        if (member)
            drop(home, channel, member);
        int err = member_add(home, channel, id, what, &member);
        if (err < 0)
            return err;
    }
    member->until = tick_of(home, what->until_ns) + 1;
    if (!before)
        tell(home, channel, member, true);
    return 0;
}

int presence_home_add(struct presence_home *home, struct span name,
                      const struct presence_member *what, int64_t now_ns)
{
    unsigned char id[ID_BYTES];
    bool valid = id_read(id, what->client);
    assert(valid);
    struct channel *channel = channel_find(home, name);
    bool is_new = !channel || !member_find(home, channel, id);
    if (is_new && home->bytes + most_bytes(name, what) > home->bytes_most)
        return -ENOBUFS;
    channel = channel_take(home, name);
    if (!channel)
        return -ENOMEM;
    int err = hear(home, channel, id, what);
    expire(home, channel, now_ns, PRESENCE_SWEEP);
    free_if_empty(home, channel);
    sweep(home, now_ns);
    return err;
}

void presence_home_remove(struct presence_home *home, struct span name, struct span client)
{
    unsigned char id[ID_BYTES];
    struct channel *channel = channel_find(home, name);
    struct member *member = channel && id_read(id, client) ? member_find(home, channel, id) : NULL;
    if (!member)
        return;
    leave(home, channel, member);
    free_if_empty(home, channel);
}

bool presence_home_has_time(struct presence_home *home, size_t bytes, int64_t now_ns)
{
    if (!home)
        return true;
    if (home->turn_ns != now_ns)
        home->turn_bytes = 0;
    home->turn_ns = now_ns;
    if (home->turn_bytes > 0 && home->turn_bytes + bytes > PRESENCE_TURN_BYTES)
        return false;
    home->turn_bytes += bytes;
    return true;
}

uint64_t presence_home_bytes(const struct presence_home *home)
{
    return home ? home->bytes : 0;
}

/* ---- what is told ---- */

/* Without those who were not heard of. */
static struct channel *channel_now(struct presence_home *home, struct span name, int64_t now_ns)
{
    struct channel *channel = channel_find(home, name);
    if (!channel)
        return NULL;
    expire(home, channel, now_ns, UINT32_MAX);
    if (channel->oldest)
        return channel;
    free_if_empty(home, channel);
    return NULL;
}

void presence_home_count(struct presence_home *home, struct span name, int64_t now_ns,
                         unsigned *ret_clients, unsigned *ret_users)
{
    const struct channel *channel = channel_now(home, name, now_ns);
    *ret_clients = channel ? channel->members.count : 0;
    *ret_users = channel ? channel->users.count : 0;
}

size_t presence_home_room(const struct presence_home *home, struct span name)
{
    const struct channel *channel = channel_find(home, name);
    return channel ? channel->room : 0;
}

static void member_write(struct out *out, const struct member *member)
{
    char id[SESSION_ID_LEN];
    id_write(id, member->id);
    out_text(out, "\"");
    out_span(out, span_of(id, sizeof id));
    out_text(out, "\":");
    who_write(out, member);
}

void presence_home_write(struct presence_home *home, struct span name, int64_t now_ns,
                         struct out *out)
{
    const struct channel *channel = channel_now(home, name, now_ns);
    for (const struct member *member = channel ? channel->oldest : NULL; member;
         member = member->next) {
        if (member != channel->oldest)
            out_text(out, ",");
        member_write(out, member);
    }
}

void presence_home_write_users(struct presence_home *home, struct span name, int64_t now_ns,
                               struct out *out)
{
    const struct channel *channel = channel_now(home, name, now_ns);
    for (const struct member *member = channel ? channel->oldest : NULL; member;
         member = member->next)
        presence_user_write(out, span_of(member->user->name, member->user->len));
}

void presence_home_free(struct presence_home *home)
{
    while (home && home->oldest) {
        struct channel *channel = home->oldest;
        while (channel->oldest)
            drop(home, channel, channel->oldest);
        free_if_empty(home, channel);
    }
    assert(!home || home->bytes == 0);
    free(home);
}
