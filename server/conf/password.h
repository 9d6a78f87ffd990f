/* password: where the settings say that a password is, and what it is.
 *
 *   file:/etc/ringside/redis.password      env:REDIS_PASSWORD
 *
 * Threads  Any.
 * Memory   The caller's, who wipes it.
 * Errors   -EINVAL and a sentence that names the setting, never what is in it. */
#pragma once

#include <stddef.h>

/* Reads the setting NAME_password: `size` bytes with a zero behind them, without a line end. None
 * where the text is empty. */
int password_read(char *ret, size_t size, const char *name, const char *text, char *why,
                  size_t why_size);
