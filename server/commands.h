/* commands: what ringside-server does besides serving, and then ends.
 *
 *   ringside-server gen-config [options]     the settings as they would be, as a file with comments
 *   ringside-server check-config [options]   whether it would start with them, without listening
 *   ringside-server health [options]         whether the one with these settings serves
 *   ringside-server gen-token --key …        a token for tests, and for who has no library
 *
 * Threads  main's.
 * Errors   A sentence on stderr, and exit code 1. */
#pragma once

#include "conf/settings.h"

enum command {
    COMMAND_SERVE,
    COMMAND_GEN_CONFIG,
    COMMAND_CHECK_CONFIG,
    COMMAND_HEALTH,
    COMMAND_GEN_TOKEN,
};

/* The command that the first argument names; it is taken off the others. */
enum command command_take(int *argc, char **argv);

/* Those that have the options of the server. Returns the exit code. */
int command_run(enum command command, const struct settings *settings);

/* The one that has its own. */
int command_gen_token(int argc, char **argv);
