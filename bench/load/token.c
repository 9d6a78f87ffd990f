#include "load/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "wire/base64.h"

void token_key_init(br_hmac_key_context *key, struct span secret)
{
    br_hmac_key_init(key, &br_sha256_vtable, secret.ptr, secret.len);
}

size_t token_write(char ret[TOKEN_MAX], const br_hmac_key_context *key, uint32_t user)
{
    static const char head[] = "{\"alg\":\"HS256\"}";
    char claims[32], digest[br_sha256_SIZE];
    int claims_len = snprintf(claims, sizeof claims, "{\"sub\":\"u%" PRIu32 "\"}", user);
    size_t len = base64url_encode(ret, span_from(head));
    ret[len++] = '.';
    len += base64url_encode(ret + len, span_of(claims, (size_t)claims_len));
    br_hmac_context context;
    br_hmac_init(&context, key, 0);
    br_hmac_update(&context, ret, len);
    br_hmac_out(&context, digest);
    ret[len++] = '.';
    return len + base64url_encode(ret + len, span_of(digest, sizeof digest));
}
