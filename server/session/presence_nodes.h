/* presence_nodes: who is present on the nodes of a cluster, put together. Internal to session/.
 *
 *   this node's answer ─┐
 *   those of others ────┴─► one list, or two numbers: a user on several nodes counts once
 *
 *   a list travels as {"id":{…},…}, numbers as CLIENTS and then 16 hex digits for each user: a hash
 *   that is the same on all nodes
 *
 * Idea     What others say is taken for hostile: it is read before it is told.
 * Threads  The shard's.
 * Memory   A list is its answer's: the caller frees what is handed out.
 * Bounds   NODES_ANSWERS_MAX of what others say. */
#pragma once

#include "session/presence.h"

struct nodes_ask;

enum {
    PRESENCE_USER_BYTES = 16, /* of a user, in numbers */
};

/* Writes a user as others count it. */
void presence_user_write(struct out *out, struct span user);

/* How many different users there are among those of a list of hashes, which is sorted. */
unsigned presence_users_count(char *users, size_t len);

/* What this node tells another that asked. Returns the text, to be freed, and its length; NULL when
 * memory is out. */
char *presence_nodes_text(const struct presence_answer *answer, size_t *ret_len);

/* Adds what others have said to the answer; `*list`, which it points into, is replaced. Of numbers
 * the list is that of hashes. Returns 0 or -ENOMEM. */
int presence_nodes_add(struct presence_answer *answer, char **list, const struct nodes_ask *ask);
