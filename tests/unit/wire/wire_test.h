/* wire_test: what the tests of the codecs share.
 *
 * Threads  one.
 * Memory   none. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/span.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define assert_span(actual, expected) assert_span_at(actual, expected, __FILE__, __LINE__)

static inline void assert_span_at(struct span actual, struct span expected, const char *file,
                                  int line)
{
    if (span_equal(actual, expected))
        return;
    print_error("got      \"%.*s\"\nexpected \"%.*s\"\n", (int)actual.len, actual.ptr,
                (int)expected.len, expected.ptr);
    _fail(file, line);
}
