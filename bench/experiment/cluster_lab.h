/* cluster_lab: the network of a cluster: a namespace for each of its places, with an address of its
 * own, and a switch between them and us.
 *
 *     bench 198.19.X.1 … ─┐
 *     engine       …10 ───┼─ bridge, in a namespace without a name
 *     node 1       …11 ───┤
 *     node 2       …12 ───┘
 *
 * Idea     Namespaces are descriptors of this process and have no names: when it ends, however that
 *          comes about, the kernel takes all of them away. Where they may not be made, all places
 *          are ports of the loopback.
 * Threads  one.
 * Memory   in place.
 * Bounds   LAB_PLACES_MAX. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

enum {
    LAB_PLACES_MAX = 8,
    LAB_SOURCES = 4, /* our own addresses: each has ports for so many connections */
    LAB_PREFIX_MAX = 3,
    LAB_TEXT_MAX = 64,
};

struct lab {
    bool apart; /* else everybody is on the loopback */
    int bridge_fd, fds[LAB_PLACES_MAX];
    unsigned places;
    unsigned subnet;
    char nets[LAB_PLACES_MAX][LAB_TEXT_MAX];
};

/* Returns 0, also where everybody is on the loopback; or negative errno after a sentence. */
int lab_begin(struct lab *lab, unsigned places);
void lab_end(struct lab *lab);

/* The address of a place, with that port; ours, of those that clients come from. */
struct sockaddr_in lab_address(const struct lab *lab, unsigned place, uint16_t port);
struct in_addr lab_source(const struct lab *lab);

/* The words that a command line for a place begins with, ended by NULL: none on the loopback. */
void lab_prefix(const struct lab *lab, unsigned place, const char *ret[LAB_PREFIX_MAX + 1]);

/* What `place` sends to `other` is thrown away, without a word to either; or no longer. Returns 0
 * or negative errno after a sentence. */
int lab_cut(const struct lab *lab, unsigned place, unsigned other, bool cut);
