/* vanishing: a seeded share of a run's clients falls silent without a word (--vanish), and the
 * server has to find them by itself: what the clients know of it, and what the server counted.
 *
 *   field_open ─► vanishing_begin ─► turns, or quiet ─► vanishing_end
 *
 * Idea     They leave the ledger with the connection that is silent: it stays exact for the others.
 * Threads  the field's.
 * Memory   vanishing_begin to vanishing_end.
 * Bounds   VANISHING_PATIENCE_S for the server to find them. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "experiment/field.h"
#include "measure/http_get.h"

enum {
    VANISHING_PATIENCE_S = 90, /* two heartbeats of 25 s, or one and stall_timeout_ms of 30 s */
};

struct vanishing {
    uint32_t clients;    /* connections that fell silent; 0: there are none */
    struct http_get get; /* of the server that they were connected to */
    json_t *before;      /* closes by reason, from before */
    int64_t begun_ns;
};

/* Those of all transports of the field, which have one server, fall silent; without --vanish
 * nothing happens. Returns 0 or negative errno after a sentence. */
int vanishing_begin(struct vanishing *ret, struct field *field);

/* Waits until the server has closed so many, unless the run has failed already (`err`), and says
 * so in the result. Returns `err`; 0 also when some are left; or -EINTR. */
int vanishing_end(struct vanishing *vanishing, struct field *field, struct contestant *into,
                  int err);
