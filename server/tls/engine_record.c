#include "tls/engine_record.h"

#include <assert.h>

_Static_assert(sizeof(struct engine_record) <= sizeof(((br_ssl_engine_context *)0)->in) &&
                   sizeof(struct engine_record) <= sizeof(((br_ssl_engine_context *)0)->out),
               "our record context fits where BearSSL keeps its own");

static struct tls_direction *direction_of(const void *context)
{
    return &((struct engine_record *)context)->direction;
}

/* ---- opening ---- */

static int check_length(const br_sslrec_in_class *const *context, size_t len)
{
    return tls_payload_fits(direction_of(context), len);
}

static unsigned char *decrypt(const br_sslrec_in_class **context, int type, unsigned version,
                              void *payload, size_t *len)
{
    (void)version; /* the engine has compared it with 1.2 */
    return tls_payload_open(direction_of(context), (uint8_t)type, payload, len);
}

/* ---- sealing ---- */

/* The engine has left 5 bytes before `start` for the header. */
static void max_plaintext(const br_sslrec_out_class *const *context, size_t *start, size_t *end)
{
    const struct tls_direction *out = direction_of(context);
    *start += tls_record_head(out) - TLS_HEAD_SIZE;
    size_t room = *end - *start - TLS_TAG_SIZE;
    *end = *start + (room < TLS_PLAIN_MAX ? room : TLS_PLAIN_MAX);
}

static unsigned char *encrypt(const br_sslrec_out_class **context, int type, unsigned version,
                              void *plain, size_t *len)
{
    (void)version;
    struct tls_direction *out = direction_of(context);
    unsigned char *area = (unsigned char *)plain - tls_record_head(out);
    *len = tls_record_seal_in_place(out, (enum tls_content)type, area, *len);
    return area;
}

/* ---- beginning ---- */

static void begin(const void *context, const void *class, enum tls_cipher cipher, const void *key,
                  const void *iv)
{
    struct engine_record *record = (struct engine_record *)context;
    record->class = class;
    tls_direction_init(&record->direction, cipher, key, iv);
}

static enum tls_cipher gcm_cipher(size_t key_len)
{
    assert(key_len == 16 || key_len == 32);
    return key_len == 16 ? TLS_AES_128_GCM : TLS_AES_256_GCM;
}

static void gcm_in_init(const br_sslrec_in_gcm_class **context, const br_block_ctr_class *aes,
                        const void *key, size_t key_len, br_ghash ghash, const void *iv)
{
    (void)aes;
    (void)ghash;
    begin(context, &engine_gcm_in, gcm_cipher(key_len), key, iv);
}

static void gcm_out_init(const br_sslrec_out_gcm_class **context, const br_block_ctr_class *aes,
                         const void *key, size_t key_len, br_ghash ghash, const void *iv)
{
    (void)aes;
    (void)ghash;
    begin(context, &engine_gcm_out, gcm_cipher(key_len), key, iv);
}

static void chacha_in_init(const br_sslrec_in_chapol_class **context, br_chacha20_run chacha20,
                           br_poly1305_run poly1305, const void *key, const void *iv)
{
    (void)chacha20;
    (void)poly1305;
    begin(context, &engine_chacha_in, TLS_CHACHA20_POLY1305, key, iv);
}

static void chacha_out_init(const br_sslrec_out_chapol_class **context, br_chacha20_run chacha20,
                            br_poly1305_run poly1305, const void *key, const void *iv)
{
    (void)chacha20;
    (void)poly1305;
    begin(context, &engine_chacha_out, TLS_CHACHA20_POLY1305, key, iv);
}

const br_sslrec_in_gcm_class engine_gcm_in = {
    {sizeof(struct engine_record), check_length, decrypt},
    gcm_in_init,
};
const br_sslrec_out_gcm_class engine_gcm_out = {
    {sizeof(struct engine_record), max_plaintext, encrypt},
    gcm_out_init,
};
const br_sslrec_in_chapol_class engine_chacha_in = {
    {sizeof(struct engine_record), check_length, decrypt},
    chacha_in_init,
};
const br_sslrec_out_chapol_class engine_chacha_out = {
    {sizeof(struct engine_record), max_plaintext, encrypt},
    chacha_out_init,
};

struct tls_direction *engine_record_in(br_ssl_engine_context *engine)
{
    struct engine_record *record = (struct engine_record *)&engine->in;
    bool ours = record->class == &engine_gcm_in || record->class == &engine_chacha_in;
    return engine->incrypt && ours ? &record->direction : NULL;
}

struct tls_direction *engine_record_out(br_ssl_engine_context *engine)
{
    struct engine_record *record = (struct engine_record *)&engine->out;
    bool ours = record->class == &engine_gcm_out || record->class == &engine_chacha_out;
    return ours ? &record->direction : NULL;
}
