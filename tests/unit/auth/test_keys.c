/* Keys from files and from the environment: what is taken, what is refused and in which words, and
 * that no sentence has anything of a secret. */
#include "auth/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire_test.h"
#include "vectors.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static char folder[] = "/tmp/ringside-keys-XXXXXX";

static void file_write(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    file_write("secret", SECRET "\r\n");
    file_write("short", "0123456789abcde");
    file_write("empty", "");
    file_write("rsa", VECTORS_RSA);
    file_write("ec", VECTORS_EC);
    file_write("broken", "-----BEGIN PUBLIC KEY-----\nAAAA");
    return setenv("RINGSIDE_TEST_KEY", SECRET, 1);
}

static int end(void **state)
{
    static const char *const files[] = {"secret", "short", "empty", "rsa", "ec", "broken"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++)
        unlink(files[i]);
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

static int read_keys(struct auth_keys **ret, const char *tokens, const char *api, char *why,
                     size_t why_size)
{
    static struct settings settings;
    settings_default(&settings);
    why[0] = '\0';
    assert_int_equal(settings_set(&settings, "token_keys", tokens, why, why_size), 0);
    assert_int_equal(settings_set(&settings, "api_keys", api, why, why_size), 0);
    return auth_keys_read(ret, &settings, why, why_size);
}

static void keys_are_read(void **state)
{
    struct auth_keys *keys;
    char why[256];
    (void)state;
    assert_int_equal(read_keys(&keys,
                               "HS256:file:secret  RS256@a:file:rsa ES256:file:ec "
                               "HS256@b:env:RINGSIDE_TEST_KEY",
                               "env:RINGSIDE_TEST_KEY", why, sizeof why),
                     0);
    const struct jwt_keys *tokens = auth_keys_tokens(keys);
    assert_int_equal(tokens->count, 4);
    assert_int_equal(tokens->list[1].algorithm, JWT_RS256);
    assert_span(span_of(tokens->list[1].kid, tokens->list[1].kid_len), SPAN("a"));
    assert_int_equal(tokens->list[2].kid_len, 0);
    /* The line's end is not part of the secret. */
    assert_memory_equal(&tokens->list[0].hmac, &tokens->list[3].hmac, sizeof tokens->list[0].hmac);
    assert_int_equal(auth_keys_api_count(keys), 1);
    assert_true(auth_keys_api(keys, SPAN(SECRET)));
    assert_false(auth_keys_api(keys, SPAN(SECRET "0")));
    assert_false(auth_keys_api(keys, SPAN("0123456789abcdef")));
    assert_false(auth_keys_api(keys, SPAN("")));
    auth_keys_unref(auth_keys_ref(keys));
    auth_keys_unref(keys);
    assert_int_equal(read_keys(&keys, "", "", why, sizeof why), 0);
    assert_false(auth_keys_api(keys, SPAN("")));
    auth_keys_unref(keys);
    auth_keys_unref(NULL);
}

static void what_is_no_key_is_named(void **state)
{
    static const struct {
        const char *tokens, *api, *why;
    } rows[] = {
        {"HS512:file:secret", "", "needs ALGORITHM:file:PATH"},
        {"none:file:secret", "", "needs ALGORITHM:file:PATH"},
        {"HS256@:file:secret", "", "needs ALGORITHM:file:PATH"},
        {"HS256", "", "needs ALGORITHM:file:PATH"},
        {"HS256:" SECRET, "", "stands in file:PATH or env:NAME"},
        {"HS256:file:missing", "", "missing: No such file"},
        {"HS256:file:.", "", ".: Is a directory"},
        {"HS256:file:short", "", "a secret of 32 to 512 bytes"},
        {"HS256:file:empty", "", "a secret of 32 to 512 bytes"},
        {"HS256:file:rsa", "", NULL}, /* any bytes are a secret */
        {"RS256:file:ec", "", "an RSA public key"},
        {"ES256:file:rsa", "", "a public key on P-256"},
        {"ES256:file:broken", "", "a public key on P-256"},
        {"ES256:file:/dev/zero", "", "has 16384 bytes or more"},
        {"HS256:env:RINGSIDE_TEST_NONE", "", "no such variable"},
        {"", "file:short", "at least 16 bytes"},
        {"", "file:missing", "missing: No such file"},
        {"", SECRET, "stands in file:PATH or env:NAME"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct auth_keys *keys = NULL;
        char why[256];
        int err = read_keys(&keys, rows[i].tokens, rows[i].api, why, sizeof why);
        if (rows[i].why ? err == 0 || !strstr(why, rows[i].why) : err != 0)
            fail_msg("%s %s: %s", rows[i].tokens, rows[i].api, why);
        if (err == 0)
            auth_keys_unref(keys);
        bool given = strstr(rows[i].tokens, SECRET) || strstr(rows[i].api, SECRET);
        assert_true(given || !strstr(why, "0123456789"));
    }
}

static void keys_have_a_bound(void **state)
{
    char list[2048] = "", why[256];
    struct auth_keys *keys;
    (void)state;
    for (unsigned i = 0; i <= JWT_KEYS_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), " HS256@%u:file:secret", i);
    assert_int_equal(read_keys(&keys, list, "", why, sizeof why), -E2BIG);
    list[0] = '\0';
    for (unsigned i = 0; i <= API_KEYS_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), " file:secret");
    assert_int_equal(read_keys(&keys, "", list, why, sizeof why), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read),
        cmocka_unit_test(what_is_no_key_is_named),
        cmocka_unit_test(keys_have_a_bound),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
