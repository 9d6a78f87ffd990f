/* vector: which vector units this machine has. Internal to wire/.
 *
 * 16-byte vectors are written with the compiler's portable vector types, so that they become SSE2,
 * NEON or plain registers. AVX2 is not in the x86-64 baseline: what uses it is compiled for it one
 * function at a time, and called only if the CPU has it.
 *
 * Threads  any.
 * Memory   none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef uint64_t vector_128 __attribute__((vector_size(16)));
typedef uint64_t vector_256 __attribute__((vector_size(32)));
typedef uint8_t vector_bytes_128 __attribute__((vector_size(16)));

/* Whether any byte has its high bit set, as a byte of a comparison that holds has. */
static inline bool vector_any_high_128(vector_128 block)
{
#if defined(__x86_64__)
    return _mm_movemask_epi8((__m128i)block) != 0;
#else
    return ((block[0] | block[1]) & UINT64_C(0x8080808080808080)) != 0;
#endif
}

#if defined(__x86_64__)
#define VECTOR_AVX2 __attribute__((target("avx2")))
/* One load and a test: the compiler's start-up code has asked the CPU. */
static inline bool vector_has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

/* The argument goes by address: not all callers are compiled for its register. */
VECTOR_AVX2 static inline bool vector_any_high_256(const vector_256 *block)
{
    return _mm256_movemask_epi8((__m256i)*block) != 0;
}
#endif
