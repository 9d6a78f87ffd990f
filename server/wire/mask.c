#include "wire/mask.h"

#include <string.h>

#include "wire/vector.h"

static void mask_scalar(char *buf, size_t len, const uint8_t key[4])
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (char)((uint8_t)buf[i] ^ key[i & 3]);
}

/* These return how far they came: to the last whole vector, a multiple of four. */
static size_t mask_128(char *buf, size_t len, uint64_t key)
{
    size_t done = 0;
    vector_128 keys = {key, key};
    for (vector_128 block; len - done >= sizeof block; done += sizeof block) {
        memcpy(&block, buf + done, sizeof block);
        block ^= keys;
        memcpy(buf + done, &block, sizeof block);
    }
    return done;
}

#ifdef VECTOR_AVX2
VECTOR_AVX2 static size_t mask_256(char *buf, size_t len, uint64_t key)
{
    size_t done = 0;
    vector_256 keys = {key, key, key, key};
    for (vector_256 block; len - done >= sizeof block; done += sizeof block) {
        memcpy(&block, buf + done, sizeof block);
        block ^= keys;
        memcpy(buf + done, &block, sizeof block);
    }
    return done;
}
#endif

void mask_apply(char *buf, size_t len, const uint8_t key[4])
{
    size_t done = 0;
    uint64_t twice;
    memcpy(&twice, key, 4);
    memcpy((char *)&twice + 4, key, 4);
#ifdef VECTOR_AVX2
    if (len >= 64 && vector_has_avx2())
        done = mask_256(buf, len, twice);
#endif
    done += mask_128(buf + done, len - done, twice);
    mask_scalar(buf + done, len - done, key);
}

void mask_rotate(uint8_t key[4], uint64_t count)
{
    uint8_t old[4];
    memcpy(old, key, sizeof old);
    for (size_t i = 0; i < sizeof old; i++)
        key[i] = old[(i + count) & 3];
}
