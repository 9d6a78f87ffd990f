/* reload: what SIGHUP reads again: the certificates, and the keys of tokens and servers.
 * log_file is opened anew.
 *
 * Threads  main's.
 * Errors   Each stays as it was when it cannot be read; a sentence on stderr says why. */
#pragma once

#include "conn/shard.h"

/* Reads all of it, and says what came of it. */
void reload(const struct server *server);
