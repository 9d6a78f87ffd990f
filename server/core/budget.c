#include "core/budget.h"

#include <assert.h>
#include <stddef.h>
#include <utlist.h>

static uint8_t class_of(uint64_t bytes)
{
    unsigned log = 63 - (unsigned)__builtin_clzll(bytes);
    return (uint8_t)(log < BUDGET_CLASSES ? log : BUDGET_CLASSES - 1);
}

static void unlink_charge(struct charge *charge)
{
    DL_DELETE(charge->budget->classes[charge->class], charge);
}

void budget_set(struct budget *budget, struct charge *charge, uint32_t holder, uint64_t bytes,
                int64_t now_ns)
{
    assert(!charge->budget || charge->budget == budget);
    if (bytes == 0) {
        budget_clear(charge);
        return;
    }
    uint8_t class = class_of(bytes);
    budget->bytes += bytes - charge->bytes;
    charge->bytes = bytes;
    if (charge->budget && charge->class == class)
        return;
    if (charge->budget)
        unlink_charge(charge);
    else
        budget->holders++;
    charge->budget = budget;
    charge->class = class;
    charge->since_ns = now_ns;
    charge->holder = holder;
    DL_APPEND(budget->classes[class], charge);
}

void budget_clear(struct charge *charge)
{
    if (!charge->budget)
        return;
    charge->budget->bytes -= charge->bytes;
    charge->budget->holders--;
    unlink_charge(charge);
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
        uint64_t held_ns = (uint64_t)(now_ns - first->since_ns) + 1;
        unsigned __int128 product = (unsigned __int128)first->bytes * held_ns;
        if (product < most)
            continue;
        most = product;
        worst = first->holder;
    }
    return worst;
}
