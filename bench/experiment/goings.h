/* goings: a part of the connections comes back, and in the end all leave: what a server sees of a
 * network that blinked, and of the evening.
 *
 * Idea     A server is empty when it says so itself: clients that have reset their connections
 *          prove nothing about the other end. Its gauge is asked until it has forgotten them all.
 * Threads  one.
 * Memory   into the contestant.
 * Bounds   RECONNECT_TIMEOUT, LEAVE_TIMEOUT; who is not back, or not forgotten, by then is said in
 *          a note. */
#pragma once

#include "experiment/field.h"

/* Resets a tenth of the entrant's connections, spread over all of them, and connects them again as
 * fast as they come. Returns 0 or negative errno. */
int goings_reconnect(struct field *field, unsigned index, struct contestant *into);

/* Resets all connections of the entrant and waits until its server has none of them left. Returns 0
 * or negative errno. */
int goings_leave(struct field *field, unsigned index, struct contestant *into);
