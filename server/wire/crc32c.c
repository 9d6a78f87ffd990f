#include "wire/crc32c.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* The polynomial 0x1edc6f41, reflected, for four bits at a time. */
static const uint32_t table[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

/* All below work on the complement of the checksum. */
static uint32_t by_table(uint32_t state, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        state ^= bytes[i];
        state = table[state & 15] ^ state >> 4;
        state = table[state & 15] ^ state >> 4;
    }
    return state;
}

#if defined(__x86_64__)
#define HAS_INSTRUCTION __builtin_cpu_supports("sse4.2")
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t state,
                                                                 const uint8_t *bytes, size_t len)
{
    uint64_t wide = state;
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    for (; len > 0; bytes++, len--)
        wide = _mm_crc32_u8((uint32_t)wide, *bytes);
    return (uint32_t)wide;
}
#elif defined(__aarch64__)
#define HAS_INSTRUCTION ((getauxval(AT_HWCAP) & HWCAP_CRC32) != 0)

/* Written out, since arm_acle.h has them only where the whole program may use them. */
#define CRC_STEP(instruction, size, state, value)                                                  \
    __asm__(".arch_extension crc\n\t" instruction " %w0, %w0, %" size "1"                          \
            : "+r"(state)                                                                          \
            : "r"(value))

static uint32_t by_instruction(uint32_t state, const uint8_t *bytes, size_t len)
{
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, bytes, sizeof word);
        CRC_STEP("crc32cx", "x", state, word);
    }
    for (; len > 0; bytes++, len--)
        CRC_STEP("crc32cb", "w", state, (uint32_t)*bytes);
    return state;
}
#else
#define HAS_INSTRUCTION 0
#define by_instruction  by_table
#endif

uint32_t crc32c(uint32_t crc, const uint8_t *bytes, size_t len)
{
    return ~(HAS_INSTRUCTION ? by_instruction(~crc, bytes, len) : by_table(~crc, bytes, len));
}
