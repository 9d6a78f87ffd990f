/* Public keys: what is taken has the bounds that the verification counts on. */
#include "fuzz.h"

#include "auth/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    enum jwt_algorithm algorithm = fuzz_choice(&input) & 1 ? JWT_RS256 : JWT_ES256;
    struct jwt_key key;
    if (jwt_key_public(&key, algorithm, SPAN("k"), input) < 0)
        return 0;
    assert(key.algorithm == algorithm && key.kid_len == 1);
    if (algorithm == JWT_RS256)
        assert(key.n_len >= 256 && key.n_len <= JWT_RSA_BYTES_MAX && key.n[0] != 0 &&
               key.e_len > 0 && key.e_len <= sizeof key.e);
    else
        assert(key.point[0] == 4);
    return 0;
}
