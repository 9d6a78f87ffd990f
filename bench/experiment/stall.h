/* stall: what readers that stopped reading, or read too slowly, have cost, and what they have lost.
 *
 * Threads  one.
 * Memory   in place. */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* Each is a field, and a member of the object in run.json.
 *
 *   readers              that stopped or trickled, in each turn
 *   trickling            of them
 *   queue_bytes_max      what may wait for one of them
 *   bound_bytes          and for all
 *   queue_bytes          the most that was seen in any turn
 *   rss_bytes, tcp_bytes likewise, of what grew since the turn began
 *   queue_left           when they had read everything
 *   closed               connections that the server ended for not reading; from here on over all
 *                        turns
 *   dropped              messages, by the server's count; then by theirs: lost, …
 *   returned             of the closed: came back with their position
 *   trickling_returned   of these
 *   trickled             messages that reached those who trickle while they did
 *   latest               had the latest message in the end; of readers x turns */
#define STALL_COUNTS(X)                                                                            \
    X(readers)                                                                                     \
    X(trickling)                                                                                   \
    X(turns)                                                                                       \
    X(queue_bytes_max)                                                                             \
    X(bound_bytes)                                                                                 \
    X(queue_bytes)                                                                                 \
    X(rss_bytes)                                                                                   \
    X(tcp_bytes)                                                                                   \
    X(queue_left)                                                                                  \
    X(closed)                                                                                      \
    X(dropped)                                                                                     \
    X(lost)                                                                                        \
    X(duplicate)                                                                                   \
    X(out_of_order)                                                                                \
    X(corrupt)                                                                                     \
    X(returned)                                                                                    \
    X(trickling_returned)                                                                          \
    X(unrecovered)                                                                                 \
    X(trickled)                                                                                    \
    X(latest)

struct stall {
    const char *policy;
#define STALL_FIELD(name) uint64_t name;
    STALL_COUNTS(STALL_FIELD)
#undef STALL_FIELD
};

/* The object of docs/RESULTS.md; a new reference. */
json_t *stall_json(const struct stall *stall);
