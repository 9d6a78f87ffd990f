#include "courier/webhooks_internal.h"

#define MS_PER_S 1000

enum {
    DOUBLINGS_MAX = 40,
    RETRY_AFTER_S_MAX = 24 * 3600,
};

uint64_t patience_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t patience_ms(unsigned failures, int64_t least_ms, int64_t most_ms, int64_t retry_after_s,
                    uint64_t random)
{
    unsigned doublings = failures > 0 ? failures - 1 : 0;
    if (doublings > DOUBLINGS_MAX)
        doublings = DOUBLINGS_MAX;
    int64_t longest = most_ms >> doublings < least_ms ? most_ms : least_ms << doublings;
    int64_t half = longest / 2;
    int64_t wait_ms = half + (int64_t)(random % (uint64_t)(longest - half + 1));
    if (retry_after_s > RETRY_AFTER_S_MAX)
        retry_after_s = RETRY_AFTER_S_MAX;
    return retry_after_s * MS_PER_S > wait_ms ? retry_after_s * MS_PER_S : wait_ms;
}
