/* How many tokens one core verifies in a second, and what it costs to ask whether one is revoked:
 *
 *   build/release/tests/unit/auth/measure-tokens [seconds for each]
 *
 * prints a line for each. No test: it holds nothing against a clock, and asserts that each token is
 * right. */
#include "conn/sign_on.c"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "auth/jwt.h"
#include "vectors.h"

enum {
    AT_ONCE = 64,
    REVOKED = 50000,
};

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct jwt_keys keys;

static void make_keys(void)
{
    struct jwt_key *key = keys.list;
    int err = jwt_key_hs256(key++, (struct span){0}, SPAN(VECTORS_SECRET));
    err |= jwt_key_public(key++, JWT_RS256, (struct span){0}, SPAN(VECTORS_RSA));
    err |= jwt_key_public(key++, JWT_ES256, (struct span){0}, SPAN(VECTORS_EC));
    assert(err == 0);
    keys.count = (unsigned)(key - keys.list);
}

static void verify(const void *context)
{
    static char area[JWT_AREA_BYTES];
    const struct jwt_rules rules = {.keys = &keys, .now_s = VECTORS_NOW_S};
    struct jwt_claims claims;
    int err = jwt_verify(&claims, *(const struct span *)context, &rules, area);
    assert(err == 0);
}

static void look_up(const void *context)
{
    static uint64_t at;
    struct signing signing = {.user = at++ * KIND_SALT | 1, .issued_s = 1};
    (void)sign_on_revoked(context, &signing, 1);
}

static void measure(const char *name, int64_t for_ns, void (*one)(const void *),
                    const void *context)
{
    uint64_t count = 0;
    int64_t began_ns = cpu_ns(), took_ns;
    do {
        for (unsigned i = 0; i < AT_ONCE; i++)
            one(context);
        count += AT_ONCE;
        took_ns = cpu_ns() - began_ns;
    } while (took_ns < for_ns);
    printf("%-22s %10.0f per second and core, %9.3f us each\n", name,
           (double)count * 1e9 / (double)took_ns, (double)took_ns / 1e3 / (double)count);
    fflush(stdout);
}

int main(int argc, char **argv)
{
#define GOOD_SPAN(name, token) static const struct span token_##name = SPAN_INIT(token);
    VECTORS_GOOD(GOOD_SPAN)
#define GOOD_USE(name, token) (void)token_##name;
    VECTORS_GOOD(GOOD_USE)
    static struct settings settings;
    static struct sign_ons signs = {.walk_at = NO_WALK};
    static const struct server server = {0};
    struct shard *shard = calloc(1, sizeof *shard);
    int64_t for_ns = (int64_t)((argc > 1 ? strtod(argv[1], NULL) : 1) * 1e9);
    assert(shard && for_ns > 0);
    make_keys();
    measure("HS256", for_ns, verify, &token_hs256);
    measure("RS256, 2048 bits", for_ns, verify, &token_rs256);
    measure("ES256", for_ns, verify, &token_es256);
    settings_default(&settings);
    shard->settings = &settings;
    shard->server = &server;
    shard->signs = &signs;
    measure("revoked? of none", for_ns, look_up, shard);
    for (uint64_t i = 0; i < REVOKED; i++)
        revoke(shard, &(struct revocation){i * KIND_SALT | 1, 0, INT64_MAX});
    measure("revoked? of 50,000", for_ns, look_up, shard);
    free(signs.revoked);
    free(shard);
    return 0;
}
