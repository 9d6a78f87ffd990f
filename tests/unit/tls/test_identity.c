#include <errno.h>

#include "tls_test.h"

static void test_names(void **state)
{
    (void)state;
    struct tls_identities *set = identities_of("ec", "wild");
    const struct tls_identity *ec = tls_identities_at(set, 0), *wild = tls_identities_at(set, 1);
    assert_int_equal(tls_identities_count(set), 2);
    assert_true(tls_identity_named(ec, "a.example"));
    assert_true(tls_identity_named(ec, "WWW.A.example"));
    assert_false(tls_identity_named(ec, "b.a.example"));
    assert_false(tls_identity_named(ec, ""));
    assert_true(tls_identity_named(wild, "x.b.example"));
    assert_true(tls_identity_named(wild, "*.b.example"));
    assert_false(tls_identity_named(wild, "b.example"));
    assert_false(tls_identity_named(wild, ".b.example"));
    assert_false(tls_identity_named(wild, "x.y.b.example"));
    assert_int_equal(tls_identity_curve(ec), BR_EC_secp256r1);
    assert_true(ec->expires_s > INT64_C(4900000000) && ec->expires_s < INT64_C(5000000000));
    tls_identities_unref(set);
}

/* The sentence has what the operator needs to find the fault. */
static void refused(const char *chain, const char *key, const char *says)
{
    char pairs[1024], why[512] = "";
    struct tls_identities *set = NULL;
    snprintf(pairs, sizeof pairs, CERTIFICATES "/%s:" CERTIFICATES "/%s", chain, key);
    assert_true(tls_identities_read(&set, pairs, why, sizeof why) < 0);
    assert_null(set);
    if (!strstr(why, says))
        fail_msg("\"%s\" lacks \"%s\"", why, says);
}

static void test_refused_files(void **state)
{
    (void)state;
    refused("absent.pem", "ec.key.pem", "absent.pem: No such file");
    refused("ec.pem", "absent.pem", "absent.pem: No such file");
    refused("ec.key.pem", "ec.key.pem", "has no certificate");
    refused("ec.pem", "ec.pem", "has no private key");
    refused("ec.pem", "encrypted.key.pem", "is encrypted");
    refused("ec.pem", "ed25519.key.pem", "neither RSA of at most 4096 bits nor ECDSA");
    refused("ec.pem", "wild.key.pem", "is not the key of the first certificate");
    refused("ec.pem", "rsa.key.pem", "is not the key of the first certificate");
    refused("rsa.pem", "ec.key.pem", "is not the key of the first certificate");
    refused("README.md", "ec.key.pem", "has no certificate");
}

static void test_refused_pairs(void **state)
{
    (void)state;
    static const char *const pairs[] = {"", "  ", "one.pem", ":key.pem", "chain.pem:"};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        char why[512];
        struct tls_identities *set = NULL;
        assert_int_equal(tls_identities_read(&set, pairs[i], why, sizeof why), -EINVAL);
        assert_non_null(strstr(why, "tls_certificates"));
    }
}

/* How much of a PEM file there must be at least: up to its last end line. */
static size_t needed(const char *pem, size_t len)
{
    while (len > 0 && memcmp(pem + len, "-----END", 8) != 0)
        len--;
    return len;
}

/* A file cut off at any byte is refused, unless only the end of its end line is missing. */
static void test_cut_off(void **state)
{
    (void)state;
    size_t chain_len, key_len;
    char *chain = file_of("ec.pem", &chain_len), *key = file_of("sec1.key.pem", &key_len);
    char why[512];
    for (size_t len = 0; len < chain_len + key_len; len++) {
        struct tls_identities *set = tls_identities_create();
        size_t of_chain = len < chain_len ? len : chain_len;
        size_t of_key = len < chain_len ? key_len : len - chain_len;
        int err =
            tls_identities_add(set, chain, of_chain, "chain", key, of_key, "key", why, sizeof why);
        bool enough = of_chain > needed(chain, chain_len) && of_key > needed(key, key_len);
        assert_true(err < 0 || enough);
        assert_true(err == 0 || of_chain + 1 < chain_len || of_key + 1 < key_len);
        tls_identities_unref(set);
    }
    free(chain);
    free(key);
}

/* Anything but a certificate behind good base64. */
static void test_not_a_certificate(void **state)
{
    (void)state;
    static const char pem[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    size_t key_len;
    char why[512], *key = file_of("ec.key.pem", &key_len);
    struct tls_identities *set = tls_identities_create();
    assert_true(tls_identities_add(set, pem, sizeof pem - 1, "chain", key, key_len, "key", why,
                                   sizeof why) < 0);
    assert_non_null(strstr(why, "cannot be read"));
    tls_identities_unref(set);
    free(key);
}

/* The certificates behind the first one are not looked into, and count by their bytes. */
static void test_long_chain(void **state)
{
    (void)state;
    enum {
        LINE = 64,
        BYTES_OF_LINE = 48
    };
    static char pem[2 * TLS_CHAIN_BYTES_MAX];
    size_t chain_len, key_len;
    char *chain = file_of("ec.pem", &chain_len), *key = file_of("ec.key.pem", &key_len), why[512];
    for (unsigned lines = TLS_CHAIN_BYTES_MAX / BYTES_OF_LINE - 20;; lines++) {
        int len =
            snprintf(pem, sizeof pem, "%.*s-----BEGIN CERTIFICATE-----\n", (int)chain_len, chain);
        for (unsigned i = 0; i < lines; i++) {
            memset(pem + len, 'A', LINE);
            pem[len + LINE] = '\n';
            len += LINE + 1;
        }
        len += snprintf(pem + len, sizeof pem - (size_t)len, "-----END CERTIFICATE-----\n");
        struct tls_identities *set = tls_identities_create();
        int err = tls_identities_add(set, pem, (size_t)len, "chain", key, key_len, "key", why,
                                     sizeof why);
        tls_identities_unref(set);
        assert_true(lines * BYTES_OF_LINE <= TLS_CHAIN_BYTES_MAX);
        if (err == 0)
            continue;
        assert_int_equal(err, -E2BIG);
        assert_non_null(strstr(why, "chain: its certificates have 49"));
        break;
    }
    free(chain);
    free(key);
}

static void test_counted(void **state)
{
    (void)state;
    struct tls_identities *set = identities_of("ec", NULL);
    assert_ptr_equal(tls_identities_ref(set), set);
    tls_identities_unref(set);
    assert_int_equal(tls_identities_count(set), 1);
    tls_identities_unref(set);
    tls_identities_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_refused_pairs),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_not_a_certificate),
        cmocka_unit_test(test_long_chain),
        cmocka_unit_test(test_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
