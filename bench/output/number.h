/* number: figures as people read them, for sentences and what is seen of a run.
 *
 * Threads  any.
 * Memory   the caller's; what is returned is `text`. */
#pragma once

#include <stdint.h>

#define NUMBER_TEXT_MAX 28 /* the largest, in groups, is 26 characters */

/* 950, 9.5k, 104k, 1.25M */
const char *number_short(char text[NUMBER_TEXT_MAX], double value);
/* 10,000 */
const char *number_grouped(char text[NUMBER_TEXT_MAX], uint64_t value);
/* 850 ns, 12.3 us, 4.56 ms, 1.20 s */
const char *number_time(char text[NUMBER_TEXT_MAX], double ns);
/* 95 B, 4.6 KiB, 1.2 GiB */
const char *number_bytes(char text[NUMBER_TEXT_MAX], double bytes);
