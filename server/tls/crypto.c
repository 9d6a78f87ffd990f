#include "tls/crypto.h"

#include <pthread.h>
#include <stddef.h>

static struct tls_crypto chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    const br_block_ctr_class *aes_ni = br_aes_x86ni_ctr_get_vtable();
    const br_block_ctr_class *aes_power = br_aes_pwr8_ctr_get_vtable();
    br_ghash clmul = br_ghash_pclmul_get(), power = br_ghash_pwr8_get();
    br_chacha20_run sse2 = br_chacha20_sse2_get();
    br_poly1305_run ctmulq = br_poly1305_ctmulq_get();

    chosen = (struct tls_crypto){
        .aes_ctr = aes_ni      ? aes_ni
                   : aes_power ? aes_power
                               : &br_aes_ct64_ctr_vtable,
        .ghash = clmul   ? clmul
                 : power ? power
                         : br_ghash_ctmul64,
        .chacha20 = sse2 ? sse2 : br_chacha20_ct_run,
        .poly1305 = ctmulq ? ctmulq : br_poly1305_ctmul_run,
        .ec = &br_ec_all_m31,
    };
}

const struct tls_crypto *tls_crypto(void)
{
    pthread_once(&once, choose);
    return &chosen;
}
