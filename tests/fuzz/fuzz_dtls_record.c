#include "fuzz.h"
#include "tls/dtls_record.h"
#include "tls/record.h"

enum {
    PLAIN_MAX = 2048,
};

static void keys_make(struct dtls_keys *a, struct dtls_keys *b, enum tls_cipher cipher)
{
    static const uint8_t one[32] = "one key of thirty-two bytes, one";
    static const uint8_t other[32] = "another key of thirty-two bytes.";
    static const uint8_t iv[12] = "twelve bytes";
    dtls_keys_init(a, cipher, one, iv, other, iv, UINT64_C(1) << 48);
    dtls_keys_init(b, cipher, other, iv, one, iv, UINT64_C(1) << 48);
}

/* What nobody has sealed does not open, and moves nothing; what was sealed opens once. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t area[PLAIN_MAX + DTLS_OVERHEAD_MAX], copy[sizeof area];
    struct span input = fuzz_input(data, size);
    struct dtls_keys from, to;
    struct dtls_record record;
    uint8_t choice = fuzz_choice(&input);
    keys_make(&from, &to, choice & 1 ? TLS_CHACHA20_POLY1305 : TLS_AES_128_GCM);
    size_t len = input.len < PLAIN_MAX ? input.len : PLAIN_MAX;
    if (len > 0)
        memcpy(copy, input.ptr, len);
    assert(dtls_record_open(&to, copy, len, &record) < 0);
    if (len > 0)
        memcpy(area + dtls_record_head(&from), input.ptr, len);
    size_t sealed = dtls_record_seal(&from, TLS_APPLICATION_DATA, area, len);
    memcpy(copy, area, sealed);
    copy[choice % sealed] ^= 1;
    assert(dtls_record_open(&to, copy, sealed, &record) < 0);
    memcpy(copy, area, sealed);
    assert(dtls_record_open(&to, copy, sealed, &record) == (int)sealed);
    assert(record.len == len && record.type == TLS_APPLICATION_DATA);
    assert(len == 0 || memcmp(record.bytes, input.ptr, len) == 0);
    memcpy(copy, area, sealed);
    assert(dtls_record_open(&to, copy, sealed, &record) == DTLS_REPLAYED);
    return 0;
}
