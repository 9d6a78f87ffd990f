/* hdr: a histogram as text that other programs read.
 *
 *   base64( cookie | length | zlib( header | counts ) )      numbers big-endian
 *   counts: zigzag LEB128; a negative one is so many empty buckets
 *
 * Idea     core/histogram has the buckets of HdrHistogram with three digits, so its encoding (V2,
 *          compressed, as in its logs) keeps every count in some kilobytes of run.json, where a
 *          line for each bucket would take a hundred times as much.
 * Threads  any.
 * Memory   the text is the caller's, who frees it. */
#pragma once

#include "core/histogram.h"

/* Returns NULL when memory is out. */
char *hdr_encode(const struct histogram *histogram);
