/* publication: a message as clients of the Centrifuge protocol are given it.
 *
 * Threads  Any. What a payload is, JSON or not, is found by the first who asks, and kept in the
 *          message for all others. */
#pragma once

#include "core/message.h"
#include "wire/centrifuge.h"

struct centrifuge_publication publication_of(struct message *message);
