/* health: asks the server that runs with these settings how it is, for images that have no curl.
 *
 * Threads  main's.
 * Bounds   5 s for each step of one request.
 * Errors   A sentence on stderr. */
#pragma once

#include "conf/settings.h"

/* Asks /healthz at admin_listen, or else at listen. Returns the exit code: 0 when it serves, 1 when
 * it drains, or does not answer. */
int health_ask(const struct settings *settings);
