/* login_tickets: what a client that cannot set a header puts into a URL, once.
 *
 *   POST /ticket, with a token ─► a token of our own: the same claims, a nonce, an end in seconds
 *   GET /ws?ticket=…           ─► its signature, its end, and whether its nonce was taken before
 *
 *   bucket[hash % buckets]  8 places of 64 bits, a cache line:  hash (40) │ end, in seconds (24)
 *
 * Idea     A ticket carries what it stands for, so nothing is kept for one that is given, and any
 *          shard can take it without asking another. Kept is that it was taken, until its end; in
 *          one table in which all shards write by compare-and-swap.
 * Threads  login_tickets_take on any shard's.
 * Memory   8 bytes a place, in pages that are touched as they are used.
 * Bounds   tickets_max places; a bucket that is full of tickets which have not ended refuses.
 * Errors   -EEXIST: taken before, or at the same moment by somebody else: then by neither.
 *          -ENOSPC: no place to remember it; it is not taken. */
#pragma once

#include <stdint.h>

struct login_tickets;

/* Returns NULL when there is no address space. */
struct login_tickets *login_tickets_create(uint64_t count);
void login_tickets_free(struct login_tickets *tickets); /* NULL is allowed */

/* Takes the ticket whose nonce has this hash, and which ends then. Returns 0 or an error. */
int login_tickets_take(struct login_tickets *tickets, uint64_t hash, int64_t now_s, int64_t ends_s);
