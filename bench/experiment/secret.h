/* secret: what the tokens of a run are signed with, and its servers verify them by.
 *
 * Threads  one.
 * Memory   static. */
#pragma once

/* Drawn at random by the first call, which puts it into the environment too, for the servers that
 * are started from then on: secret_setting names it. */
const char *secret_of_run(void);

/* token_keys=…, for a server's --set. */
extern const char secret_setting[];
