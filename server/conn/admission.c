#include "conn/admission.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

enum {
    /* Clients are not exact: a part of the wait at random keeps two shards from filling the same
     * moments, and costs a client an eighth more at most. */
    JITTER_PART = 8,
};

/* splitmix64 */
static uint64_t next_random(struct admission *admission)
{
    uint64_t z = (admission->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* From 0 to `most`, both included. */
static int64_t random_upto(struct admission *admission, int64_t most)
{
    return (int64_t)(next_random(admission) % ((uint64_t)most + 1));
}

void admission_init(struct admission *admission, const struct settings *settings, unsigned shards,
                    uint64_t seed)
{
    *admission = (struct admission){
        .burst_ns = settings->admit_burst_ms * NS_PER_MS,
        .wait_ns_max = settings->admit_wait_ms_max * NS_PER_MS,
        .retry_ms = settings->retry_ms,
        .retry_spread_ms = settings->retry_spread_ms,
        .random = seed,
    };
    if (settings->admits_per_s > 0)
        admission->interval_ns = NS_PER_S * (int64_t)shards / settings->admits_per_s;
}

/* Whole milliseconds, and never 0: that would mean "in". */
static uint32_t wait_ms(int64_t wait_ns)
{
    return (uint32_t)((wait_ns + NS_PER_MS - 1) / NS_PER_MS) | (wait_ns == 0);
}

/* The next place of the line. */
static int64_t place_ns(struct admission *admission, int64_t now_ns)
{
    if (admission->line_ns < admission->bucket_ns)
        admission->line_ns = admission->bucket_ns;
    int64_t wait_ns = admission->line_ns + admission->interval_ns - now_ns;
    if (wait_ns > admission->wait_ns_max) {
        int64_t half_ns = admission->wait_ns_max / 2;
        return half_ns + random_upto(admission, admission->wait_ns_max - half_ns);
    }
    admission->line_ns += admission->interval_ns;
    int64_t jitter_ns = random_upto(admission, wait_ns / JITTER_PART);
    return wait_ns + jitter_ns < admission->wait_ns_max ? wait_ns + jitter_ns
                                                        : admission->wait_ns_max;
}

uint32_t admission_ask(struct admission *admission, int64_t now_ns)
{
    if (admission->interval_ns == 0)
        return 0;
    if (admission->bucket_ns < now_ns)
        admission->bucket_ns = now_ns;
    if (admission->bucket_ns - now_ns > admission->burst_ns)
        return wait_ms(place_ns(admission, now_ns));
    admission->bucket_ns += admission->interval_ns;
    return 0;
}

uint32_t admission_retry_ms(struct admission *admission)
{
    return (uint32_t)(admission->retry_ms + random_upto(admission, admission->retry_spread_ms));
}
