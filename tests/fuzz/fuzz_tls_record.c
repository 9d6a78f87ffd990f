#include "fuzz.h"

#include "tls/record.h"

/* Records of a peer who has the keys, bent by the fuzzer: choice, then for each record its type and
 * length and where a bit is turned. Whatever the pieces, the same is said; nothing bent opens. */
static const uint8_t key[32] = {1, 2, 3};
static const uint8_t iv[12] = {4, 5, 6};

enum {
    RUN_MAX = 1 << 16,
};

/* Each cipher of 1.2, then those of 1.3. */
static void begin(struct tls_direction *direction, uint8_t choice)
{
    static const enum tls_cipher of_13[] = {TLS_AES_128_GCM, TLS_CHACHA20_POLY1305,
                                            TLS_AES_256_GCM};
    choice %= TLS_CIPHER_COUNT + 3;
    if (choice < TLS_CIPHER_COUNT)
        tls_direction_init(direction, (enum tls_cipher)choice, key, iv);
    else
        tls_direction_init_13(direction, of_13[choice - TLS_CIPHER_COUNT], key, iv);
}

/* Writes the run that the input asks for. Returns its length. */
static size_t make_run(struct span input, uint8_t choice, unsigned char *run)
{
    struct tls_direction out;
    size_t at = 0;
    begin(&out, choice);
    while (input.len >= 4 && at + TLS_OVERHEAD_MAX + 1024 < RUN_MAX) {
        uint8_t type = fuzz_choice(&input), len = fuzz_choice(&input), turn = fuzz_choice(&input),
                raw = fuzz_choice(&input);
        len = len < input.len ? len : (uint8_t)input.len;
        if (raw == 0xff) { /* bytes as they are */
            memcpy(run + at, input.ptr, len);
            at += len;
        } else {
            memcpy(run + at + tls_record_head(&out), input.ptr, len);
            size_t size = tls_record_seal_in_place(&out, (enum tls_content)type, run + at, len);
            if (turn > 0 && turn < size)
                run[at + turn] ^= (unsigned char)(1 << raw % 8);
            at += size;
        }
        input = span_skip(input, len);
    }
    return at;
}

/* Opens what has come; stops at the first error. */
static void open_run(struct tls_direction *in, unsigned char *run, size_t *ret_opened, size_t len,
                     int *ret_err, struct transcript *transcript)
{
    while (*ret_err == 0) {
        struct tls_record record;
        int got = tls_record_open(in, run + *ret_opened, len - *ret_opened, &record);
        if (got == 0)
            return;
        transcript_number(transcript, got < 0 ? got : (int)record.kind);
        if (got < 0) {
            *ret_err = got;
            return;
        }
        assert((size_t)got <= len - *ret_opened && record.len <= (size_t)got);
        if (record.len > 0)
            transcript_add(transcript, span_of((const char *)record.bytes, record.len));
        *ret_opened += (size_t)got;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char made[RUN_MAX], copy[RUN_MAX];
    struct span input = fuzz_input(data, size);
    uint8_t choice = fuzz_choice(&input);
    size_t len = make_run(input, choice, made);
    struct transcript whole = {0};
    transcript_number(&whole, 0);
    for (int cut = 0; cut < 3; cut++) {
        uint64_t step = cut == 0 ? 0 : cut == 1 ? 1 : FEED_VARIED | len;
        struct transcript said = {0};
        struct tls_direction in;
        size_t opened = 0;
        int err = 0;
        begin(&in, choice);
        memcpy(copy, made, len);
        transcript_number(&said, 0);
        for (size_t have = 0; have < len && err == 0;) {
            have += feed_step(&step, len - have);
            open_run(&in, copy, &opened, have, &err, &said);
        }
        if (cut > 0)
            assert(span_equal(transcript_span(&said), transcript_span(&whole)));
        else
            transcript_add(&whole, span_skip(transcript_span(&said), 1));
        transcript_free(&said);
    }
    transcript_free(&whole);
    return 0;
}
