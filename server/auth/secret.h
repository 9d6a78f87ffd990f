/* secret: where the settings say that a secret is, and what is there.
 *
 *   file:/etc/ringside/api.key      env:RINGSIDE_API_KEY
 *
 * Threads  Any.
 * Memory   The caller's, who wipes it as soon as a key is made of it.
 * Bounds   SECRET_BYTES_MAX.
 * Errors   Negative errno and a sentence that names the source, never what is in it. Internal to
 *          auth/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    SECRET_BYTES_MAX = 16 * 1024,
};

struct secret {
    char bytes[SECRET_BYTES_MAX];
    size_t len;
};

/* Reads "file:PATH" or "env:NAME", without the line ends behind it. */
int secret_read(struct secret *ret, const char *source, char *why, size_t why_size);

/* Whether the text begins so; then it goes on behind that. */
bool secret_prefix_take(const char **text, const char *prefix);

/* Calls `use` for each of a list's items, until one fails. What it reads into `secret` is wiped. */
typedef int secret_use(void *context, const char *item, struct secret *secret, char *why,
                       size_t why_size);
int secret_each(const char *list, secret_use *use, void *context, char *why, size_t why_size);
