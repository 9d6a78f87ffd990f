#include "load/doubts.h"

void doubts_add(struct doubts *doubts, uint32_t number)
{
    if (doubts->count < DOUBTS_MAX)
        doubts->numbers[doubts->count++] = number;
}

bool doubts_have(const struct doubts *doubts, uint32_t number)
{
    for (uint32_t i = doubts->count; i > 0 && doubts->numbers[i - 1] >= number; i--)
        if (doubts->numbers[i - 1] == number)
            return true;
    return false;
}

uint32_t doubts_between(const struct doubts *doubts, uint32_t channels, uint32_t channel,
                        uint32_t from, uint32_t to)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < doubts->count; i++) {
        uint32_t at = doubts->numbers[i] - 1;
        uint32_t sequence = at / channels + 1;
        found += at % channels == channel && sequence >= from && sequence < to;
    }
    return found;
}
