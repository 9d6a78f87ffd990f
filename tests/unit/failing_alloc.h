/* failing_alloc: memory that is out at a chosen moment. Include it once in a test that is linked
 * with failing_alloc_args; every object linked in statically then allocates through it.
 *
 *   failing_alloc_arm(n) ─► of those made inside, n succeed, the next one does not, later ones do
 *
 * Threads  One. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static struct {
    bool armed;
    bool inside; /* the code under test runs: what the test itself allocates does not count */
    unsigned left;
    size_t spared; /* allocations of this size always succeed; 0: none */
} failing_alloc;

static bool failing_alloc_is_due(size_t size)
{
    if (!failing_alloc.armed || !failing_alloc.inside || size == failing_alloc.spared ||
        failing_alloc.left-- > 0)
        return false;
    failing_alloc.armed = false;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return failing_alloc_is_due(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failing_alloc_is_due(count * size) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return failing_alloc_is_due(size) ? NULL : __real_realloc(old, size);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void failing_alloc_arm(unsigned successes)
{
    failing_alloc.armed = true;
    failing_alloc.left = successes;
}

/* Returns whether one has failed. */
static bool failing_alloc_disarm(void)
{
    bool failed = !failing_alloc.armed;
    failing_alloc.armed = false;
    return failed;
}
