#include "courier/signature.h"

#include <bearssl.h>
#include <string.h>
#include <sys/random.h>

#include "wire/base64.h"
#include "wire/digits.h"

#define PREFIX  SPAN("whsec_")
#define VERSION SPAN("v1,")

enum {
    DRAWN_BYTES = 32,
    HMAC_BYTES = br_sha256_SIZE,
};

bool whsec_read(struct whsec *ret, struct span text)
{
    struct whsec read;
    if (text.len < PREFIX.len || !span_equal(span_of(text.ptr, PREFIX.len), PREFIX))
        return false;
    int len = base64_decode((char *)read.bytes, sizeof read.bytes, span_skip(text, PREFIX.len));
    if (len < WHSEC_BYTES_MIN)
        return false;
    read.len = (uint8_t)len;
    *ret = read;
    return true;
}

bool whsec_draw(struct whsec *ret)
{
    ret->len = DRAWN_BYTES;
    return getrandom(ret->bytes, DRAWN_BYTES, 0) == DRAWN_BYTES;
}

static size_t one_write(char *ret, const struct whsec *secret, struct span id,
                        struct span timestamp, struct span body)
{
    unsigned char code[HMAC_BYTES];
    br_hmac_key_context key;
    br_hmac_context hmac;
    br_hmac_key_init(&key, &br_sha256_vtable, secret->bytes, secret->len);
    br_hmac_init(&hmac, &key, 0);
    br_hmac_update(&hmac, id.ptr, id.len);
    br_hmac_update(&hmac, ".", 1);
    br_hmac_update(&hmac, timestamp.ptr, timestamp.len);
    br_hmac_update(&hmac, ".", 1);
    br_hmac_update(&hmac, body.ptr, body.len);
    br_hmac_out(&hmac, code);
    memcpy(ret, VERSION.ptr, VERSION.len);
    return VERSION.len + base64_encode(ret + VERSION.len, span_of((const char *)code, sizeof code));
}

size_t signature_write(char ret[SIGNATURE_MAX], const struct whsec *secrets, unsigned count,
                       struct span id, uint64_t timestamp_s, struct span body)
{
    char digits[DIGITS_DECIMAL_MAX];
    struct span timestamp = span_of(digits, digits_decimal_write(digits, timestamp_s));
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            ret[len++] = ' ';
        len += one_write(ret + len, &secrets[i], id, timestamp, body);
    }
    return len;
}
