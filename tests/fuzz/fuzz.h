/* fuzz: what the fuzzers share. Each fuzz_<codec>.c holds one LLVMFuzzerTestOneInput, which
 * libFuzzer feeds with what it makes up, and replay_main.c with the files of a corpus.
 *
 * A broken promise is a failed assertion. The promises are of the same few kinds: the same bytes in
 * other pieces say the same; the fast path says what the plain one says; what was read and is
 * written again is what was read.
 *
 * Threads  one. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "feed.h"
#include "wire/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct span fuzz_input(const uint8_t *data, size_t size)
{
    return span_of((const char *)data, size);
}

/* The first byte of an input, which chooses a setting; 0 when there is none. */
static inline uint8_t fuzz_choice(struct span *input)
{
    if (input->len == 0)
        return 0;
    uint8_t choice = (uint8_t)input->ptr[0];
    *input = span_skip(*input, 1);
    return choice;
}

/* Ways to cut an input: byte by byte, in two at a place that its bytes choose, and in pieces of
 * their choice. What is fed whole is what these are compared with. */
#define FUZZ_CUTS 3
static inline void fuzz_cut(struct span input, size_t which, size_t *ret_first, uint64_t *ret_step)
{
    uint64_t seed = input.len;
    for (size_t i = 0; i < input.len && i < 64; i++)
        seed = seed * 31 + (uint8_t)input.ptr[i];
    size_t firsts[FUZZ_CUTS] = {1, random_next(&seed) % (input.len + 1), 0};
    uint64_t steps[FUZZ_CUTS] = {1, 0, FEED_VARIED | seed};
    *ret_first = firsts[which];
    *ret_step = steps[which];
}
