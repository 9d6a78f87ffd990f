/* glob: patterns of names, as a server asks for channels with them.
 *
 *   *      any characters, or none          [abc] [a-c]    one of these
 *   ?      one                              [!a-c]         one that is none of these
 *   \x     x itself
 *
 * Threads  any.
 * Bounds   At most pattern.len x text.len steps. */
#pragma once

#include <stdbool.h>

#include "wire/span.h"

/* Whether it is one: no [ without its ], nothing behind the last \, and no { or }. */
bool glob_valid(struct span pattern);

/* Whether a valid pattern stands for all of the text. */
bool glob_matches(struct span pattern, struct span text);
