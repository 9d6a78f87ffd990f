/* Tokens by PyJWT (vectors.h) are understood; whatever is wrong with one has its own error. */
#include "auth/jwt.h"

#include <errno.h>
#include <stdlib.h>

#include "wire_test.h"
#include "vectors.h"

static struct jwt_keys keys;

static int make_keys(void **state)
{
    (void)state;
    struct jwt_key *key = keys.list;
    assert_int_equal(jwt_key_hs256(key++, (struct span){0}, SPAN(VECTORS_SECRET)), 0);
    assert_int_equal(
        jwt_key_hs256(key++, SPAN("k\xc3\xa9y"), SPAN("another secret of thirty-two bytes!!")), 0);
    assert_int_equal(jwt_key_public(key++, JWT_RS256, (struct span){0}, SPAN(VECTORS_RSA)), 0);
    assert_int_equal(jwt_key_public(key++, JWT_RS256, SPAN("big"), SPAN(VECTORS_RSA4096)), 0);
    assert_int_equal(jwt_key_public(key++, JWT_ES256, (struct span){0}, SPAN(VECTORS_EC)), 0);
    keys.count = (unsigned)(key - keys.list);
    return 0;
}

static struct jwt_rules rules_at(int64_t now_s)
{
    return (struct jwt_rules){.keys = &keys, .now_s = now_s, .leeway_s = 10};
}

/* Of a copy that ends where the token does, so that a sanitizer sees who reads on. */
static int verify(struct span token, const struct jwt_rules *rules, struct jwt_claims *claims,
                  char area[JWT_AREA_BYTES])
{
    char *copy = malloc(token.len + (token.len == 0));
    assert_non_null(copy);
    memcpy(copy, token.ptr, token.len);
    int err = jwt_verify(claims, span_of(copy, token.len), rules, area);
    free(copy);
    return err;
}

enum {
#define GOOD_ENUM(name, token) GOOD_##name,
    VECTORS_GOOD(GOOD_ENUM) GOOD_COUNT,
};
#define GOOD_ROW(name, token) [GOOD_##name] = SPAN_INIT(token),
static const struct span good[] = {VECTORS_GOOD(GOOD_ROW)};

static void tokens_of_every_algorithm_are_verified(void **state)
{
    static const unsigned plain[] = {GOOD_hs256, GOOD_hs256_kid, GOOD_rs256, GOOD_rs256_4096,
                                     GOOD_es256};
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        char area[JWT_AREA_BYTES];
        struct jwt_claims claims;
        assert_int_equal(verify(good[plain[i]], &rules, &claims, area), 0);
        assert_span(claims.sub, SPAN("alice"));
        assert_span(claims.jti, SPAN("t-1"));
        assert_int_equal(claims.exp_s, VECTORS_NOW_S + 60);
        assert_int_equal(claims.ends_s, VECTORS_NOW_S + 60);
        assert_int_equal(claims.iat_s, VECTORS_NOW_S - 60);
        assert_int_equal(claims.channel.len + claims.info.len + claims.channels.len, 0);
    }
}

static void all_claims_are_read(void **state)
{
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    char area[JWT_AREA_BYTES];
    struct jwt_claims claims;
    (void)state;
    rules.audience = SPAN("push");
    rules.issuer = SPAN("me");
    assert_int_equal(verify(good[GOOD_full], &rules, &claims, area), 0);
    assert_span(claims.channel, SPAN("news:\xc3\xa9\"x\\"));
    assert_span(claims.client, SPAN("c-9"));
    assert_span(claims.info, SPAN("{\"a\":[1,\"}\"]}"));
    assert_span(claims.b64info, SPAN("eyJ4IjoxfQ=="));
    assert_span(claims.channels, SPAN("[\"a\",\"b:\\\"c\\\"\"]"));
    assert_span(claims.meta, SPAN("\"m\""));
    assert_span(claims.subs, SPAN("{\"d\":{\"data\":{}}}"));
    assert_span(claims.override, SPAN("{\"presence\":{\"value\":true}}"));
    assert_int_equal(claims.ends_s, VECTORS_NOW_S + 600);
    assert_int_equal(claims.exp_s, VECTORS_NOW_S + 60);
    assert_true(jwt_gives_channel(&claims, SPAN("news:\xc3\xa9\"x\\")));
    assert_true(jwt_gives_channel(&claims, SPAN("a")));
    assert_true(jwt_gives_channel(&claims, SPAN("b:\"c\"")));
    assert_true(jwt_gives_channel(&claims, SPAN("d")));
    assert_false(jwt_gives_channel(&claims, SPAN("data")));
    assert_false(jwt_gives_channel(&claims, SPAN("")));

    rules.issuer = SPAN("you");
    assert_int_equal(verify(good[GOOD_full], &rules, &claims, area), JWT_ERROR_ISSUER);
    assert_int_equal(verify(good[GOOD_hs256], &rules, &claims, area), JWT_ERROR_AUDIENCE);
    rules.audience = (struct span){0};
    assert_int_equal(verify(good[GOOD_hs256], &rules, &claims, area), JWT_ERROR_ISSUER);
}

static void claims_may_be_missing(void **state)
{
    static const unsigned rows[] = {GOOD_empty, GOOD_nulls};
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    char area[JWT_AREA_BYTES];
    struct jwt_claims claims;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(verify(good[rows[i]], &rules, &claims, area), 0);
        assert_int_equal(claims.sub.len + claims.info.len, 0);
        assert_int_equal(claims.exp_s, 0);
        assert_int_equal(claims.ends_s, 0);
    }
    assert_int_equal(verify(good[GOOD_never_ends], &rules, &claims, area), 0);
    assert_int_equal(claims.ends_s, 0);
    assert_int_equal(claims.exp_s, VECTORS_NOW_S + 60);
}

static void time_has_a_leeway(void **state)
{
    char area[JWT_AREA_BYTES];
    struct jwt_claims claims;
    struct jwt_rules rules = rules_at(VECTORS_NOW_S + 69);
    (void)state;
    assert_int_equal(verify(good[GOOD_hs256], &rules, &claims, area), 0);
    rules.now_s++;
    assert_int_equal(verify(good[GOOD_hs256], &rules, &claims, area), JWT_ERROR_EXPIRED);
    rules = rules_at(VECTORS_NOW_S);
    assert_int_equal(verify(good[GOOD_fraction], &rules, &claims, area), 0);
    assert_int_equal(claims.exp_s, VECTORS_NOW_S);
}

static void what_is_wrong_is_told(void **state)
{
#define BAD_ROW(NAME, token) {JWT_ERROR_##NAME, SPAN_INIT(token)},
    static const struct {
        int err;
        struct span token;
    } rows[] = {VECTORS_BAD(BAD_ROW)};
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char area[JWT_AREA_BYTES];
        struct jwt_claims claims;
        memset(&claims, 0x5a, sizeof claims);
        struct jwt_claims before = claims;
        int err = verify(rows[i].token, &rules, &claims, area);
        if (err != rows[i].err)
            fail_msg("row %zu: %s, not %s: %.*s", i, err < 0 ? jwt_error_name(err) : "taken",
                     jwt_error_name(rows[i].err), (int)rows[i].token.len, rows[i].token.ptr);
        assert_memory_equal(&claims, &before, sizeof claims);
        assert_true(strlen(jwt_error_sentence(err)) > 0);
    }
}

static void no_part_of_a_token_is_one(void **state)
{
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    char area[JWT_AREA_BYTES];
    struct jwt_claims claims;
    (void)state;
    for (size_t len = 0; len < good[GOOD_hs256].len; len++)
        assert_true(verify(span_of(good[GOOD_hs256].ptr, len), &rules, &claims, area) < 0);
}

/* A key is used by its own algorithm, or not at all. */
static void without_a_key_nothing_is_taken(void **state)
{
    struct jwt_keys none = {.count = 0};
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    (void)state;
    rules.keys = &none;
    for (unsigned i = 0; i < GOOD_COUNT; i++) {
        char area[JWT_AREA_BYTES];
        struct jwt_claims claims;
        int err = verify(good[i], &rules, &claims, area);
        assert_true(err == JWT_ERROR_ALGORITHM || err == JWT_ERROR_KEY);
    }
}

/* Those of public keys are counted off, also wrong ones; those of secrets are not. */
static void signatures_can_be_bounded(void **state)
{
    unsigned left = 2;
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    char area[JWT_AREA_BYTES];
    struct jwt_claims claims;
    (void)state;
    rules.signatures = &left;
    assert_int_equal(verify(good[GOOD_es256], &rules, &claims, area), 0);
    assert_int_equal(verify(good[GOOD_hs256], &rules, &claims, area), 0);
    assert_int_equal(left, 1);
    assert_int_equal(verify(good[GOOD_rs256], &rules, &claims, area), 0);
    assert_int_equal(verify(good[GOOD_rs256], &rules, &claims, area), JWT_ERROR_CROWDED);
    assert_int_equal(verify(good[GOOD_hs256_kid], &rules, &claims, area), 0);
}

static void what_is_no_key_is_refused(void **state)
{
    static const struct span none = {0};
    struct jwt_key key;
    (void)state;
    assert_int_equal(jwt_key_public(&key, JWT_RS256, none, SPAN(VECTORS_EC)), -EINVAL);
    assert_int_equal(jwt_key_public(&key, JWT_ES256, none, SPAN(VECTORS_RSA)), -EINVAL);
    assert_int_equal(jwt_key_public(&key, JWT_ES256, none, SPAN(VECTORS_P384)), -EINVAL);
    assert_int_equal(jwt_key_public(&key, JWT_HS256, none, SPAN(VECTORS_RSA)), -EINVAL);
    assert_int_equal(jwt_key_public(&key, JWT_ES256, none, SPAN("")), -EINVAL);
    assert_int_equal(jwt_key_hs256(&key, none, SPAN("")), -EINVAL);
    char kid[JWT_KID_MAX + 1] = {0};
    assert_int_equal(jwt_key_hs256(&key, span_of(kid, sizeof kid), SPAN("s")), -EINVAL);
    /* Cut anywhere before its last line. */
    struct span ec = SPAN(VECTORS_EC);
    for (size_t len = 0; len + strlen("-----END PUBLIC KEY-----\n") < ec.len; len++)
        assert_true(jwt_key_public(&key, JWT_ES256, none, span_of(ec.ptr, len)) < 0);
}

static void what_is_signed_here_is_verified(void **state)
{
    static const struct span claims_text = SPAN_INIT("{\"sub\":\"bob\",\"jti\":\"1\"}");
    struct jwt_rules rules = rules_at(VECTORS_NOW_S);
    char area[JWT_AREA_BYTES], token[JWT_BYTES_MAX];
    struct jwt_claims claims;
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        int len = jwt_sign_hs256(token, sizeof token, &keys.list[i], claims_text);
        assert_true(len > 0);
        assert_int_equal(verify(span_of(token, (size_t)len), &rules, &claims, area), 0);
        assert_span(claims.sub, SPAN("bob"));
        assert_int_equal(jwt_sign_hs256(token, (size_t)len - 1, &keys.list[i], claims_text),
                         -ENOBUFS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_every_algorithm_are_verified),
        cmocka_unit_test(all_claims_are_read),
        cmocka_unit_test(claims_may_be_missing),
        cmocka_unit_test(time_has_a_leeway),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(no_part_of_a_token_is_one),
        cmocka_unit_test(without_a_key_nothing_is_taken),
        cmocka_unit_test(signatures_can_be_bounded),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(what_is_signed_here_is_verified),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
