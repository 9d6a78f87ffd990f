/* random: chance from a seed (splitmix64): any seed gives a sequence of its own.
 *
 * Threads  any.
 * Memory   a state is the caller's; its value is the seed. */
#pragma once

#include <stdint.h>

static inline uint64_t random_mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t random_next(uint64_t *state)
{
    return random_mixed(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/* 0 … 1, without 1. */
static inline double random_part(uint64_t z)
{
    return (double)(z >> 11) * 0x1p-53;
}
