/* Tokens. The input is what is signed, claims or a header and claims, and is signed here: else no
 * input would reach what stands behind the signature. A second byte breaks the token in one place:
 * then it is none. */
#include "fuzz.h"

#include <stdlib.h>

#include "auth/jwt.h"

static const struct jwt_keys *keys(void)
{
    static struct jwt_keys made;
    if (made.count == 0) {
        assert(jwt_key_hs256(&made.list[0], (struct span){0}, SPAN("the secret of a fuzzer")) == 0);
        assert(jwt_key_hs256(&made.list[1], SPAN("k"), SPAN("another secret")) == 0);
        made.count = 2;
    }
    return &made;
}

static bool inside(struct span part, const char *area)
{
    return part.len == 0 || (part.ptr >= area && part.ptr + part.len <= area + JWT_AREA_BYTES);
}

static int verify(struct span token, struct jwt_claims *claims)
{
    static char area[JWT_AREA_BYTES];
    const struct jwt_rules rules = {.keys = keys(), .now_s = 1000, .leeway_s = 5};
    char *copy = malloc(token.len + 1);
    assert(copy);
    memcpy(copy, token.ptr, token.len);
    int err = jwt_verify(claims, span_of(copy, token.len), &rules, area);
    free(copy);
    if (err < 0) {
        assert(err > -JWT_ERROR_COUNT && jwt_error_name(err) && jwt_error_sentence(err));
        return err;
    }
    const struct span parts[] = {claims->sub,     claims->jti,     claims->channel,  claims->client,
                                 claims->info,    claims->meta,    claims->channels, claims->subs,
                                 claims->b64info, claims->override};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert(inside(parts[i], area));
    (void)jwt_gives_channel(claims, claims->sub);
    assert(claims->channel.len == 0 || jwt_gives_channel(claims, claims->channel));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char token[2 * JWT_BYTES_MAX];
    struct span input = fuzz_input(data, size);
    uint8_t choice = fuzz_choice(&input), where = fuzz_choice(&input);
    struct jwt_claims claims, again;
    if (choice == 0) {
        verify(input, &claims);
        return 0;
    }
    int len = jwt_sign_hs256(token, sizeof token, &keys()->list[choice & 1], input);
    if (len < 0)
        return 0;
    int err = verify(span_of(token, (size_t)len), &claims);
    assert(err != JWT_ERROR_SIGNATURE && err != JWT_ERROR_ALGORITHM && err != JWT_ERROR_KEY);
    assert(err != JWT_ERROR_TOO_LONG || len > JWT_BYTES_MAX);
    /* Any other character is another token. */
    size_t at = where * (size_t)len / 256;
    token[at] = token[at] == 'A' ? 'B' : 'A';
    assert(verify(span_of(token, (size_t)len), &again) < 0);
    return 0;
}
