#include "core/budget.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <utlist.h>

enum {
    TICK_SHIFT = 20,
    CHARGE_CLASS_MAX = 63,
};
#define CHARGE_BYTES_MAX ((UINT64_C(1) << 58) - 1)
static_assert((int)BUDGET_CLASSES <= (int)CHARGE_CLASS_MAX, "a class has a place in a charge");

static unsigned class_of(uint64_t bytes)
{
    unsigned log = 63 - (unsigned)__builtin_clzll(bytes);
    return log < BUDGET_CLASSES ? log : BUDGET_CLASSES - 1;
}

static uint32_t tick_of(int64_t now_ns)
{
    return (uint32_t)((uint64_t)now_ns >> TICK_SHIFT);
}

static void unlink_charge(struct budget *budget, struct charge *charge)
{
    DL_DELETE(budget->classes[charge->class], charge);
}

void budget_set(struct budget *budget, struct charge *charge, uint32_t holder, uint64_t bytes,
                int64_t now_ns)
{
    if (bytes == 0) {
        budget_clear(budget, charge);
        return;
    }
    unsigned class = class_of(bytes);
    bool held = charge->bytes > 0;
    budget->bytes += bytes - charge->bytes;
    charge->bytes = bytes & CHARGE_BYTES_MAX;
    assert(charge->bytes == bytes);
    if (held && charge->class == class)
        return;
    if (held)
        unlink_charge(budget, charge);
    else
        budget->holders++;
    charge->class = class & CHARGE_CLASS_MAX;
    charge->since = tick_of(now_ns);
    charge->holder = holder;
    DL_APPEND(budget->classes[class], charge);
}

void budget_clear(struct budget *budget, struct charge *charge)
{
    if (charge->bytes == 0)
        return;
    budget->bytes -= charge->bytes;
    budget->holders--;
    unlink_charge(budget, charge);
    *charge = (struct charge){0};
}

uint32_t budget_worst(const struct budget *budget, int64_t now_ns)
{
    uint32_t worst = BUDGET_NONE;
    unsigned __int128 most = 0;
    for (unsigned class = 0; class < BUDGET_CLASSES; class ++) {
        const struct charge *first = budget->classes[class];
        if (!first)
            continue;
        /* One tick at least: what came in this turn counts by its bytes. */
        uint64_t held = (uint64_t)(uint32_t)(tick_of(now_ns) - first->since) + 1;
        unsigned __int128 product = (unsigned __int128)first->bytes * held;
        if (product < most)
            continue;
        most = product;
        worst = first->holder;
    }
    return worst;
}
