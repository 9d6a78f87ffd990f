/* build_info: which source this program was built from. The build asks git each time, so that a
 * figure names the commit that ran, and not the one that was checked out when the run ended.
 *
 * Threads  any.
 * Memory   constants. */
#pragma once

#include <stdbool.h>

enum {
    BUILD_COMMIT_SIZE = 40, /* digits of a commit in full */
};

extern const char build_version[];

/* As `git describe` says it: 40 digits, with "-dirty" behind them when files differed from the
 * commit; "unknown" outside a checkout. */
extern const char build_source[];
