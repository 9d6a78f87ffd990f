/* places: the programs in Python, the peers and the scenarios that the bench comes with.
 *
 * They lie in share/ringside beside the folder of this program: /usr/share/ringside for
 * /usr/bin/ringside-bench. In a tree of builds Meson has put links to the sources there, so that
 * both have one rule, and no path of the sources is compiled in.
 *
 * Threads  any.
 * Memory   the caller's. */
#pragma once

enum {
    PLACES_PATH_MAX = 4096,
};

/* Writes the path of `name`, such as "report/finish.py", and returns it. It may not exist. */
const char *places_path(const char *name, char path[PLACES_PATH_MAX]);
