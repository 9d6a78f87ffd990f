#include "fuzz.h"

#include "tls/identity.h"

/* A chain in PEM, and behind a NUL the key. What is refused has a sentence. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[256] = "";
    struct span chain = fuzz_input(data, size), key = {"", 0};
    const char *end = size > 0 ? memchr(chain.ptr, '\0', size) : NULL;
    if (end) {
        key = span_skip(chain, (size_t)(end - chain.ptr) + 1);
        chain.len = (size_t)(end - chain.ptr);
    }
    struct tls_identities *set = tls_identities_create();
    assert(set);
    int err = tls_identities_add(set, chain.ptr, chain.len, "chain", key.ptr, key.len, "key", why,
                                 sizeof why);
    assert(strlen(why) < sizeof why && (err == 0 || why[0] != '\0'));
    assert(tls_identities_count(set) == (err == 0));
    if (err == 0)
        (void)tls_identity_named(tls_identities_at(set, 0), "a.example");
    tls_identities_unref(set);
    return 0;
}
