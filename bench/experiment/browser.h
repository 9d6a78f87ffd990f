/* browser: a real one, headless, on a page that the bench writes.
 *
 *     browser_find ─► browser_open: a folder with page and profile, and the program on it
 *                  ─► … the server says what came … ─► browser_close
 *
 * Idea     The page is a file, so that browsers take it for local: a page from anywhere else has
 *          to ask people before it may reach this machine.
 * Threads  one.
 * Memory   in place.
 * Errors   0 or negative errno, after a sentence on standard error. */
#pragma once

#include "experiment/bench.h"

enum {
    BROWSER_PATH_MAX = 512,
    BROWSER_VERSION_MAX = 64,
};

struct browser {
    struct process process;
    char folder[BROWSER_PATH_MAX];
};

/* A Chromium on this machine: its program, and what it calls itself. Returns 0, or -ENOENT after a
 * sentence that says how one is had. */
int browser_find(char path[BROWSER_PATH_MAX], char version[BROWSER_VERSION_MAX]);

/* On the clients' CPUs, with a profile of its own. It asks nobody whether the certificate is good.
 */
int browser_open(struct bench *bench, struct browser *browser, const char *path, const char *page);

/* Ends it with all of its processes, and removes the folder. */
void browser_close(struct browser *browser);
