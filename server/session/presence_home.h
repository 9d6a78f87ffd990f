/* presence_home: the members of channels that are numbered in this shard.
 *
 *   channels by name ─► channel ─► members by client, the one heard of longest ago first
 *                              └─► users by name, and how many clients each has
 *
 * Threads  The shard's.
 * Memory   On the heap, counted: 64 bytes a member with what is told of it, 24 and its name a user,
 *          80 to 120 bytes for both with their places in tables, which grow a bucket at a time
 *          (core/linear_hash.h). A channel goes with its last member.
 * Bounds   bytes_most; PRESENCE_TURN_BYTES of lists in a turn; PRESENCE_SWEEP looked at for each
 *          that comes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "session/session.h"
#include "wire/out.h"

struct presence_home;

enum {
    PRESENCE_TURN_BYTES = 1 << 20,
};

struct presence_member {
    struct span client, user, info; /* info: JSON, or empty */
    int64_t until_ns;
};

/* Told of each that comes, and of each that goes, with who that is: {"client":…,"user":…}. */
typedef void presence_told(void *context, struct span channel, bool join, struct span who);

/* Returns NULL when memory is out. */
struct presence_home *presence_home_create(presence_told *told, void *context, uint64_t bytes_most,
                                           int64_t now_ns);

/* Returns 0; -ENOMEM; or -ENOBUFS: somebody new, for whom there is no room in bytes_most. */
int presence_home_add(struct presence_home *home, struct span name,
                      const struct presence_member *what, int64_t now_ns);
void presence_home_remove(struct presence_home *home, struct span name, struct span client);

/* Counts those who are there. */
void presence_home_count(struct presence_home *home, struct span name, int64_t now_ns,
                         unsigned *ret_clients, unsigned *ret_users);
/* Writes those who are there, as far as there is room. */
void presence_home_write(struct presence_home *home, struct span name, int64_t now_ns,
                         struct out *out);
/* Their users, once for each client (session/presence_nodes.h). It takes no more room. */
void presence_home_write_users(struct presence_home *home, struct span name, int64_t now_ns,
                               struct out *out);
/* How much room that takes, at most. */
size_t presence_home_room(const struct presence_home *home, struct span name);

/* Whether a list of so many bytes may be made now: PRESENCE_TURN_BYTES of them in a turn, and the
 * first. */
bool presence_home_has_time(struct presence_home *home, size_t bytes, int64_t now_ns);

/* What all members take. */
uint64_t presence_home_bytes(const struct presence_home *home);

void presence_home_free(struct presence_home *home);
